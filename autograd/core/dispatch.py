"""From a declaration to a fast Python function: the source of the dispatcher and of the gradient rules' caller.

A dispatcher unwraps tensors, looks the implementation up by array type and, if anything needs a gradient, records one
node. It is written out per operation, like a dataclass's ``__init__``, because loops over inputs would cost more than
the operation itself. ``multiply.source`` shows what was compiled.
"""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import errors
from .node import Node, picked, recorded
from .refusal import refusal
from .scope import next_seq, state
from .tensor import Tensor, as_array, make

if TYPE_CHECKING:
    from .primitive import Primitive

DISPATCHER = """\
def {name}({signature}):
    tensors = False
{unwrap}    try:
{prepare}        out = impls[type({first})]({call})
    except AutogradError:
        raise
    except Exception as error:
        raise refusal(op, error, {inputs}, {params}) from error
    if not tensors:
        return out
{wrap}"""

UNWRAP = """\
    if isinstance({x}, Tensor):
        node_{x} = {x}.node
        {x} = {x}.data
        tensors = True
    else:
        node_{x} = None
"""

UNWRAP_SEQUENCE = """\
    {x} = as_sequence(op, {x})
    nodes_{x} = tuple([x.node if isinstance(x, Tensor) else None for x in {x}])
    tensors = any([isinstance(x, Tensor) for x in {x}])
    {x} = tuple([x.data if isinstance(x, Tensor) else x for x in {x}])
"""

ONE = """\
    if type(out) is not ndarray:
        out = as_array(out)
    tensor = new(Tensor)
    tensor.data = out
    scope = state.scope
    if {constant} or scope is None:
        tensor.node = None
        return tensor
    tensor.node = node = new(Node)
    node.op = op
    node.parents = {parents}
    node.saved = {saved}
    node.params = {params}
    node.shape = out.shape
    node.dtype = out.dtype
    node.scope = scope
    node.seq = next_seq()
    return tensor
"""

CONSTANT = """\
    return constants(out)
"""

SEVERAL = """\
    if {constant} or state.scope is None:
        return constants(out)
    return record_several(op, out, {parents}, {saved}, {params})
"""

PULL = """\
def pull(g, parents, saved, params):
{nodes}{saved}{params}    return {rules}
"""

_SCALARS = (int, float, bool, type(None), str)


def _tuple(names: list[str] | tuple[str, ...]) -> str:
    return "(" + ", ".join(names) + ("," if len(names) == 1 else "") + ")"


def _compile(name: str, kind: str, source: str, namespace: dict[str, Any]) -> Callable[..., Any]:
    filename = f"<{kind} of {name}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)  # tracebacks show the lines
    exec(compile(source, filename, "exec"), namespace)
    function: Callable[..., Any] = namespace[name if kind == "dispatcher" else "pull"]
    return function


def build_dispatcher(op: Primitive, prepared: bool = False) -> Callable[..., Any]:
    """Compile the function that users call; ``prepared``: for parameters in standard form, as nodes keep them."""
    inputs = [o.name for o in op.contract.inputs]
    params = list(op.params)
    namespace: dict[str, Any] = {
        "op": op, "impls": op.impls, "refusal": refusal, "AutogradError": errors.AutogradError, "Tensor": Tensor,
        "Node": Node, "state": state, "new": object.__new__, "next_seq": next_seq, "ndarray": np.ndarray,
        "as_array": as_array, "constants": constants, "record_several": record_several, "prepare": op.prepare,
        "as_sequence": as_sequence,
    }  # fmt: skip
    signature = list(inputs)
    for name, default in op.params.items():
        if default is REQUIRED:
            signature.append(name)
        elif isinstance(default, _SCALARS):
            signature.append(f"{name}={default!r}")
        else:
            namespace[f"default_{name}"] = default
            signature.append(f"{name}=default_{name}")
    variadic = op.contract.variadic
    first = inputs[0]
    unwrap = UNWRAP_SEQUENCE if variadic else UNWRAP
    nodes = [f"node_{x}" for x in op.rules] if not variadic else []
    fill = {
        "constant": f"nodes_{first}.count(None) == len(nodes_{first})"
        if variadic
        else " and ".join(f"{n} is None" for n in nodes),
        "parents": f"nodes_{first}" if variadic else _tuple([f"node_{x}" for x in inputs]),
        "saved": _tuple([_saved_expression(op, name) for name in op.saved_names]),
        "params": _tuple(params),
    }
    tail = CONSTANT if not op.rules else SEVERAL if op.contract.several_outputs else ONE
    source = DISPATCHER.format(
        name=op.name, signature=", ".join(signature),
        unwrap="".join(unwrap.format(x=x) for x in inputs),
        prepare=f"        {_tuple(params)} = prepare({', '.join(inputs + params)})\n"
        if op.prepare and not prepared else "",
        first=f"{first}[0] if {first} else None" if variadic else first,
        call=", ".join(inputs + params), inputs=_tuple(inputs), params=_tuple(params), wrap=tail.format(**fill),
    )  # fmt: skip
    function = _compile(op.name, "dispatcher", source, namespace)
    function.source = source  # type: ignore[attr-defined]
    return function


