"""Hooks: functions that a module calls before and after `forward`, and when gradients pass it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from autograd import Tensor, primitive
from autograd.errors import GraphError

if TYPE_CHECKING:
    from nn.module import Module

_keys = itertools.count()


class Handle:
    """Takes a hook away again: by `remove()`, or at the end of a `with` block."""

    def __init__(self, hooks: dict[int, Callable[..., Any]], key: int) -> None:
        self._hooks, self._key = hooks, key

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        self._hooks.pop(self._key, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def add_hook(module: Module, kind: str, hook: Callable[..., Any]) -> Handle:
    """Add a hook to one of the module's three collections."""
    if kind not in vars(module):
        setattr(module, kind, {})
    key = next(_keys)
    vars(module)[kind][key] = hook
    return Handle(vars(module)[kind], key)


def call_with_hooks(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run `forward` with all hooks around it."""
    for hook in tuple(module._pre_hooks.values()):
        if (replaced := hook(module, args)) is not None:
            args = replaced if isinstance(replaced, tuple) else (replaced,)
    gradients = _Gradients(module) if module._backward_hooks else None
    if gradients:
        args = gradients.watch_inputs(args)
    output = module.forward(*args, **kwargs)
    for hook in tuple(module._forward_hooks.values()):
        if (replaced := hook(module, args, output)) is not None:
            output = replaced
    return gradients.watch_outputs(output) if gradients else output


_tap = primitive(
    "backward_hook",
    "x",
    forward=lambda x, see: x,
    vjp={"x": lambda g, see: see(g)},
    params={"see": None},
    cases=(),
    doc="Return x; on the way back, what `see` makes of the gradient.",
)


class _Gradients:
    """The gradients that pass one call of a module: collected at taps around it, then shown to its hooks.

    The outputs' taps were recorded last, so a sweep meets them first; with the last input's gradient all are known.
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.awaited = self.missing = 0

    def watch_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        tensors = [i for i, value in enumerate(args) if isinstance(value, Tensor)]
        place = {i: n for n, i in enumerate(tensors)}
        self.inputs = [None] * len(tensors)
        self.awaited = self.missing = sum(args[i].requires_grad for i in tensors)
        return tuple(
            _tap(value, self._input_seen(place[i])) if i in place and value.requires_grad else value
            for i, value in enumerate(args)
        )

    def watch_outputs(self, output: Any) -> Any:
        several = isinstance(output, (tuple, list))
        values = list(output) if several else [output]
        self.outputs = [None] * len(values)
        watched = [_tap(v, self._output_seen(i)) if isinstance(v, Tensor) else v for i, v in enumerate(values)]
        return type(output)(watched) if several else watched[0]

    def _output_seen(self, place: int) -> Callable[[Any], Any]:
        def see(g: Any) -> Any:
            self.outputs[place] = _tensor(g)
            if place == 0 and not self.awaited:
                self._show()
            return g

        return see

    def _input_seen(self, place: int) -> Callable[[Any], Any]:
        def see(g: Any) -> Any:
            self.inputs[place] = _tensor(g)
            self.missing -= 1
            if self.missing:
                return g
            self.missing = self.awaited  # ready for another sweep
            self._show()
            replaced = self.inputs[place]
            return replaced if isinstance(g, Tensor) else replaced.data

        return see

    def _show(self) -> None:
        for hook in tuple(self.module._backward_hooks.values()):
            replaced = hook(self.module, tuple(self.inputs), tuple(self.outputs))
            if replaced is None:
                continue
            if self.awaited != 1:
                raise GraphError(
                    f"{type(self.module).__name__}: a backward hook can replace the gradient of one input, but "
                    f"{self.awaited} inputs require gradients; return None, and hook a module with a single input"
                )
            self.inputs = list(replaced) if isinstance(replaced, tuple) else [replaced]


def _tensor(g: Any) -> Tensor:
    return g if isinstance(g, Tensor) else Tensor(g)
