"""What all optimisers share: groups of parameters, what is remembered for each, saving and loading."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, ClassVar, TypeAlias

import autograd
from autograd import Tensor
from autograd.errors import DeviceError, DomainError, DTypeError, ShapeError

Array: TypeAlias = Any
"""An array of the library that holds the parameter: what `Tensor.data` is."""
State: TypeAlias = dict[str, Any]
Group: TypeAlias = dict[str, Any]
Params: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]]


class Optimizer:
    """Applies an update rule to groups of parameters, each group with hyperparameters of its own.

    `params`: tensors, or dicts `{"params": [...], "lr": ...}` whose other entries hold for that group only.
    `hyperparameters`: those in the signature of the class's `rule(p, g, state, lr=..., ...)`, by position or by name.
    `maximize`: climb instead of descending. To add an optimiser, write a rule, which returns what is to be subtracted
    from p, and a class that names it.

    Raises: `DomainError` for no parameters, a parameter given twice, a hyperparameter unknown or out of range;
    `DTypeError` for anything that is not a leaf of floating type. One that is frozen (`requires_grad=False`) is passed
    over while it is.
    """

    rule: ClassVar[Callable[..., Array]]

    def __init_subclass__(cls) -> None:
        """Show the rule's hyperparameters as the constructor's, to `help()` and to editors."""
        first, *rest = _hyperparameters(cls.rule)
        params = inspect.Parameter("params", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        maximize = inspect.Parameter("maximize", inspect.Parameter.KEYWORD_ONLY, default=False)
        cls.__signature__ = inspect.Signature([params, first, *rest, maximize])  # type: ignore[attr-defined]

    def __init__(self, params: Params, *hyperparameters: Any, maximize: bool = False, **named: Any) -> None:
        declared = {parameter.name: parameter.default for parameter in _hyperparameters(type(self).rule)}
        self._declared = {**declared, "maximize": False}
        if len(hyperparameters) > len(declared):
            count = len(hyperparameters)
            raise DomainError(f"{self._name}: {count} hyperparameters given, expected {', '.join(declared)}")
        by_position = dict(zip(declared, hyperparameters))
        if twice := sorted(by_position.keys() & named.keys()):
            raise DomainError(f"{self._name}: {twice} given by position and by name → give each once")
        given = {"maximize": maximize, **named, **by_position}
        self._refuse_unknown(given)
        self.defaults: dict[str, Any] = {**declared, **given}
        self.param_groups: list[Group] = []
        self.state: dict[int, State] = {}
        """What the rule remembers, by the parameter's position counted over all groups."""
        if isinstance(params, (Tensor, Mapping)):
            raise DTypeError(f"{self._name}: params is a single {type(params).__name__}, expected a list → write [p]")
        entries = list(params)
        if not entries:
            raise DomainError(f"{self._name}: params is empty, expected ≥ 1 tensor → pass model.parameters()")
        groups: list[Any] = entries if isinstance(entries[0], Mapping) else [{"params": entries}]
        for group in groups:
            self.add_param_group(group)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add `{"params": tensors, hyperparameter: value, ...}`; what is not given comes from the defaults."""
        if not isinstance(group, Mapping) or "params" not in group:
            raise DTypeError(f'{self._name}: a group is {group!r:.60}, expected a dict → give it the key "params"')
        params = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        if not params:
            raise DomainError(f"{self._name}: group {len(self.param_groups)} has 0 parameters → drop the group")
        known = {id(p) for p in self._parameters()}
        for i, p in enumerate(params):
            if not isinstance(p, Tensor):
                kind = type(p).__name__
                raise DTypeError(f"{self._name}: params[{i}] is a {kind}, expected a Tensor → pass model.parameters()")
            if p.dtype.kind != "f":
                raise DTypeError(
                    f"{self._name}: params[{i}], {p.shape}, is {p.dtype}, expected a floating type → leave it out"
                )
            if not p.is_leaf:
                raise DTypeError(f"{self._name}: params[{i}], {p.shape}, is computed → give what it is computed from")
            if id(p) in known:
                raise DomainError(f"{self._name}: params[{i}], {p.shape}, is given twice → list each parameter once")
            known.add(id(p))
        given = {name: value for name, value in group.items() if name != "params"}
        self._refuse_unknown(given)
        self._check(self.defaults | given)
        self.param_groups.append({"params": params, **self.defaults, **given})

    def _refuse_unknown(self, given: Mapping[str, Any]) -> None:
        if unknown := sorted(given.keys() - self._declared.keys()):
            raise DomainError(f"{self._name}: unknown hyperparameter {unknown} → use {', '.join(self._declared)}")

    def _check(self, values: Mapping[str, Any]) -> None:
        """Refuse hyperparameters outside their ranges, NaN among them, or of another type than their defaults."""
        for name, value in values.items():
            if name == "betas":
                pair = isinstance(value, Sequence) and len(value) == 2 and all(map(_is_number, value))
                require(self._name, name, value, pair and all(0 <= b < 1 for b in value), "two in [0, 1)")
            elif isinstance(self._declared[name], bool):
                require(self._name, name, value, isinstance(value, bool), "True or False")
            elif _is_number(self._declared[name]):
                require(self._name, name, value, _is_number(value) and 0 <= value < math.inf, "a finite number ≥ 0")

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, or fill them with zeros."""
        for p in self._parameters():
            p.grad = None if set_to_none or p.grad is None else autograd.zeros_like(p.grad)

    def step(self) -> None:
        """Update, in place, every parameter that has a gradient."""
        rule, names, index = type(self).rule, [*self._declared][:-1], 0
        with autograd.no_grad():
            for group in self.param_groups:
                hyperparameters = {name: group[name] for name in names}
                for p in group["params"]:
                    if (grad := p.grad) is not None:
                        # Arrays, not tensors: nothing is recorded here, and small parameters take half the time.
                        g = -grad.data if group["maximize"] else grad.data
                        state = self.state.setdefault(index, {})
                        try:
                            autograd.apply_update(p, rule, g, state, **hyperparameters)
                        except Exception:
                            self._check_devices(p, index, state)
                            raise
                    index += 1

    def _check_devices(self, p: Tensor, index: int, state: State) -> None:
        """Say so where the model was moved and what is remembered stayed behind."""
        for name, value in state.items():
            if (there := Tensor(value).device) != p.device and hasattr(value, "dtype"):
                raise DeviceError(
                    f"{self._name}.step: parameter {index} is on {p.device!r} but its {name} on {there!r} "
                    "→ move the model before building the optimiser"
                )

    def state_dict(self) -> dict[str, Any]:
        """`{"state": {position: {...}}, "param_groups": [...]}`: positions stand for parameters, tensors are live."""
        groups, start = [], 0
        for group in self.param_groups:
            positions = list(range(start, start + len(group["params"])))
            groups.append({**group, "params": positions})
            start += len(positions)
        state = {i: {k: _as_tensor(v) for k, v in entries.items()} for i, entries in self.state.items() if entries}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from the `state_dict()` of an optimiser over parameters of the same shapes; copies its tensors.

        Raises: `DomainError` where groups, counts or hyperparameters differ, `ShapeError` where a remembered tensor
        does not fit its parameter; nothing is changed then.
        """
        name, params = f"{self._name}.load_state_dict", self._parameters()
        if not {"state", "param_groups"} <= state_dict.keys():
            raise DomainError(f"{name}: got the keys {list(state_dict)[:5]} → give an optimiser's state_dict()")
        groups = state_dict["param_groups"]
        ours, theirs = ([len(group["params"]) for group in side] for side in (self.param_groups, groups))
        if ours != theirs:
            raise DomainError(
                f"{name}: the state has groups of {theirs} parameters, the optimiser of {ours}"
                " → build the optimiser over the same model and groups"
            )
        for group in groups:
            if missing := sorted(self.defaults.keys() - group.keys()):
                raise DomainError(
                    f"{name}: the state has {sorted(group)}, but not {missing} → it is another optimiser's state"
                )
        state = {int(i): self._adopt(params[int(i)], int(i), entries) for i, entries in state_dict["state"].items()}
        self.state = state
        for group, loaded in zip(self.param_groups, groups, strict=True):
            group.update({key: value for key, value in loaded.items() if key != "params"})

    def _adopt(self, p: Tensor, index: int, entries: Mapping[str, Any]) -> State:
        """One parameter's remembered values, its tensors copied to the parameter's device and dtype."""
        state: State = {}
        for name, value in entries.items():
            if isinstance(value, Tensor):
                if value.shape != p.shape:
                    raise ShapeError(
                        f"{self._name}.load_state_dict: {name} of parameter {index} has shape {value.shape}, "
                        f"the parameter {p.shape} → build the optimiser over the same model"
                    )
                state[name] = zeros_like(p.data)
                state[name][...] = value.to(p.device).data
            else:
                state[name] = value
        return state

    def __repr__(self) -> str:
        lines = [
            f"  {len(group['params'])} parameters: " + ", ".join(f"{k}={v}" for k, v in group.items() if k != "params")
            for group in self.param_groups
        ]
        return "\n".join([f"{self._name}(", *lines, ")"])


def _hyperparameters(rule: Callable[..., Array]) -> list[inspect.Parameter]:
    """What follows `p, g, state` in a rule's signature."""
    return list(inspect.signature(rule).parameters.values())[3:]


def zeros_like(array: Array) -> Array:
    """An array of zeros of the same shape, type and device."""
    zeros = array.copy()
    zeros[...] = 0
    return zeros


def _as_tensor(value: Any) -> Any:
    return Tensor(value) if hasattr(value, "dtype") else value


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def require(operation: str, name: str, value: Any, holds: bool, expected: str) -> None:
    """Raise a `DomainError` that names operation, argument, value and what was expected, unless `holds`."""
    if not holds:
        raise DomainError(f"{operation}: {name} is {value!r}, expected {expected}")
