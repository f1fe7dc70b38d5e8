"""The strict device: NumPy arrays that behave like CuPy's, so that what would break on a GPU breaks in every test run.

As in CuPy, nothing becomes a NumPy array by itself, NumPy arrays and arrays of this device never mix (Python and NumPy
scalars are welcome), reductions give 0-d arrays, and functions or arguments that CuPy lacks are refused. Every crossing
between host and device is counted. One thing is stricter: CuPy wraps indices that are out of range, here they raise.

>>> a = xp.arange(6.0).reshape(2, 3)
>>> a.sum()
strict(15.)
>>> a + np.ones(3)
Traceback (most recent call last):
...
TypeError: add: a numpy.ndarray (on the host) among arrays of the strict device → copy it there first
>>> with count_transfers() as counted:
...     found = a.sum().item()
>>> counted
Transfers(to_host=1, to_device=0)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .base import Backend, register

# What CuPy 14 has of NumPy's names and computes on the device.
_FUNCTIONS = """
abs absolute acos acosh add all allclose amax amin angle any append apply_along_axis arange arccos arccosh arcsin
arcsinh arctan arctan2 arctanh argmax argmin argpartition argsort argwhere around array array_equal array_equiv
array_split asanyarray asarray ascontiguousarray asfortranarray asin asinh astype atan atan2 atanh atleast_1d
atleast_2d atleast_3d average bincount bitwise_and bitwise_count bitwise_invert bitwise_left_shift bitwise_not
bitwise_or bitwise_right_shift bitwise_xor bool bool_ broadcast_arrays broadcast_shapes broadcast_to can_cast cbrt
ceil choose clip column_stack common_type complex128 complex64 complexfloating compress concat concatenate conj
conjugate convolve copy copysign copyto corrcoef correlate cos cosh count_nonzero cov cross cumprod cumsum
cumulative_prod cumulative_sum deg2rad degrees delete diag diag_indices diagflat diagonal diff digitize divide
divmod dot double dsplit dstack dtype e ediff1d einsum empty empty_like equal euler_gamma exp exp2 expand_dims
expm1 extract eye fabs fft fill_diagonal finfo fix flatnonzero flip fliplr flipud float16 float32 float64
float_power floating floor floor_divide fmax fmin fmod frexp full full_like gcd generic gradient greater
greater_equal heaviside histogram hsplit hstack hypot i0 identity iinfo imag index_exp indices inexact inf inner
int16 int32 int64 int8 int_ integer interp intp invert isclose iscomplexobj isfinite isin isinf isnan isneginf
isposinf isreal isrealobj isscalar issubdtype ix_ kron lcm ldexp left_shift less less_equal lexsort lib linalg
linspace log log10 log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor logspace matmul
matrix_transpose max maximum may_share_memory mean median meshgrid min minimum mod modf moveaxis multiply nan
nan_to_num nanargmax nanargmin nancumprod nancumsum nanmax nanmean nanmedian nanmin nanprod nanstd nansum nanvar
ndim negative newaxis nextafter nonzero not_equal number ones ones_like outer pad partition percentile
permute_dims pi piecewise place positive pow power prod promote_types ptp put put_along_axis putmask quantile
rad2deg radians ravel ravel_multi_index real reciprocal remainder repeat reshape resize result_type right_shift
rint roll rollaxis rot90 round searchsorted select shape shares_memory sign signbit signedinteger sin sinc sinh
size sort split sqrt square squeeze stack std subtract sum swapaxes take take_along_axis tan tanh tensordot tile
trace transpose trapezoid tri tril tril_indices triu triu_indices true_divide trunc uint16 uint32 uint64 uint8
union1d unique unravel_index unsignedinteger var vdot vsplit vstack where zeros zeros_like

