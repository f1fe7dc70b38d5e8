"""Operations on whole sequences become one box per step: which axes are kept apart, and what is drawn then."""

import zlib

import numpy as np
import pytest

from autograd import composites, registry
from autograd.diagram.axes import input_axis
from autograd.diagram.graph import Box
from autograd.testing import samples

OPS = {name: op for name, op in {**registry, **composites}.items() if not name.endswith("_example")}


@pytest.mark.parametrize("name", sorted(OPS))
def test_an_axis_that_is_kept_apart_can_be_computed_slice_by_slice(name: str) -> None:
    op = OPS[name]
    for case in op.cases:
        sample = samples.draw(op, np.random.default_rng(zlib.crc32(name.encode())), case)
        out = sample.bind(op.call)(*sample.inputs)
        if not isinstance(out, np.ndarray) or name == "dropout":
            continue
        box = Box(name, "operation", name, op=name, shape=out.shape, given=sample.params)
        for axis in range(out.ndim):
            slots = [
                None if x is None or np.ndim(x) == 0 else input_axis(box, i, x.shape, axis)
                for i, x in enumerate(sample.inputs)
            ]
            if slots.count(None) == len(slots):
                continue
            for i in range(out.shape[axis]):
                part = [x if s is None else np.take(x, [i], axis=s) for x, s in zip(sample.inputs, slots, strict=True)]
                expected = np.take(out, [i], axis=axis)
                np.testing.assert_allclose(sample.bind(op.call)(*part), expected, rtol=1e-9, atol=1e-12)
