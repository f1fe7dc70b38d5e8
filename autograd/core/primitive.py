"""Declaring operations: everything known about one stands in one place.

``primitive`` and ``elementwise`` take the contract, the forward computation, the gradient rules and what tests,
diagrams and error messages need, and return the function that users call.
"""

from __future__ import annotations

import functools
import inspect
import keyword
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import backend, kernels
from ..config import switches
from ..errors import AutogradError
from .anomaly import watched
from .contract import Contract
from .dispatch import REQUIRED, build_dispatcher, build_pull, names_of
from .node import Op
from .tensor import Tensor

Rule = Callable[..., Any]
Operation = Callable[..., Tensor]  # of tensors; of raw arrays it returns a raw array
registry: dict[str, Primitive] = {}


class Implementations(dict[type, Callable[..., Any]]):
    """Array type → the function that computes the operation on it, found at first use."""

    def __init__(self, op: Primitive | ServedRule) -> None:
        super().__init__()
        self.op = op

    def __missing__(self, kind: type) -> Callable[..., Any]:
        self[kind] = found = self.op.implement(kind)
        return found


@dataclass(eq=False)
class Primitive(Op):
    """The declaration of one operation; see ``primitive``."""

    name: str
    contract: Contract
    forward: str | Callable[..., Any]
    rules: dict[str, Rule]
    rule_names: dict[str, tuple[str, ...]]
    params: dict[str, Any]
    prepare: Callable[..., Any] | None
    dims: Callable[..., Any] | None
    deriv: dict[str, Any]
    linear_in: tuple[str, ...]
    domain: dict[str, Any]
    kinks: dict[str, Any]
    cases: Sequence[Mapping[str, Any]]
    label: str
    source: str
    doc: str
    saved_names: tuple[str, ...] = ()
    output_index: dict[str, int] = field(default_factory=dict)
    served: dict[str, ServedRule] = field(default_factory=dict)
    impls: Implementations = field(init=False)
    pull: Callable[..., Any] = field(init=False)
    call: Callable[..., Any] = field(init=False)

    @functools.cached_property
    def replay(self) -> Callable[..., Any]:
        """The operation on parameters as a node keeps them."""
        return build_dispatcher(self, prepared=True) if self.prepare else self.call

    def __post_init__(self) -> None:
        self.impls = Implementations(self)
        self.serve()
        self.call = build_dispatcher(self)

    def reference(self, kind: type) -> Callable[..., Any]:
        """Return the forward computation bound to the library of arrays of type ``kind``."""
        xp = backend.of_type(kind).xp
        if isinstance(self.forward, str):
            function = xp
            for part in self.forward.split("."):
                function = getattr(function, part)
            return function  # type: ignore[no-any-return]
        if names_of(self.forward)[:1] != ("xp",):
            return self.forward
        forward = self.forward
        return lambda *args: forward(xp, *args)

    def implement(self, kind: type) -> Callable[..., Any]:
        """Return what computes this operation on arrays of type ``kind``: the reference, or a planner over kernels."""
        if not backend.is_array(kind):
            return self._by_any_input
        chosen = reference = self.reference(kind)
        offers = kernels.offers(self.name, kind) if switches.kernels else ()
        if offers or self.contract.has_letters:
            chosen = kernels.unless_small(offers, kernels.Planner(self, offers, reference), reference)
        return watched(self, chosen) if switches.watching else chosen

    def serve(self) -> None:
        """Let the kernels that there are now stand in for the rules."""
        offered = [
            x for x in self.rules if kernels.offered(f"{self.name}_d{x}") and f"{self.name}_d{x}" not in registry
        ]
        self.served = {x: ServedRule(self, x) for x in offered}
        self.pull = build_pull(self)

    def _by_any_input(self, *args: Any) -> Any:
        """The first input is a Python number or list: let the first array among the others decide, or NumPy."""
        inputs = args[0] if self.contract.variadic else args[: len(self.contract.inputs)]
        kind = next((type(a) for a in inputs if backend.is_array(type(a))), None)
        if kind is None and not self.contract.variadic:
            host = backend.by_name("cpu")
            given = host.xp.asarray(args[0])
            if given.dtype.kind not in "biufc":
                raise TypeError("not a number")  # explained by the dispatcher
            args = (given, *args[1:])
        return self.impls[kind or backend.by_name("cpu").array_type](*args)

    def lift(self, node: Any, wrap: Callable[[Any, Any], Any]) -> tuple[Any, ...]:
        """Return what ``node`` saved with arrays as tensors of the graph, for rules that are to be recorded."""
        if self.contract.variadic:
            return tuple(
                [wrap(a, p) for a, p in zip(s, node.parents, strict=True)] if n == self.contract.inputs[0].name
                else wrap(s, node) if n == "out" else s
                for n, s in zip(self.saved_names, node.saved, strict=True)
            )  # fmt: skip
        parents = {o.name: p for o, p in zip(self.contract.inputs, node.parents, strict=True)}
        owners = {**parents, **{o: (node, i) for o, i in self.output_index.items()}}
        if not self.contract.several_outputs:
            owners["out"] = node
        return tuple(
            wrap(s, owners[n]) if n in owners and s is not None else s
            for n, s in zip(self.saved_names, node.saved, strict=True)
        )

    def __repr__(self) -> str:
        return f"<primitive {self.name} {self.contract.text}>"


