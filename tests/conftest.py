"""How the tests run: property tests draw the same examples every time, so a failure on one machine is one on all.

`HYPOTHESIS_PROFILE=explore pytest ...` draws new and more examples.
"""

import os

import pytest
from hypothesis import settings

import autograd
from autograd.errors import DeviceError


def gpu_is_present() -> bool:
    """Whether CuPy and a GPU are there, so that what runs on the strict device runs on it too."""
    try:
        autograd.zeros(1, device="cuda")
    except DeviceError:
        return False
    return True


@pytest.fixture(params=["strict", "cuda"] if gpu_is_present() else ["strict"])
def device(request: pytest.FixtureRequest) -> str:
    """Each device whose arrays are not the host's."""
    return str(request.param)


settings.register_profile("default", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("explore", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
