"""Composites: functions of primitives that are written once, readably, and for which a kernel may stand in.

The definition is what is drawn, differentiated twice and tested. A kernel computes the same thing in one node.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import kernels
from ..config import switches, use_kernels
from ..errors import AutogradError
from .contract import Contract
from .dispatch import constants, record_several
from .node import Op, recorded
from .primitive import check_name, docstring, elementwise
from .scope import enable_grad, scope, state
from .sweep import sweep
from .tensor import Tensor, as_array, make, operand

composites: dict[str, Composite] = {}
EMPTY = inspect.Parameter.empty


class Composite(Op):
    """The declaration of a composite; see ``composite``."""

    def __init__(
        self, definition: Callable[..., Any], contract: str, label: str, source: str, cases: Sequence[Any], domain: Any,
        varying: Sequence[str],
    ) -> None:  # fmt: skip
        self.name = definition.__name__
        self.definition = definition
        self.contract = Contract.parse(contract)
        self.label, self.source, self.cases, self.domain = label or self.name, source, tuple(cases), dict(domain or {})
        self.signature = inspect.signature(definition)
        names = list(self.signature.parameters)
        self.inputs = [o.name for o in self.contract.inputs]
        if names[: len(self.inputs)] != self.inputs:
            raise AutogradError(
                f"{self.name}: the contract names {self.inputs} but the definition takes {names} → use one order"
            )
        self.params = {n: p.default for n, p in self.signature.parameters.items() if n not in self.inputs}
        self.defaults = [p.default for p in self.signature.parameters.values()]
        self.count = len(self.inputs)
        self.places = {name: place for place, name in enumerate(names)}
        self.varying = frozenset(varying)
        self.saved_names = (*self.inputs, "residuals")
        broadcast = sum("..." in (o.dims or ()) for o in self.contract.inputs) > 1
        self.demands = self.contract.has_letters or broadcast  # of its inputs' shapes
        self.plans: dict[Any, Any] = {}
        self.checked: set[Any] = set()
        self.call: Callable[..., Any] = definition

    def arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """Return the values of all inputs and parameters, in their order."""
        values = [*args, *self.defaults[len(args) :]]
        known = all([self.places.get(name, -1) >= len(args) for name in kwargs])
        if known:
            for name, value in kwargs.items():
                values[self.places[name]] = value
        if not known or len(values) != len(self.defaults) or any([v is EMPTY for v in values]):
            bound = self.signature.bind(*args, **kwargs)
            bound.apply_defaults()
            values = list(bound.arguments.values())
        return values

    def check(self, values: Sequence[Any]) -> None:
        """Hold the shapes against the contract, once for each combination."""
        shapes = tuple([getattr(x, "shape", None) for x in values[: self.count]])
        params = {n: v for n, v in zip(self.params, values[self.count :], strict=True) if isinstance(v, int)}
        key = (shapes, *params.values())
        if key not in self.checked:
            self.contract.check(self.name, shapes, params)
            self.checked.add(key)

    def kernel_for(self, values: Sequence[Any]) -> Any:
        """Return the kernel that serves these arguments, or None for the definition; check them at first."""
        arrays = [_raw(x) for x in values[: self.count]]
        kind = type(arrays[0])
        if any([type(a) is not kind and a is not None for a in arrays]):
            return None  # the definition's operations say what does not fit
        offers = kernels.offers(self.name, kind)
        if not offers or not switches.kernels or state.trace is not None:
            self.check(values)
            return None
        params = tuple(values[self.count :])
        if self.varying:
            params = tuple([self._planned(n, v) for n, v in zip(self.params, params, strict=True)])
        shapes = tuple([None if a is None else a.shape for a in arrays])
        key = (kind, shapes, tuple([None if a is None else a.dtype for a in arrays]), params)
        try:
            return self.plans[key]
        except TypeError:  # a list among the parameters
            params = tuple([self._planned(n, v) for n, v in zip(self.params, params, strict=True)])
            key = (*key[:3], params)
        except KeyError:
            pass
        if key not in self.plans:
            self.check(values)
            spec = kernels.Spec(shapes, key[2], dict(zip(self.params, params, strict=True)))
            self.plans[key] = kernels.choose(offers, spec)[0]
        return self.plans[key]

    def _planned(self, name: str, value: Any) -> Any:
        """What a plan sees of a parameter, and is remembered by: of one that varies whether there is one."""
        if name in self.varying:
            return None if value is None else ...
        return tuple(value) if isinstance(value, list) else value

    def forgo(self, kernel: Any) -> None:
        """Let the definition serve wherever ``kernel`` was planned."""
        self.plans.update({key: None for key, planned in self.plans.items() if planned is kernel})

    def record(self, kernel: Any, values: Sequence[Any]) -> Any:
        """Run a kernel, and record it as one node if anything needs a gradient; NotImplemented if it declines."""
        inputs, params = values[: self.count], tuple(values[self.count :])
        arrays = [_raw(x) for x in inputs]
        parents = tuple([x.node if isinstance(x, Tensor) else None for x in inputs])
        scope = None if all([p is None for p in parents]) else state.scope
        if scope is None and hasattr(kernel, "infer"):
            out = kernel.infer(*arrays, *params)
            return out if out is NotImplemented else constants(out)
        made = kernel.forward(*arrays, *params)
        if made is NotImplemented:
            return made
        out, residuals = made
        if scope is None:
            return constants(out)
        saved = (*arrays, (kernel, residuals))
        if isinstance(out, tuple):
            return record_several(self, out, parents, saved, params)
        out = as_array(out)
        return make(out, recorded(self, parents, saved, params, out, scope))

    def lift(self, node: Any, wrap: Callable[[Any, Any], Any]) -> tuple[Any, ...]:
        """Return the saved inputs as tensors of the graph."""
        return (*[wrap(a, p) for a, p in zip(node.saved[:-1], node.parents, strict=True)], None)

    def pull(self, g: Any, parents: Any, saved: tuple[Any, ...], params: tuple[Any, ...]) -> Sequence[Any]:
        """The kernel's own backward pass; for a graph of the gradient, the definition is run and differentiated."""
        *inputs, kept = saved
        wanted = [p is not None for p in parents]
        if kept is not None:
            kernel, residuals = kept
            try:
                return kernel.backward(g, wanted, inputs, residuals, *params)  # type: ignore[no-any-return]
            except kernels.UnavailableError as error:
                kernels.forgo(error)
                self.forgo(kernel)
            tensors = [x if x is None else Tensor(x, w) for x, w in zip(inputs, wanted, strict=True)]
            g = tuple(map(make, g)) if isinstance(g, tuple) else make(g)
            return [_raw(dx) for dx in self.pull(g, parents, (*tensors, None), params)]
        with use_kernels(False):
            return differentiate(lambda xs: self.definition(*xs, *params), inputs, wanted, g)

    def __repr__(self) -> str:
        return f"<composite {self.name} {self.contract.text}>"


