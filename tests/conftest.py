"""How the tests run: property tests draw the same examples every time, so a failure on one machine is one on all.

`pytest --hypothesis-profile=dev ...` draws new examples, `--hypothesis-profile=nightly` many more.
"""

from collections.abc import Iterator

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


@pytest.fixture
def definitions() -> Iterator[None]:
    """No kernel stands in for a composite, so that the tape has its steps."""
    with autograd.use_kernels(False):
        yield


settings.register_profile("ci", derandomize=True, deadline=None, max_examples=50, database=None)
settings.load_profile("ci")  # unless --hypothesis-profile chooses another


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """A checkout that is not installed has no entry points: load the plugin by its module's name."""
    if not pluginmanager.has_plugin("unfold"):
        pluginmanager.import_plugin("pytest_unfold")