class ServedRule:
    """The rule of ``tanh`` for ``x`` as an operation ``tanh_dx(g, out)`` on arrays, for which a kernel may stand in.

    Inputs are the gradient and the arrays that the rule names, then come its parameters. On tensors the rule runs as it
    is written, and is recorded.
    """

    dims = prepare = None

    def __init__(self, op: Primitive, x: str) -> None:
        self.name, self.forward = f"{op.name}_d{x}", op.rules[x]
        names = op.rule_names[x]
        self.params = {n: op.params[n] for n in names if n in op.params}
        arrays = names[: len(names) - len(self.params)]
        self.contract = Contract.parse(", ".join(f"{n}: ..." for n in ("g", *arrays)) + " -> ...")
        self.__signature__ = inspect.Signature(
            [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in ("g", *names)]
        )
        self.op = self  # as an operation's function has it
        self.impls = Implementations(self)

    def __call__(self, g: Any, *values: Any) -> Any:
        return self.impls[type(g)](g, *values)

    def implement(self, kind: type) -> Callable[..., Any]:
        """Return what computes the rule on arrays of type ``kind``: the rule, or a planner over kernels."""
        offers = kernels.offers(self.name, kind) if switches.kernels else ()
        if not offers:
            return self.forward
        return kernels.unless_small(offers, kernels.Planner(self, offers, self.forward), self.forward)


def primitive(
    name: str,
    contract: str,
    *,
    forward: str | Callable[..., Any],
    vjp: Mapping[str, Rule] | None = None,
    params: Mapping[str, Any] | None = None,
    prepare: Callable[..., Any] | None = None,
    dims: Callable[..., Any] | None = None,
    linear_in: Sequence[str] = (),
    domain: Mapping[str, Any] | None = None,
    kinks: Mapping[str, Any] | None = None,
    cases: Sequence[Mapping[str, Any]] = ({},),
    label: str = "",
    source: str = "",
    doc: str = "",
    _deriv: Mapping[str, Any] | None = None,
) -> Operation:
    """Declare an operation and return the function that users call.

    Args:
        name: the function's name, also in diagrams and messages.
        contract: inputs, outputs and their dimensions, such as ``"x: ... M K, y: ... K N -> ... M N"``.
        forward: a name in the array library (``"exp"``), or a function of the arrays and parameters; one whose first
            argument is called ``xp`` gets the array library.
        vjp: for each differentiable input the rule that turns the output's gradient ``g`` into the input's. The names
            in a rule's signature are what the tape saves for it: inputs, ``out`` (or the outputs' names), parameters,
            and ``x_shape`` for the shape of ``x`` without its array. Broadcasting is undone for it.
        params: parameters with their defaults (``REQUIRED`` for none).
        prepare: a function of inputs and parameters that returns the parameters in standard form.
        dims: a function that returns the output's letters from the inputs' letters and the parameters.
        linear_in: the inputs in which the operation is linear.
        domain: for an input the open interval ``(low, high)`` where it is defined, or a word such as ``"spd"``.
        kinks: for an input where the derivative jumps, and which subgradient the rule takes.
        cases: what to test with: values of parameters, sizes of letters, and shapes of inputs (``x=(2, 3)``) by name.
        label: the diagram's label; the name if empty.
        source: where the operation comes from.
        doc: one line and the formula.

    Raises:
        AutogradError: if another module has taken the name or a rule names something that the operation does not have.

    >>> import autograd
    >>> cube = primitive("cube_example", "x", forward=lambda x: x**3, vjp={"x": lambda g, x: 3 * g * x**2})
    >>> autograd.grad(cube)(2.0)
    12.0
    """
    parsed = Contract.parse(contract)
    params = dict(params or {})
    rules = dict(vjp or {})
    module = sys._getframe(2 if _deriv is not None else 1).f_globals["__name__"]
    check_name("primitive", name, module, registry[name].call.__module__ if name in registry else module)
    inputs = {o.name for o in parsed.inputs}
    outputs = {o.name: i for i, o in enumerate(parsed.outputs)} if parsed.several_outputs else {}
    known = inputs | set(params) | {f"{x}_shape" for x in inputs} | (set(outputs) or {"out"})
    rule_names: dict[str, tuple[str, ...]] = {}
    for x, rule in rules.items():
        rule_names[x] = names_of(rule, skip=1) if not hasattr(rule, "names") else rule.names
        unknown = set(rule_names[x]) - known
        if x not in inputs or unknown:
            raise AutogradError(
                f"{name}: the rule for {x!r} names {sorted(unknown) or x!r}, but the operation has {sorted(known)}"
            )
    saved = dict.fromkeys(n for names in rule_names.values() for n in names if n not in params)
    op = Primitive(
        name, parsed, forward, rules, rule_names, params, prepare, dims, dict(_deriv or {}), tuple(linear_in),
        dict(domain or {}), dict(kinks or {}), tuple(cases), label or name, source, doc, tuple(saved), outputs,
    )  # fmt: skip
    registry[name] = op
    function = op.call
    function.op = op  # type: ignore[attr-defined]
    function.__module__ = module
    function.__qualname__ = name
    function.__doc__ = docstring(op, doc or f"{name}.")
    return function