def _forget_plans(name: str) -> None:
    if name in composites:
        composites[name].plans.clear()


kernels.listeners.append(_forget_plans)


def composite(
    contract: str, *, label: str = "", source: str = "", cases: Sequence[Any] = ({},), domain: Any = None,
    layer: str = "", varying: Sequence[str] = (),
) -> Callable[[Callable[..., Any]], Callable[..., Tensor]]:  # fmt: skip
    """Declare a function of the library's operations as a composite of its own name.

    It marks its part of the graph with a scope of that name, and lets a kernel registered under it stand in. A kernel
    has ``forward(*inputs, *params)``, which returns the result and residuals, and ``backward(g, wanted, inputs,
    residuals, *params)``, which returns a gradient for each wanted input and None for the others, on arrays. With
    several outputs the result is a tuple and so is ``g``. Where ``forward`` returns NotImplemented, for values of
    parameters that it does not serve, the definition runs. With ``infer``, which returns the result alone, it need not
    hold residuals where nothing is recorded.

    Called directly by a module of the same name (``rnn`` by ``RNN``), or of the one that ``layer`` says, it enters no
    scope: the module is its place.

    Args:
        contract: the inputs, in the definition's order; the definition's other arguments are parameters.
        label: the diagram's label; the name if empty.
        source: where it comes from.
        cases: parameters and sizes to test with, as for ``primitive``.
        domain: for an input the interval or word, as for ``primitive``.
        layer: the class of the module whose whole computation it is, if their names differ.
        varying: parameters with another value at every call, such as lengths: a plan sees None, or ``...`` if given.

    >>> import autograd
    >>> @composite("x: ... D")
    ... def normalise_example(x):
    ...     return x / autograd.sqrt((x * x).sum(axis=-1, keepdims=True))
    >>> normalise_example(autograd.tensor([3.0, 4.0]))
    tensor([0.6, 0.8])
    """

    def declare(definition: Callable[..., Any]) -> Callable[..., Tensor]:
        declared = Composite(definition, contract, label, source, cases, domain, varying)
        known, module = composites.get(declared.name), definition.__module__
        check_name("composite", declared.name, module, known.definition.__module__ if known else module)
        composites[declared.name] = declared
        count, plain = len(declared.inputs), (layer or declared.name.replace("_", "")).lower()
        optional = {n for n, p in declared.signature.parameters.items() if p.default is None}

        @functools.wraps(definition)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not all([hasattr(a, "shape") for a in args[:count]]):
                given = zip(declared.inputs, args, strict=False)
                args = (*[x if x is None and n in optional else operand(declared.name, n, x) for n, x in given],
                        *args[count:])  # fmt: skip
            served = kernels.offered(declared.name) and any([isinstance(a, Tensor) for a in args])
            if served or declared.demands:
                values = declared.arguments(args, kwargs)
                kernel = declared.kernel_for(values) if served else None
                if not served:
                    declared.check(values)
                if kernel is not None:
                    try:
                        made = declared.record(kernel, values)
                        if made is not NotImplemented:
                            return made
                    except kernels.UnavailableError as error:
                        kernels.forgo(error)
                        declared.forgo(kernel)
            if state.path.kind.lower() == plain:
                return definition(*args, **kwargs)
            with scope(declared.name):
                return definition(*args, **kwargs)

        call.__doc__ = docstring(declared, definition.__doc__ or f"{declared.name}.")
        call.op = declared  # type: ignore[attr-defined]
        declared.call = call
        return call

    return declare


