"""The pytest plugin, in projects of its own: profiles, the report, and what it must not disturb.

Every project is a process, a second to start: a plugin's options and imports cannot be seen from inside one.
"""

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROPERTY = """
import autograd
from hypothesis import settings
from autograd.testing import assert_gradients, gradient_property, strategies as st

@settings(max_examples=20)
@gradient_property(x=st.tensors("N"), order=2)
def test_cube(x):
    return x**3

def test_one_point():
    assert_gradients(autograd.sin, autograd.tensor([0.5]), order=3)

def test_at_a_kink():
    autograd.testing.check_gradients(autograd.absolute, autograd.tensor([0.0]))
"""

# How the plugin is loaded: by its entry point, or from a checkout that is not installed by its module.
PLUGIN = "unfold" if entry_points(group="pytest11", name="unfold") else "pytest_unfold"


@pytest.fixture
def project(tmp_path):
    """Writes files, runs pytest there, and returns what it printed; the plugin is loaded as by its entry point."""
    (tmp_path / "pytest.ini").write_text("[pytest]")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "CI", "GITHUB", "HYPOTHESIS"))}

    def run(*arguments, passes=True, plugin=PLUGIN, **files):
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *(["-p", plugin] if plugin else [])]
        done = subprocess.run(
            [*command, *arguments], cwd=tmp_path, capture_output=True, text=True,
            env={**environment, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert (done.returncode == 0) == passes, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def row(text, name):
    """The numbers before a test's name in the report."""
    found = re.search(rf"^ *(\d+) +(\d+) +(\d+) +(\d+)  (.*?)  +\S*{name}$", text, re.MULTILINE)
    assert found, text
    return *map(int, found.groups()[:4]), found[5]


@pytest.mark.parametrize("processes", [[], ["-n", "2"]])
def test_the_report_says_what_was_tested(project, processes):
    text = project("--gradients", *processes, test_it=PROPERTY)
    points, checks, _, order, oracle = row(text, "test_cube")
    assert points >= 15 and checks >= 2 * points and order == 2 and "differences" in oracle
    assert row(text, "test_one_point")[0] == 1 and row(text, "test_one_point")[3] == 3
    assert row(text, "test_at_a_kink")[2] == 1, "a kink is inconclusive"
    assert row(text, "in all")[0] == points + 2


def test_the_report_when_nothing_was_checked(project):
    assert "no gradients were checked" in project("--gradients", test_it="def test(): pass")


def test_a_failing_property_shows_the_example_and_the_call(project):
    text = project("--gradients", passes=False, test_it=PROPERTY.replace("return x**3", "return (x * x.detach())"))
    assert "reproduce: @example(x=Tensor(np.array([" in text and "Failing test case: test_cube(" in text
    assert row(text, "test_cube")[0] > 1, "failures are counted too"


CHOSEN = "from hypothesis import settings\ndef test(): assert (settings().max_examples, settings().derandomize) == "


@pytest.mark.parametrize("profile, expected", [("ci", (100, True)), ("nightly", (10_000, False))])
def test_profiles(project, profile, expected):
    project(f"--hypothesis-profile={profile}", test_it=f"{CHOSEN}{expected}")


def test_a_profile_of_the_users_own_wins(project):
    mine = "from hypothesis import settings\nsettings.register_profile('dev', max_examples=7, derandomize=True)"
    project("--hypothesis-profile=dev", conftest=mine, test_it=f"{CHOSEN}(7, True)")


def test_a_test_gets_the_examples_that_it_asks_for_in_a_night(project):
    asks = """
from hypothesis import settings
from autograd.testing import gradient_property, strategies as st
from autograd.testing.profiles import examples

@gradient_property(x=st.tensors("N"), nightly=10**6)
def test_many(x):
    return x

@gradient_property(x=st.tensors("N"))
def test_usual(x):
    return x

def test_numbers():
    wanted = [t._hypothesis_internal_use_settings.max_examples for t in (test_many, test_usual)]
    assert [*wanted, examples(nightly=10**6)] == {expected}
"""
    only = ["-k", "numbers"]
    project("--hypothesis-profile=nightly", *only, test_it=asks.format(expected=[10**6, 10_000, 10**6]))
    project("--hypothesis-profile=dev", *only, test_it=asks.format(expected=[20, 20, 20]))


def test_nothing_is_imported_and_reported_until_it_is_wanted(project):
    lazy = "import sys\ndef test(): assert not {'autograd', 'numpy', 'hypothesis.strategies'} & set(sys.modules)"
    assert "gradients" not in project(test_it=lazy)
    project("--hypothesis-profile=default", test_it=lazy.replace("'hypothesis.strategies'", "'nn'"))


@pytest.mark.parametrize("without", ["terminal", "hypothesispytest", "unfold"])
def test_other_plugins_may_be_absent(project, without):
    report = ["--gradients"] if without != "unfold" else []
    plugin = None if without == "unfold" else PLUGIN
    project("-p", f"no:{without}", *report, plugin=plugin, test_it=PROPERTY)


def test_the_entry_point_names_a_module_that_is_shipped():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    module = project["project"]["entry-points"]["pytest11"]["unfold"]
    assert f"{module}.py" in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert (ROOT / f"{module}.py").is_file()