def _saved_expression(op: Primitive, name: str) -> str:
    """Save an array only if an input whose rule names it needs a gradient."""
    value = f"{name[:-6]}.shape" if name.endswith("_shape") else name
    if name in op.output_index:
        return repr(name)  # put in by record_several
    if op.contract.variadic:
        return f"[x.shape for x in {op.contract.inputs[0].name}]" if name.endswith("_shape") else value
    users = [x for x, names in op.rule_names.items() if name in names]
    if name == "out" or name.endswith("_shape") or len(users) == len(op.contract.inputs):
        return value
    return f"{value} if {' or '.join(f'node_{x} is not None' for x in users)} else None"


def build_pull(op: Primitive) -> Callable[..., Any]:
    """Compile the function that calls the rules: the gradients of all inputs that have a parent node."""
    inputs = [o.name for o in op.contract.inputs]
    namespace: dict[str, Any] = {f"rule_{x}": rule for x, rule in op.rules.items()}
    namespace |= {f"deriv_{x}": deriv for x, deriv in op.deriv.items()}
    # Other rules than those that a kernel was made for run as they are.
    served = {x: rule for x, rule in op.served.items() if rule.forward is op.rules.get(x)}
    namespace |= {f"served_{x}": rule for x, rule in served.items()}

    def unpack(names: list[str] | tuple[str, ...], of: str) -> str:
        return f"    {_tuple([f'{n}_' for n in names])} = {of}\n" if names else ""

    calls = []
    for x in inputs:
        call = _rule_call(op, x, x in served)
        calls.append(
            "None"
            if x not in op.rules
            else call
            if op.contract.variadic or len(inputs) == 1
            else f"None if node_{x} is None else {call}"
        )
    source = PULL.format(
        nodes=""
        if op.contract.variadic or len(inputs) == 1
        else f"    {_tuple([f'node_{x}' for x in inputs])} = parents\n",
        saved=unpack(op.saved_names, "saved"),
        params=unpack(list(op.params), "params")
        if any(n in op.params for ns in op.rule_names.values() for n in ns)
        else "",
        rules=calls[0] if op.contract.variadic else _tuple(calls),
    )
    return _compile(op.name, "pull", source, namespace)


def _rule_call(op: Primitive, x: str, served: bool) -> str:
    """The rule as an expression: the chain rule written out for elementwise operations, otherwise a call."""
    values = [f"{n}_" for n in op.rule_names.get(x, ())]
    deriv = op.deriv.get(x)
    if served:
        return f"served_{x}({', '.join(['g', *values])})"
    if deriv is None:
        return f"rule_{x}({', '.join(['g', *values])})"
    if callable(deriv):
        return f"g * deriv_{x}({', '.join(values)})"
    return {1: "g", -1: "-g"}.get(deriv, f"g * {deriv!r}")


class Required:
    """Marks a parameter that has no default."""

    def __repr__(self) -> str:
        return "<required>"


REQUIRED: Any = Required()


def as_sequence(op: Any, xs: Any) -> Any:
    """Return the arrays that an operation on a sequence of them was given, as a tuple or list."""
    if type(xs) in (tuple, list):
        return xs
    try:
        return tuple(xs)
    except TypeError:
        name = op.contract.inputs[0].name
        raise errors.DTypeError(
            f"{op.name}: {name} is {type(xs).__name__} but a sequence of arrays is needed → [x, ...]"
        ) from None


def constants(out: Any) -> Any:
    """Wrap a result, or a tuple of results, that nothing is recorded for."""
    if isinstance(out, tuple):
        return tuple(constants(o) for o in out)
    return make(as_array(out))


def record_several(op: Any, out: tuple[Any, ...], parents: Any, saved: Any, params: Any) -> tuple[Tensor, ...]:
    """Record an operation with several outputs: a node for it and for each differentiable one a node that picks it."""
    out = tuple([as_array(o) for o in out])
    saved = tuple([out[op.output_index[s]] if isinstance(s, str) else s for s in saved])
    assert state.scope is not None
    node = recorded(op, parents, saved, params, out, state.scope)
    return tuple([make(array, picked(node, i, array)) for i, array in enumerate(out)])


def names_of(function: Callable[..., Any], skip: int = 0) -> tuple[str, ...]:
    """Return the argument names of ``function`` after the first ``skip``."""
    return tuple(inspect.signature(function).parameters)[skip:]