linalg.LinAlgError linalg.cholesky linalg.cond linalg.cross linalg.det linalg.eig linalg.eigh linalg.eigvals
linalg.eigvalsh linalg.inv linalg.lstsq linalg.matmul linalg.matrix_power linalg.matrix_rank
linalg.matrix_transpose linalg.norm linalg.pinv linalg.qr linalg.slogdet linalg.solve linalg.svd linalg.tensorinv
linalg.tensorsolve fft.fft fft.fft2 fft.fftfreq fft.fftn fft.fftshift fft.ifft fft.ifft2 fft.ifftn fft.ifftshift
fft.irfft fft.irfft2 fft.irfftn fft.rfft fft.rfft2 fft.rfftfreq fft.rfftn lib.stride_tricks
lib.stride_tricks.as_strided lib.stride_tricks.sliding_window_view
"""
FUNCTIONS = frozenset(_FUNCTIONS.split())
_METHODS = """
all any argmax argmin argpartition argsort astype choose clip compress conj conjugate copy cumprod cumsum diagonal
dot fill flatten max mean min nonzero partition prod put ravel repeat reshape round searchsorted sort squeeze std
sum swapaxes take trace transpose var view
"""
METHODS = frozenset(_METHODS.split())
# Arguments that NumPy's functions have and CuPy's lack: of any function, and of single ones.
REFUSED = {"correction", "device", "hermitian", "initial", "like", "stable", "upper", "where", "writeable"}
REFUSED_BY = {
    "clip": {"min", "max"}, "count_nonzero": {"keepdims"}, "flip": {"m"}, "reshape": {"shape"}, "sort": {"order"},
    "take": {"mode"}, "percentile": {"weights"}, "quantile": {"weights"}, "std": {"mean"}, "var": {"mean"},
}  # fmt: skip
# The ufuncs' methods that CuPy implements, and the element types that ``at`` takes.
AT = {
    "add": "i4 u4 u8 f2 f4 f8", "subtract": "i4 u4", "maximum": "i4 u4 u8 f4 f8", "minimum": "i4 u4 u8 f4 f8",
    "bitwise_and": "i4 u4 u8", "bitwise_or": "i4 u4 u8", "bitwise_xor": "i4 u4 u8",
}  # fmt: skip
UFUNC_METHODS = {"reduce": {"add", "multiply"}, "accumulate": {"add", "multiply"}, "reduceat": {"add"}, "at": AT.keys()}
UPLOADS = {"array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray"}  # they take host data
CREATES = UPLOADS | {
    "arange", "diag_indices", "empty", "eye", "full", "identity", "indices", "ix_", "linspace", "logspace",
    "meshgrid", "ones", "tri", "tril_indices", "triu_indices", "zeros", "fft.fftfreq", "fft.rfftfreq",
}  # fmt: skip
COUNTS = {"allclose", "array_equal", "array_equiv", "count_nonzero"}  # Python numbers in NumPy, arrays in CuPy
SCALARS = (bool, int, float, complex, np.generic)


@dataclass
class Transfers:
    """How many times values crossed between host and device."""

    to_host: int = 0
    to_device: int = 0


transfers = Transfers()
_counters = [transfers]


def _count(direction: str) -> None:
    for counter in _counters:
        setattr(counter, direction, getattr(counter, direction) + 1)


@contextmanager
def count_transfers() -> Iterator[Transfers]:
    """Count the transfers in the block; ``transfers`` holds those of the whole process."""
    counter = Transfers()
    _counters.append(counter)
    try:
        yield counter
    finally:
        _counters[:] = [c for c in _counters if c is not counter]


class StrictArray(NDArrayOperatorsMixin):
    """An array of the strict device, with the methods and attributes that CuPy's arrays have.

    ``base`` is the array that owns the memory of a view. Operators come from the mixin, through ``__array_ufunc__``.
    """

    __slots__ = ("__weakref__", "_array", "base")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: np.ndarray, base: StrictArray | None = None) -> None:
        self._array, self.base = array, base

    shape = property(lambda self: self._array.shape)
    dtype = property(lambda self: self._array.dtype)
    ndim = property(lambda self: self._array.ndim)
    size = property(lambda self: self._array.size)
    itemsize = property(lambda self: self._array.itemsize)
    nbytes = property(lambda self: self._array.nbytes)
    strides = property(lambda self: self._array.strides)
    flags = property(lambda self: self._array.flags)
    T = property(lambda self: _leave(self._array.T, [self]))
    mT = property(lambda self: _leave(self._array.mT, [self]))  # noqa: N815 - NumPy's name
    real = property(lambda self: _leave(self._array.real, [self]))
    imag = property(lambda self: _leave(self._array.imag, [self]))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in METHODS:
            raise AttributeError(f"{name}: CuPy's arrays have no {name!r} → use what they have")
        return _strict(name, getattr(np.ndarray, name), self)

    def __getitem__(self, index: Any) -> Any:
        return _run("index", np.ndarray.__getitem__, (self, _index(index)), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        _run("assignment", np.ndarray.__setitem__, (self, _index(index), value), {})
        if isinstance(value, (list, tuple)):
            _count("to_device")

    def __len__(self) -> int:
        return len(self._array)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def get(self) -> np.ndarray:
        """Return a copy on the host."""
        _count("to_host")
        return self._array.copy()

    def item(self) -> Any:
        """Return the only element as a Python number; a transfer."""
        _count("to_host")
        return self._array.item()

    def tolist(self) -> Any:
        """Return nested lists of Python numbers; a transfer."""
        return self.get().tolist()

    def scatter_add(self, index: Any, value: Any) -> None:
        """Add ``value`` at ``index``, repeated indices repeatedly."""
        xp.add.at(self, index, value)

    def __bool__(self) -> bool:
        _count("to_host")
        return bool(self._array)

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise TypeError("strict: implicit conversion to a NumPy array is not allowed → use .get()")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *args: Any, **kwargs: Any) -> Any:
        known = (StrictArray, np.ndarray, list, tuple, *SCALARS)
        if method == "__call__" and any(hasattr(a, "__array_ufunc__") and not isinstance(a, known) for a in args):
            return NotImplemented  # a tensor, say: let it answer
        return _ufunc(ufunc, method, args, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        found: Any = xp
        for part in [*function.__module__.split(".")[1:], function.__name__]:
            found = getattr(found, part)
        return found(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:  # copies and pickles own their memory
        return StrictArray, (self._array.copy(),)

    def __repr__(self) -> str:
        return f"strict({np.array2string(self._array, separator=', ', prefix='strict(', threshold=200)})"


def _enter(name: str, value: Any, found: list[StrictArray]) -> Any:
    """Unwrap an argument, and note the arrays in it."""
    if isinstance(value, StrictArray):
        found.append(value)
        return value._array
    if isinstance(value, np.ndarray):
        raise TypeError(
            f"{name}: a numpy.ndarray (on the host) among arrays of the strict device → copy it there first"
        )
    if type(value) in (tuple, list):
        return type(value)(_enter(name, v, found) for v in value)
    return value


def _leave(value: Any, found: list[StrictArray]) -> Any:
    """Wrap a result; a view remembers the array that owns its memory."""
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        for source in found:
            if array is source._array:
                return source
            if np.may_share_memory(array, source._array):
                return StrictArray(array, source if source.base is None else source.base)
        return StrictArray(array)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*[_leave(v, found) for v in value])
    if isinstance(value, (tuple, list)):
        return type(value)(_leave(v, found) for v in value)
    return value


def _run(name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    found: list[StrictArray] = []
    out = function(*[_enter(name, a, found) for a in args], **{k: _enter(name, v, found) for k, v in kwargs.items()})
    if name in COUNTS and not isinstance(out, np.ndarray):
        out = np.asarray(out)
    if not found and isinstance(out, (np.ndarray, np.generic)) and name not in CREATES:
        raise TypeError(f"{name}: none of the arguments is an array of the strict device → CuPy needs one")
    return _leave(out, found)


def _strict(name: str, function: Callable[..., Any], *first: Any) -> Callable[..., Any]:
    """Return a function of NumPy, or a method of the array ``first``, as a function of this device."""

    def call(*args: Any, **kwargs: Any) -> Any:
        refused = kwargs.keys() & (REFUSED | REFUSED_BY.get(name, set())) if name != "copyto" else set()
        if refused:
            raise TypeError(f"{name}: CuPy's has no argument {', '.join(map(repr, sorted(refused)))} → do without it")
        if name in UPLOADS and not isinstance(args[0], StrictArray):
            _count("to_device")
            if isinstance(args[0], np.ndarray):
                args = (StrictArray(args[0].copy()), *args[1:])
        return _run(name, function, (*first, *args), kwargs)

    call.__name__ = name
    return call


def _index(index: Any) -> Any:
    """Lists in an index are uploaded."""
    for part in index if isinstance(index, tuple) else (index,):
        if isinstance(part, list):
            _count("to_device")
    return index


def _ufunc(ufunc: np.ufunc, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    name = ufunc.__name__
    if name not in FUNCTIONS or name not in UFUNC_METHODS.get(method, {name}):
        raise NotImplementedError(
            f"{name if method == '__call__' else f'{name}.{method}'}: CuPy has none → use what it has"
        )
    if method == "at" and args[0].dtype.str[1:] not in AT[name].split():
        raise TypeError(f"{name}.at: dtype is {args[0].dtype} but CuPy takes {AT[name]} only → convert it first")
    unknown = kwargs.keys() - {"out", "dtype", "casting", "where", "axis", "axes", "keepdims"}
    wrong = [a for a in args if not isinstance(a, (StrictArray, np.ndarray, *SCALARS))] if method == "__call__" else []
    if unknown or wrong:
        raise TypeError(f"{name}: CuPy does not take {', '.join([*unknown, *(type(a).__name__ for a in wrong)])}")
    if method == "__call__" and not any(isinstance(a, StrictArray) for a in args) and args:
        args = (StrictArray(np.asarray(args[0])), *args[1:]) if isinstance(args[0], SCALARS) else args
    return _run(name, getattr(ufunc, method), args, kwargs)


class UFunc:
    """A ufunc of this device."""

    def __init__(self, ufunc: np.ufunc) -> None:
        self._ufunc, self.__name__, self.nin, self.nout = ufunc, ufunc.__name__, ufunc.nin, ufunc.nout

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _ufunc(self._ufunc, "__call__", args, kwargs)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method not in ("at", "outer", "reduce", "accumulate", "reduceat"):
            raise AttributeError(f"{self.__name__}.{method}: CuPy's ufuncs have no {method!r}")
        return lambda *args, **kwargs: _ufunc(self._ufunc, method, args, kwargs)


class Namespace:
    """The functions of NumPy that CuPy has too, for arrays of this device."""

    def __init__(self, library: Any, path: str = "", **own: Any) -> None:
        self._library, self._path = library, path
        self.__dict__.update(own)

    def __getattr__(self, name: str) -> Any:
        path = self._path + name
        if path not in FUNCTIONS:
            raise AttributeError(f"{path}: CuPy has no {path!r} → compute it from functions that CuPy has")
        value = getattr(self._library, name)
        if isinstance(value, np.ufunc):
            value = UFunc(value)
        elif isinstance(value, type(np)):
            value = Namespace(value, path + ".")
        elif callable(value) and not isinstance(value, type):
            value = _strict(path, value)
        setattr(self, name, value)
        return value


def asnumpy(array: StrictArray) -> np.ndarray:
    """Return a copy on the host, as ``cupy.asnumpy`` does."""
    return array.get()


xp = Namespace(np, asnumpy=asnumpy, ndarray=StrictArray)


class StrictBackend(Backend):
    """The strict device."""

    name = "strict"
    xp = xp
    array_type = StrictArray

    def from_host(self, array: np.ndarray, device: str) -> StrictArray:
        """Copy a NumPy array to the device."""
        _count("to_device")
        return StrictArray(np.array(array))

    def to_host(self, array: StrictArray) -> np.ndarray:
        """Copy an array of the device to NumPy."""
        return array.get()


backend = register(StrictBackend(), "strict")
