"""Sequential, ModuleList, ModuleDict: modules that hold modules."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self, overload

from nn.chain import chain
from nn.module import Module


def _checked(owner: Module, module: Any) -> Module:
    if not isinstance(module, Module):
        remedy = "give them one by one, with a star" if isinstance(module, list) else "wrap a function in a Module"
        raise TypeError(f"{type(owner).__name__}: got a {type(module).__name__}, expected a Module; {remedy}")
    return module


class _Numbered(Module):
    """An ordered collection whose children are attributes named by their positions."""

    def __len__(self) -> int:
        return len(self._own_modules())

    def __iter__(self) -> Iterator[Module]:
        return iter([module for _, module in self._own_modules()])

    def __contains__(self, module: object) -> bool:
        return any(module is own for own in self)

    @overload
    def __getitem__(self, index: int) -> Module: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> Module | Self:
        if not isinstance(index, slice):
            return self._own_modules()[self._position(index)][1]
        part = type(self).__new__(type(self))
        for position, (name, module) in enumerate(self._own_modules()[index]):
            # Past __setattr__, so that the modules keep the scope in which the whole collection runs them.
            vars(part)[name if isinstance(self, Sequential) else str(position)] = module
        return part

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._own_modules()[self._position(index)][0], _checked(self, module))

    def __delitem__(self, index: int | slice) -> None:
        modules = list(self)
        del modules[index]
        self._renumber(modules)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        setattr(self, str(len(self)), _checked(self, module))
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> None:
        """Insert a module before `index`; the later ones are renumbered."""
        modules = list(self)
        modules.insert(index, _checked(self, module))
        self._renumber(modules)

    def _position(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{type(self).__name__}: index {index} of {len(self)} modules")
        return index

    def _renumber(self, modules: list[Module]) -> Self:
        for name, _ in self._own_modules():
            delattr(self, name)
        return self.extend(modules)


class Sequential(_Numbered):
    """Modules applied one after the other: positional (named "0", "1", …), or in a dict that names them.

    >>> from nn import Linear, ReLU
    >>> model = Sequential(Linear(4, 3), ReLU(), Linear(3, 2))
    >>> len(model), model[:2][0] is model[0]
    (3, True)
    >>> list(model.state_dict())
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                _add_named(self, name, module)
        else:
            self.extend(_checked(self, module) for module in modules)

    def forward(self, x: Any) -> Any:
        """Apply the modules in order."""
        return chain(x, *self)


class _Holder(Module):
    """A collection that is never called: its children carry its name in their scopes (`layers.0`)."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        self._hand_on(name, value)

    def _rename(self, name: str) -> None:
        super()._rename(name)
        for child, module in self._own_modules():
            self._hand_on(child, module)

    def _hand_on(self, name: str, child: Any) -> None:
        if isinstance(child, Module) and self._name:
            child._rename(f"{self._name}.{name}")


class ModuleList(_Holder, _Numbered):
    """A list of modules; `forward` of its owner decides how they are used.

    >>> from nn import Linear
    >>> [name for name, _ in ModuleList([Linear(2, 2), Linear(2, 2)]).named_children()]
    ['0', '1']
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])


class ModuleDict(_Holder):
    """Modules by name; `forward` of its owner decides how they are used.

    >>> from nn import Linear
    >>> heads = ModuleDict({"cat": Linear(2, 1), "dog": Linear(2, 1)})
    >>> list(heads), "cat" in heads
    (['cat', 'dog'], True)
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        self.update(modules)

    def __len__(self) -> int:
        return len(self._own_modules())

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self._own_modules()))

    def __contains__(self, name: object) -> bool:
        return name in dict(self._own_modules())

    def __getitem__(self, name: str) -> Module:
        return dict(self._own_modules())[name]

    def __setitem__(self, name: str, module: Module) -> None:
        if name in self:
            setattr(self, name, _checked(self, module))
        else:
            _add_named(self, name, module)

    def __delitem__(self, name: str) -> None:
        self[name]  # KeyError for a name that is not a module
        delattr(self, name)

    def keys(self) -> KeysView[str]:
        """The names."""
        return dict(self._own_modules()).keys()

    def values(self) -> ValuesView[Module]:
        """The modules."""
        return dict(self._own_modules()).values()

    def items(self) -> ItemsView[str, Module]:
        """Names and modules."""
        return dict(self._own_modules()).items()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace modules."""
        for name, module in dict(modules).items():
            self[name] = module


def _add_named(owner: Module, name: str, module: Module) -> None:
    if not name or "." in name or hasattr(owner, name):
        raise KeyError(f"{type(owner).__name__}: the name {name!r} is empty, has a dot, or is taken; choose another")
    setattr(owner, name, _checked(owner, module))