identity = elementwise(
    "identity", "x", forward=lambda x: x, deriv={"x": 1}, doc="The input itself, as a node of its own: y = x."
)


def differentiate(f: Callable[[list[Any]], Any], inputs: Sequence[Any], wanted: Sequence[bool], g: Any) -> list[Any]:
    """Return the gradients of ``f(inputs)`` with respect to the wanted inputs, as tensors of the inputs' graph.

    ``g`` is the gradient of the result; a tuple of them if ``f`` returns a tuple.
    """
    with enable_grad():
        own = [identity(x) if want else x for x, want in zip(inputs, wanted, strict=True)]
        out = f(own)
        parts = zip(out, g, strict=True) if isinstance(out, tuple) else [(out, g)]
        seeds: dict[Any, Any] = {}
        for part, gradient in parts:
            if part.node is not None:
                seeds[part.node] = seeds[part.node] + gradient if part.node in seeds else gradient
        if not seeds:
            return [None] * len(own)
        found = sweep(
            seeds, keep=True, graph=True, wanted={x.node for x, want in zip(own, wanted, strict=True) if want}
        )
    return [found.get(x.node) if want else None for x, want in zip(own, wanted, strict=True)]


def _raw(x: Any) -> Any:
    return x.data if isinstance(x, Tensor) else x
