"""A property-based test of gradients out of a function that returns a tensor."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as hst
from hypothesis.strategies import SearchStrategy

from ..core.sweep import gradients
from ..core.tensor import Tensor
from ..errors import AutogradError
from .checks import assert_gradients
from .diagnosis.reproduce import literal
from .drawn import LAYOUTS
from .precision import check_precision
from .profiles import examples
from .strategies import SYMMETRIC, together

SHOWN = 200  # elements of an array whose values are written out: shrunk ones are simple


def gradient_property(
    *, order: int = 1, directions: int = 1, nightly: int | None = None, **arguments: SearchStrategy[Any]
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Make a test out of a function that returns a tensor or several: its gradients are right at whatever is drawn.

    Hypothesis draws the arguments, shrinks those that fail, and remembers them. A letter has one size in all shapes.
    Where an array lies otherwise in memory than usual, result and gradients must be those of a plain copy. The function
    may be a method, take pytest's fixtures and parameters besides, and stand below ``@settings`` and ``@example``;
    fixtures are set up once for all examples. A failure prints the line, ``@example(...)``, that shows it again; the
    function itself stays at hand as ``.function``.

    Args:
        order: 1 for gradients, 2 for gradients of gradients, 3 …
        directions: how many random directions to try at each point.
        nightly: how many points to draw where the profile draws 10 000 or more, as ``nightly`` does.
        arguments: a strategy for each argument that is to be drawn: ``x=strategies.tensors("N C H W")``. Floating
            tensors are differentiated, the others stay as they are; symmetric ones move among the symmetric.

    Raises:
        AutogradError: if an argument is no strategy, or the function does not have it.
        ShapeError: if the letters cannot be solved.
        AssertionError: when the test runs and a gradient is wrong; ``assert_gradients`` says how.

    >>> import autograd
    >>> from autograd.testing import strategies as st
    >>> @gradient_property(x=st.tensors("N D"), w=st.tensors("D K"), order=2)
    ... def test_product_of_tanh(x, w):
    ...     return autograd.tanh(x) @ w
    >>> test_product_of_tanh()
    """
    if not arguments:
        raise AutogradError("gradient_property: no argument is drawn → name one, x=strategies.tensors('N D')")
    bundle = hst.shared(together(**arguments))  # drawn once for every example
    symmetric = {n for n, s in arguments.items() if getattr(getattr(s, "spec", None), "domain", None) in SYMMETRIC}

    def decorate(function: Callable[..., Any]) -> Callable[..., None]:
        _hold_against(function, arguments)
        largest: dict[str, tuple[int, str, str]] = {}  # of the failures so far, what they look like; by fixed arguments

        @functools.wraps(function)
        def test(*args: Any, **given: Any) -> None:
            __tracebackhide__ = True
            drawn = {n: given.pop(n) for n in arguments}
            call = _Call(function, args, given, drawn, symmetric)
            try:
                call.hold_layouts()
                assert_gradients(call, *call.points, order=order, directions=directions)
                call.hold_precision()
            except Exception as error:
                if isinstance(error, AssertionError):
                    here = call.looks(error)
                    _, words, shapes = largest[repr(given)] = max(largest.get(repr(given), here), here)
                    if words != here[1]:  # the fewer elements, the more mistakes look alike
                        error.add_note(f"before shrinking, with {shapes}, it {words}")
                if "reproduce: " not in str(error):
                    error.add_note(f"reproduce: {call.reproduce()}")
                raise

        test.function = function  # type: ignore[attr-defined]
        if not hasattr(test, "_hypothesis_internal_use_settings"):  # so that @settings may still be put on top
            test._hypothesis_internal_use_settings = _settings(nightly)  # type: ignore[attr-defined]
        return given(**{n: bundle.map(itemgetter(n)) for n in arguments})(test)

    return decorate


