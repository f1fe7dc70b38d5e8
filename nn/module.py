"""Module and Parameter: a network is a tree of objects; parameters, buffers and children are plain attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Self

import autograd
from autograd import Tensor
from autograd.errors import ShapeError
from nn.hooks import Handle, add_hook, call_with_hooks
from nn.state import LoadResult, fill

Hooks = Mapping[int, Callable[..., Any]]
_NO_HOOKS: Hooks = MappingProxyType({})


class Parameter(Tensor):
    """A tensor that a module learns: a leaf of the graph that requires gradients.

    Assigned to an attribute of a `Module` it is found by `parameters()`, `state_dict()` and `to()`.
    `data` is a tensor (its memory is shared), an array or nested numbers.

    >>> Parameter(autograd.zeros((2, 3))).requires_grad
    True
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        array = data.data if isinstance(data, Tensor) else autograd.tensor(data).data
        super().__init__(array, requires_grad)


class Module:
    """Base of all layers and networks: define `forward`, call the module.

    Parameters, buffers and child modules are plain attributes, walked in the order in which they were assigned.
    A call enters an `autograd.scope` named after the attribute by which the parent holds the module, so that every
    node of the graph knows its place (`features.conv1`). Calling `super().__init__()` is allowed and not needed.

    >>> class Affine(Module):
    ...     def __init__(self):
    ...         self.scale, self.shift = Parameter([2.0]), Parameter([1.0])
    ...     def forward(self, x):
    ...         return x * self.scale + self.shift
    >>> model = Affine()
    >>> [name for name, _ in model.named_parameters()]
    ['scale', 'shift']
    >>> model(autograd.tensor([3.0])).item()
    7.0
    """

    training: bool = True
    symbols: Mapping[str, str] = MappingProxyType({"weight": "W", "bias": "b"})
    """What the module's own parameters are called in formulas and diagrams."""
    _name: str = ""
    _buffers: Mapping[str, bool] = MappingProxyType({})
    _pre_hooks: Hooks = _NO_HOOKS
    _forward_hooks: Hooks = _NO_HOOKS
    _backward_hooks: Hooks = _NO_HOOKS

    # ---------------------------------------------------------------- calling

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the module's output; every subclass defines it."""
        raise NotImplementedError(
            f"{type(self).__name__} defines no forward(): add one, it is what calling the module runs"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward` inside the module's scope, with the hooks before and after it."""
        kind = type(self).__name__
        with autograd.scope(self._name or kind.lower(), kind=kind):
            if self._pre_hooks or self._forward_hooks or self._backward_hooks:
                return call_with_hooks(self, args, kwargs)
            return self.forward(*args, **kwargs)

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call `hook(module, args)` before `forward`; what it returns, if not None, replaces the arguments."""
        return add_hook(self, "_pre_hooks", hook)

    def register_forward_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call `hook(module, args, output)` after `forward`; what it returns, if not None, replaces the output."""
        return add_hook(self, "_forward_hooks", hook)

    def register_full_backward_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call `hook(module, grad_input, grad_output)` once the gradients of the module's inputs are known.

        Both are tuples with one entry per positional tensor argument and per output; a returned tuple, if not None,
        replaces `grad_input`.
        """
        return add_hook(self, "_backward_hooks", hook)

    # ---------------------------------------------------------------- the tree

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Module):
            value._rename(name)
        object.__setattr__(self, name, value)

    def add_module(self, name: str, module: Module | None) -> None:
        """Hold a child whose name is computed; where it is known, `self.name = module` does the same."""
        setattr(self, name, module)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Hold a parameter whose name is computed; where it is known, `self.name = param` does the same."""
        setattr(self, name, param)

    def get_submodule(self, target: str) -> Module:
        """Return the module at a dotted path, as `named_modules()` names it.

        Raises:
            KeyError: listing the paths there are.
        """
        modules = dict(self.named_modules(remove_duplicate=False))
        if target not in modules:
            raise KeyError(f"{type(self).__name__}: no module at {target!r}, expected one of {', '.join(modules)}")
        return modules[target]

    def _rename(self, name: str) -> None:
        """Take the name by which the parent holds this module; collections that are never called hand it on."""
        object.__setattr__(self, "_name", name)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Hold a tensor that is state but not learned; `persistent=False` keeps it out of `state_dict`.

        Afterwards it is a plain attribute: assigning to `self.<name>` replaces the buffer.
        """
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"register_buffer: {name} is a {type(tensor).__name__}, expected a Tensor or None; "
                "use autograd.tensor(...)"
            )
        if "." in name or not name:
            raise ValueError(f"register_buffer: name is {name!r}; use a non-empty name without dots")
        self._buffers = {**self._buffers, name: persistent}
        setattr(self, name, tensor)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Direct children with their names, each once, in definition order."""
        seen: set[int] = set()
        for name, value in self._own_modules():
            if id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def children(self) -> Iterator[Module]:
        """Direct children, each once."""
        return (module for _, module in self.named_children())

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """Itself (named `prefix`) and all modules below with dotted paths, parents first; a shared module once."""
        return self._walk_modules(prefix, set() if remove_duplicate else None)

    def modules(self) -> Iterator[Module]:
        """Itself and all modules below, each once."""
        return (module for _, module in self.named_modules())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Parameters with dotted paths, in definition order; a tied parameter once, under its first path."""
        return self._walk(Module._own_parameters, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Parameters, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Buffers with dotted paths, in the order of registration."""
        return self._walk(Module._own_buffers, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _own_modules(self) -> list[tuple[str, Module]]:
        return [(name, value) for name, value in vars(self).items() if isinstance(value, Module)]

    def _own_parameters(self) -> list[tuple[str, Parameter]]:
        return [(name, value) for name, value in vars(self).items() if isinstance(value, Parameter)]

    def _own_buffers(self) -> list[tuple[str, Tensor]]:
        return [(name, value) for name in self._buffers if (value := vars(self).get(name)) is not None]

    def _own_state(self) -> list[tuple[str, Tensor]]:
        return [*self._own_parameters(), *(pair for pair in self._own_buffers() if self._buffers[pair[0]])]

    def _walk_modules(self, path: str, seen: set[int] | None) -> Iterator[tuple[str, Module]]:
        if seen is not None:
            if id(self) in seen:
                return
            seen.add(id(self))
        yield path, self
        for name, child in self._own_modules():
            yield from child._walk_modules(_join(path, name), seen)

    def _walk(self, own: Callable[[Module], Any], prefix: str, recurse: bool, once: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for path, module in self.named_modules(prefix, once) if recurse else [(prefix, self)]:
            for name, value in own(module):
                if not (once and id(value) in seen):
                    seen.add(id(value))
                    yield _join(path, name), value

    # ---------------------------------------------------------------- modes, places and types

    def train(self, mode: bool = True) -> Self:
        """Set the training mode here and below: dropout drops, batch norm uses the batch's statistics."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set the evaluation mode here and below."""
        return self.train(False)

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn(module)` on every module, children first (for example to initialise weights)."""
        for module in reversed(list(self.modules())):
            fn(module)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze (`False`) or free all parameters here and below."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for p in self.parameters():
            p.grad = None if set_to_none or p.grad is None else autograd.zeros_like(p.grad)

    def to(self, *targets: Any, device: str | None = None, dtype: Any = None) -> Self:
        """Move parameters and buffers to a device, a dtype, or both; integer buffers keep their dtype.

        The `Parameter` objects stay the same, so that optimisers and ties keep holding; gradients move along.

        >>> from nn import Linear
        >>> Linear(2, 3).to("float64").weight.dtype.name
        'float64'
        """
        for target in targets:
            if isinstance(target, str) and target.split(":")[0] in ("cpu", "cuda", "strict"):
                device = target
            else:
                dtype = target

        def convert(tensor: Tensor) -> Tensor:
            if dtype is not None and tensor.dtype.kind == "f":
                tensor = tensor.to(dtype)
            return tensor if device is None else tensor.to(device)

        for module in self.modules():
            for name, buffer in module._own_buffers():
                setattr(module, name, convert(buffer))
        for parameter in self.parameters():
            _move(parameter, convert)
        return self

    def cpu(self) -> Self:
        """Move parameters and buffers to the host."""
        return self.to(device="cpu")

    def cuda(self, device: int = 0) -> Self:
        """Move parameters and buffers to the GPU of that number."""
        return self.to(device=f"cuda:{device}")

    def float(self) -> Self:
        """Floating-point parameters and buffers as float32."""
        return self.to(dtype="float32")

    def double(self) -> Self:
        """Floating-point parameters and buffers as float64."""
        return self.to(dtype="float64")

    def half(self) -> Self:
        """Floating-point parameters and buffers as float16."""
        return self.to(dtype="float16")

    # ---------------------------------------------------------------- state

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters and persistent buffers under PyTorch's keys, detached, sharing memory with the module.

        A tied parameter appears under each of its keys.
        """
        return {key: tensor.detach() for key, tensor in self._walk(Module._own_state, "", True, False)}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> LoadResult:
        """Copy values (tensors or arrays) into the parameters and buffers of the same keys.

        Everything is checked before anything is copied: an error leaves the module as it was.

        Args:
            state_dict: values by key, as `state_dict()` gives them.
            strict: whether missing and unexpected keys are errors; wrong shapes always are.

        Raises:
            DataError: listing missing keys, unexpected keys, and keys whose shapes or kinds of numbers do not fit.
        """
        own = dict(self._walk(Module._own_state, "", True, False))
        return fill(own, state_dict, strict, type(self).__name__)

    # ---------------------------------------------------------------- words

    def extra_repr(self) -> str:
        """The arguments shown in the module's `repr`; subclasses override it."""
        return ""

    def __repr__(self) -> str:
        children = [f"({name}): " + repr(child).replace("\n", "\n  ") for name, child in self._own_modules()]
        extra = self.extra_repr()
        if not children:
            return f"{type(self).__name__}({extra})"
        return f"{type(self).__name__}(\n  " + "\n  ".join([extra] * bool(extra) + children) + "\n)"

    def shape_error(self, message: str) -> ShapeError:
        """A `ShapeError` that begins with the module's type and path: `Conv2d (features.0): ...`."""
        path = autograd.current_scope().path
        place = f" ({path})" if "." in path else ""
        return ShapeError(f"{type(self).__name__}{place}: {message}")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _move(parameter: Parameter, convert: Callable[[Tensor], Tensor]) -> None:
    """Give a parameter its converted array, and its gradient likewise; the object stays the same."""
    moved = convert(parameter.detach())
    if moved.data is parameter.data:
        return
    grad, wanted = parameter.grad, parameter.requires_grad
    parameter.requires_grad = False
    parameter.data = moved.data
    parameter.requires_grad = wanted
    parameter.grad = None if grad is None else convert(grad)
