"""The register of kernels, and the planner that checks a call once and remembers what serves it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from ..errors import AutogradError, DTypeError

Shape = tuple[int, ...]


class UnavailableError(AutogradError):
    """A kernel cannot run here, for a reason such as a failing compiler. The reference takes its place."""

    def __init__(self, kernel: str, reason: str) -> None:
        super().__init__(f"{kernel}: {reason}")
        self.reason = reason


@dataclass(frozen=True)
class Spec:
    """What a plan may look at: shapes and element types of the inputs, and the parameters by name."""

    shapes: tuple[Shape | None, ...]
    dtypes: tuple[Any, ...]
    params: dict[str, Any]


@dataclass(frozen=True)
class Offer:
    """A kernel: its name, its rank among the others, its plan, and how many numbers are too few for it."""

    name: str
    priority: int
    plan: Callable[[Spec], Callable[..., Any] | None]
    least: int = 0


_offers: dict[tuple[str, type], list[Offer]] = {}
_offered: set[str] = set()
_forgone: set[str] = set()
listeners: list[Callable[[str], None]] = []  # told the operation's name when a kernel is registered


def register(
    op: str, array_type: type, plan: Callable[[Spec], Callable[..., Any] | None], *, name: str, priority: int = 0,
    least: int = 0,
) -> None:  # fmt: skip
    """Offer a kernel for the operation or composite ``op`` on arrays of ``array_type``.

    A first input of fewer than ``least`` numbers goes to the reference, without the cost of a plan.
    """
    known = _offers.setdefault((op, array_type), [])
    known.append(Offer(name, priority, plan, least))
    _offered.add(op)
    known.sort(key=lambda offer: -offer.priority)
    for listener in listeners:
        listener(op)


def unregister(op: str, array_type: type, name: str) -> None:
    """Take back the kernels called ``name`` for ``op`` on arrays of ``array_type``."""
    _offers[op, array_type] = [offer for offer in _offers.get((op, array_type), ()) if offer.name != name]
    if not any(known for (o, _), known in _offers.items() if o == op):
        _offered.discard(op)
    for listener in listeners:
        listener(op)


def offers(op: str, array_type: type) -> Sequence[Offer]:
    """Return the kernels for ``op`` on arrays of ``array_type``, best first."""
    return _offers.get((op, array_type), ())


def offered(op: str) -> bool:
    """Return whether there is a kernel for ``op`` on any array type."""
    return op in _offered


def choose(available: Sequence[Offer], spec: Spec) -> tuple[Callable[..., Any] | None, list[str]]:
    """Return the first callable that a plan gives, or None, and what each kernel said."""
    said = []
    for offer in available:
        if offer.least and prod(spec.shapes[0] or ()) < offer.least:
            said.append(f"{offer.name}: serves {offer.least:,} numbers or more")
            continue
        try:
            run = offer.plan(spec)
        except UnavailableError as error:
            forgo(error)
            said.append(f"{offer.name}: {error}")
            continue
        said.append(f"{offer.name}: {'chosen' if run else 'does not serve this case'}")
        if run is not None:
            return run, said
    return None, said


def forgo(error: UnavailableError) -> None:
    """Say, once for each reason, that kernels cannot run here and that the reference takes their place."""
    if error.reason not in _forgone:
        _forgone.add(error.reason)
        warnings.warn(f"{error} → readable references run instead, slower", RuntimeWarning, stacklevel=4)


def unless_small(
    available: Sequence[Offer], planner: Callable[..., Any], reference: Callable[..., Any]
) -> Callable[..., Any]:
    """Return the planner, or a function that leaves to the reference what is too small for every offer."""
    least = min([offer.least for offer in available], default=0)
    return (lambda x, *rest: (reference if getattr(x, "size", 0) < least else planner)(x, *rest)) if least else planner


MOST = 256  # specs that a planner remembers: what some plans prepare is large


class Planner:
    """Checks a call against the contract and chooses its kernel, once per spec."""

    def __init__(self, op: Any, available: Sequence[Offer], reference: Callable[..., Any]) -> None:
        self.op, self.available, self.reference = op, available, reference
        self.count = len(op.contract.inputs)
        self.cache: dict[Any, Callable[..., Any]] = {}

    def __call__(self, *args: Any) -> Any:
        arrays, params = args[: self.count], args[self.count :]
        if self.op.contract.variadic:
            arrays = args[0]
        try:
            key = (tuple([a.shape for a in arrays]), tuple([a.dtype for a in arrays]), params)
        except AttributeError:
            self._refuse(arrays)
        run = self.cache.get(key)
        if run is None:
            run = self.plan(*key)
            if len(self.cache) >= MOST:
                self.cache.clear()
            self.cache[key] = run
        try:
            return run(*args)
        except UnavailableError as error:
            forgo(error)
            self.cache[key] = self.reference
            return self.reference(*args)

    def plan(self, shapes: tuple[Shape, ...], dtypes: tuple[Any, ...], params: tuple[Any, ...]) -> Callable[..., Any]:
        """Check the shapes, then take the first kernel that serves them."""
        named = dict(zip(self.op.params, params, strict=True))
        sizes = self.op.contract.check(self.op.name, shapes, named)
        if self.op.dims is not None:
            self.op.dims(sizes, named)
        run, _ = choose(self.available, Spec(shapes, dtypes, named))
        return run or self.reference

    def _refuse(self, arrays: tuple[Any, ...]) -> None:
        for operand, array in zip(self.op.contract.inputs, arrays, strict=True):
            if not hasattr(array, "dtype"):
                raise DTypeError(
                    f"{self.op.name}: {operand.name} is a {type(array).__name__} but an array is needed "
                    f"→ tensor({operand.name})"
                )