def _settings(nightly: int | None) -> settings:
    """The profile's, but nothing is timed, fixtures serve all examples, and no lines of this library explain a failure.

    More examples in a night if the test asks for them.
    """
    quiet = [*settings().suppress_health_check, HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    phases = [p for p in settings().phases if p is not Phase.explain]
    return settings(max_examples=examples(nightly or 0), suppress_health_check=quiet, phases=phases, deadline=None)


def _hold_against(function: Any, arguments: Mapping[str, Any]) -> None:
    """Refuse strategies for arguments that the function does not have."""
    name = getattr(function, "__name__", repr(function))
    if not callable(function) or isinstance(function, type):
        raise AutogradError(f"gradient_property: {name} is not a function → put it on one that returns a tensor")
    taken = inspect.signature(function).parameters
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    unknown = [n for n in arguments if n not in taken or taken[n].kind not in by_name]
    if unknown:
        names = ", ".join(n for n in taken if n != "self") or "no arguments"
        raise AutogradError(f"gradient_property: {name} has no argument {unknown[0]!r} → it takes {names}")


class _Call:
    """The function under test as one of its floating tensors only, each once; the other arguments are filled in."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        fixed: Mapping[str, Any],
        drawn: Mapping[str, Any],
        symmetric: set[str],
    ) -> None:
        self.function, self.args, self.fixed, self.drawn = function, args, fixed, drawn
        moving = {n: x for n, x in drawn.items() if isinstance(x, Tensor) and x.dtype.kind == "f"}
        self.first = {id(x): n for n, x in reversed(moving.items())}  # an aliased tensor goes by its first name
        self.owner = {n: self.first[id(x)] for n, x in moving.items()}
        self.names = list(dict.fromkeys(self.owner.values()))
        self.points = [drawn[n].detach() for n in self.names]
        self.symmetric = symmetric
        self.__name__ = f"{function.__name__}.function"
        inputs = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_ONLY) for n in self.names]
        self.__signature__ = inspect.Signature(inputs)  # messages name inputs by it

    def __call__(self, *tensors: Any) -> Any:
        given = dict(zip(self.names, tensors, strict=True))
        moved = {n: (x + x.mT) / 2 if n in self.symmetric else x for n, x in given.items()}
        rest = {n: x for n, x in self.drawn.items() if n not in self.owner}
        return self.function(*self.args, **self.fixed, **rest, **{n: moved[o] for n, o in self.owner.items()})

    def looks(self, error: AssertionError) -> tuple[int, str, str]:
        """How large the inputs are, what the mistake looks like there, and their shapes."""
        words = [t.replace(":", "", 1) for t in str(error).splitlines() if t.startswith("looks like: ")]
        shapes = ", ".join(f"{n} {x.shape}" for n, x in zip(self.names, self.points))
        return sum(x.size for x in self.points) if words else 0, "".join(words), shapes

    def reproduce(self) -> str:
        """The line of a program that draws these arguments again; ``x=(x := …), y=x`` is one tensor twice."""
        aliased = {o for n, o in self.owner.items() if n != o}
        written = {n: f"({n} := {_code(x)})" if n in aliased else _code(x) for n, x in self.drawn.items()}
        written |= {n: o for n, o in self.owner.items() if n != o}
        line = ", ".join(f"{n}={x}" for n, x in written.items())
        return f"@example({line}) above {self.function.__name__}"

    def hold_precision(self) -> None:
        """Hold values and gradients in a narrow type that was drawn against those in float64."""
        for dtype in sorted({x.dtype.name for x in self.points} - {"float64"}):
            report = check_precision(self, *self.points, dtype=dtype)
            if not report.ok:
                raise AssertionError(str(report))

    def hold_layouts(self) -> None:
        """Hold result and gradients against those of plain copies, if an array does not lie as usual."""
        odd = [n for n, x in zip(self.names, self.points) if not _is_plain(x.data)]
        if not odd:
            self(*self.points)  # an example that the function itself rejects is none of the checks' business
            return
        plain = [Tensor(LAYOUTS["C"](x.data)) for x in self.points]
        for what, x, y in zip(("result", "gradient"), self._values(self.points), self._values(plain)):
            for a, b in zip(x, y, strict=True):
                size = float(np.max(np.abs(b), initial=1.0, where=np.isfinite(b)))
                near = float(np.finfo(a.dtype).eps) ** 0.5 * size if a.dtype.kind == "f" else 0
                if a.shape != b.shape or not np.allclose(a, b, rtol=0, atol=near, equal_nan=True):
                    how = ", ".join(f"{n} has strides {self.drawn[n].data.strides}" for n in odd)
                    raise AssertionError(
                        f"{self.function.__name__}: the {what} changes with how an array lies in memory: {how} "
                        f"→ do not look past .data at the memory"
                    )

    def _values(self, points: list[Tensor]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Results and gradients, for cotangents of both signs."""
        inputs = [Tensor(x.data, requires_grad=True) for x in points]
        out = self(*inputs)
        found = [o for o in (out if isinstance(out, (tuple, list)) else (out,)) if isinstance(o, Tensor)]
        live = [o for o in found if o.requires_grad]
        rng = np.random.default_rng(0)
        seeds = [Tensor(rng.standard_normal(o.shape).astype(o.dtype)) for o in live]
        dx = gradients(live, inputs, seeds, allow_unused=True) if live else []
        return [o.detach().numpy() for o in found], [g.detach().numpy() for g in dx if g is not None]


def _is_plain(x: Any) -> bool:
    return not isinstance(x, np.ndarray) or bool(x.flags.c_contiguous and x.flags.writeable)


def _code(x: Any) -> str:
    """The drawn value as one writes it in a program."""
    return f"Tensor({literal(x.numpy(), SHOWN)})" if isinstance(x, Tensor) else literal(x)
