"""Every declared operation has every property that follows from its declaration: nothing here names an operation.

The properties stand in ``autograd.testing.properties``; ``test_properties.py`` shows that each of them can fail.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograd import composites, registry
from autograd.testing import assert_gradients, samples
from autograd.testing.properties import PROPERTIES, of_sample

DECLARED = {**registry, **composites}.items()
OPS = {name: op for name, op in DECLARED if op.call.__module__.startswith("autograd.") and "_example" not in name}


@pytest.mark.parametrize("property", PROPERTIES.values(), ids=lambda property: property.name.replace(" ", "-"))
@pytest.mark.parametrize("name", sorted(OPS))
def test_operation(name, property):
    property.hold(OPS[name])


@given(st.data())
def test_any_operation_at_any_point(data):
    name = data.draw(st.sampled_from([n for n in sorted(OPS) if getattr(OPS[n], "rules", True)]))
    e = of_sample(data.draw(samples.strategy(OPS[name])))
    assert_gradients(e.f, *e.points, order=2)