def check_name(what: str, name: str, module: str, taken_by: str) -> None:
    """Refuse a name that another module has; its own may declare it again, as a notebook runs a cell twice."""
    if not name.isidentifier() or keyword.iskeyword(name):
        raise AutogradError(f"{what}: {name!r} cannot be the name of a function → use letters, digits and _")
    if module != taken_by:
        raise AutogradError(f"{what}: {name!r} is declared already, in {taken_by} → choose another name")


def elementwise(
    name: str,
    inputs: str,
    *,
    forward: str | Callable[..., Any],
    deriv: Mapping[str, Any] | None = None,
    **declaration: Any,
) -> Callable[..., Any]:
    """Declare an operation that works on every element by itself, with broadcasting.

    ``deriv`` gives for each differentiable input the derivative: a number where it is constant, otherwise a function
    whose argument names say what it needs. The rest is as in ``primitive``.

    >>> import autograd
    >>> square_example = elementwise("square_example", "x", forward=lambda x: x * x, deriv={"x": lambda x: 2 * x})
    >>> autograd.grad(square_example)(3.0)
    6.0
    """
    contract = ", ".join(f"{x.strip()}: ..." for x in inputs.split(",")) + " -> ..."
    deriv = dict(deriv or {})
    constant = tuple(x for x, d in deriv.items() if not callable(d))
    return primitive(
        name, contract, forward=forward, vjp={x: _chain(d) for x, d in deriv.items()}, _deriv=deriv,
        linear_in=declaration.pop("linear_in", constant), **declaration,
    )  # fmt: skip


def _chain(d: Any) -> Rule:
    """The chain rule for one element: the output's gradient times the derivative."""

    def rule(g: Any, *values: Any) -> Any:
        return g * (d(*values) if callable(d) else d)

    rule.names = names_of(d) if callable(d) else ()  # type: ignore[attr-defined]
    return rule


def docstring(op: Any, text: str) -> str:
    """Return the declared text of a primitive or composite, then what follows from the declaration."""
    lines = [inspect.cleandoc(text), "", f"Shapes: ``{op.contract.text}``."]
    if op.domain:
        lines.append("Domain: " + ", ".join(f"{x} in {d}" for x, d in op.domain.items()) + ".")
    if getattr(op, "kinks", None):
        lines.append("Kinks: " + "; ".join(f"{x} at {k}" for x, k in op.kinks.items()) + ".")
    lines.append("Raises ``ShapeError``, ``DTypeError`` or ``DeviceError`` if the inputs do not fit.")
    if op.source:
        lines.append(f"Source: {op.source}.")
    return "\n".join(lines)


def _forget_implementations() -> None:
    for op in registry.values():
        op.impls.clear()
        for rule in op.served.values():
            rule.impls.clear()


def _offered(name: str) -> None:
    """A kernel called ``name`` came or went: that of an operation, or of an operation's rule."""
    if name in registry:
        registry[name].impls.clear()
    elif (owner := name.rpartition("_d")[0]) in registry:
        registry[owner].serve()


switches.listeners.append(_forget_implementations)
kernels.listeners.append(_offered)

__all__ = ["REQUIRED", "Primitive", "elementwise", "primitive", "registry"]
