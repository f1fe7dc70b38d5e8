"""Kernels trust nothing: what does not fit is left to the reference, and no byte outside of an array is touched."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

pytest.importorskip("numba")

import autograd
from autograd import kernels
from autograd.kernels.cpu.layout import distance
from autograd.ops.normalize import batch_norm_training, class_cross_entropy
from nn.optim import algorithms
from tests.autograd.kernels.layouts import LAYOUTS


def output_of(program, **environment):
    command = [sys.executable, "-W", "always", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


def test_where_only_the_way_back_does_not_compile_the_definition_goes_it():
    class Half:
        def forward(self, x, w, b, residual, eps, activation):
            return (x.copy(), x.mean(0), x.var(0)), None

        def backward(self, *_):
            raise kernels.UnavailableError("half", "no way back")

    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(s) for s in ((5, 3), 3, 3)]

    def gradients():
        inputs = [autograd.Tensor(a, requires_grad=True) for a in arrays]
        out = batch_norm_training(*inputs)
        return autograd.gradients(out[0], inputs, autograd.Tensor(np.arange(15.0).reshape(5, 3)))

    with autograd.use_kernels(False):
        expected = gradients()
    kernels.register("batch_norm_training", np.ndarray, lambda spec: Half(), name="half", priority=1000)
    try:
        with pytest.warns(RuntimeWarning, match="no way back"):
            found = gradients()
    finally:
        kernels.unregister("batch_norm_training", np.ndarray, "half")
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a.data, b.data)


@pytest.mark.parametrize("layout", [*LAYOUTS, "broadcast"])
@pytest.mark.parametrize("channels", [5, 32])
def test_the_bias_of_a_convolution_may_lie_anyhow(channels, layout):
    rng = np.random.default_rng(1)
    x, w, b = (rng.standard_normal(s).astype("f") for s in ((4, 16, 14, 14), (channels, 16, 3, 3), channels))
    b = np.broadcast_to(b[:1], b.shape) if layout == "broadcast" else LAYOUTS[layout](b)
    inputs = *map(autograd.Tensor, (x, w, b)), (1, 1), ((1, 1), (1, 1)), (1, 1), 1
    found = autograd.biased_conv2d(*inputs).data
    with autograd.use_kernels(False):
        np.testing.assert_allclose(found, autograd.biased_conv2d(*inputs).data, rtol=0, atol=1e-3)


@given(st.tuples(*[st.integers(1, 4)] * 4), st.lists(st.booleans(), min_size=4, max_size=4), st.permutations(range(4)))
def test_pixels_apart_lie_where_it_is_said(shape, repeated, order):
    dense = np.empty([shape[axis] for axis in order], np.float32).transpose(np.argsort(order))
    x = as_strided(dense, shape, [0 if again else s for again, s in zip(repeated, dense.strides, strict=True)])
    if apart := distance(x):
        places = np.add.outer(np.arange(x.size // shape[1]) * apart, np.arange(shape[1])) * x.itemsize
        offsets = sum(np.ix_(*[np.arange(n) * s for n, s in zip(shape, x.strides, strict=True)]))
        assert np.array_equal(places, offsets.transpose(0, 2, 3, 1).reshape(places.shape))


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop"])
def test_moments_that_do_not_fit_are_refused(name):
    moments = dict.fromkeys(("momentum_buffer", "exp_avg", "exp_avg_sq", "square_avg"), np.zeros(3, np.float32))
    options = {
        "sgd": {"momentum": 0.9, "dampening": 0.0, "nesterov": False},
        "adam": {"betas": (0.9, 0.99), "eps": 1e-8, "amsgrad": False},
        "adamw": {"betas": (0.9, 0.99), "eps": 1e-8, "amsgrad": False},
        "rmsprop": {"alpha": 0.9, "eps": 1e-8, "momentum": 0.0, "centered": False},
    }[name]
    p, g = autograd.Tensor(np.zeros(5000, np.float32)), np.ones(5000, np.float32)
    with pytest.raises(ValueError, match="broadcast"), autograd.no_grad():
        autograd.apply_update(
            p, getattr(algorithms, name), g, {"step": 1, **moments}, lr=0.1, weight_decay=0, **options
        )
    assert not p.data.any()


def test_classes_that_broadcast_or_change_are_not_followed_outside():
    x, target = np.zeros((2, 3, 4, 4), np.float32), np.zeros((2, 4, 4), np.int64)
    ignored = np.zeros(target.shape, bool)
    served = autograd.explain(class_cross_entropy, x, target, ignored)
    assert "cpu.cross_entropy" in served.splitlines()[0]
    assert "definition" in autograd.explain(class_cross_entropy, x, target[:, :1, :1], ignored).splitlines()[0]
    leaf = autograd.Tensor(x, requires_grad=True)
    losses = class_cross_entropy(leaf, autograd.Tensor(target), autograd.Tensor(ignored))
    target[...] = 1 << 40
    gradient = autograd.gradients(losses, leaf, autograd.Tensor(np.ones(target.shape, np.float32))).data
    np.testing.assert_allclose(gradient, 1 / 3, rtol=1e-6)


def test_no_number_behind_an_array_is_read():
    """The gradient of few filters, the result's ending where no memory is."""
    pytest.importorskip("resource")  # elsewhere there is no mprotect
    printed, _ = output_of("""
        import ctypes, mmap, numpy as np, autograd
        from autograd.kernels.cpu import chunks, filters
        from autograd.ops.conv import conv2d_dw
        def at_the_end(x):
            memory = mmap.mmap(-1, 2 * mmap.PAGESIZE)
            start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
            ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + mmap.PAGESIZE), mmap.PAGESIZE, 0)
            moved = np.frombuffer(memory, x.dtype, x.size, mmap.PAGESIZE - x.nbytes).reshape(x.shape)
            moved[...] = x
            return moved
        chunks.CHUNK = filters.ALONE = 1
        for k in 1, 3, 17:
            x, y = np.ones((2, 5, 5, 1), "f").transpose(0, 3, 1, 2), np.ones((2, 2, 2, k), "f")
            dw = conv2d_dw(x, at_the_end(y).transpose(0, 3, 1, 2), (2, 2), 3)
            print(dw.shape == (k, 1, 2, 2), (dw == 8).all())
    """)
    assert printed == "\n".join(["True True"] * 3)


STEP = """
    import numpy as np, autograd
    x = autograd.tensor(np.ones((4, 8), "f"))
    print(autograd.softmax(x).sum().item(), autograd.explain(autograd.softmax, x).splitlines()[0])
"""


def test_without_compiling_references_serve_with_one_warning():
    printed, told = output_of(STEP, NUMBA_DISABLE_JIT="1")
    assert printed == "4.0 softmax on cpu (ndarray): the definition autograd.ops.normalize.softmax"
    assert told.count("RuntimeWarning") == 1 and "NUMBA_DISABLE_JIT is set" in told


def test_what_a_full_disk_cannot_keep_still_runs(tmp_path):
    pytest.importorskip("resource")
    full = """
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    """
    printed, told = output_of(textwrap.dedent(full) + textwrap.dedent(STEP), NUMBA_CACHE_DIR=str(tmp_path))
    assert printed == "4.0 softmax on cpu (ndarray): cpu.rows"
    assert "Warning" not in told
