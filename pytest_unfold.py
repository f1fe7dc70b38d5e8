"""The pytest plugin's front door: nothing is imported until ``--gradients`` or one of the profiles is asked for.

It stands beside the packages because a module inside ``autograd`` cannot be imported without ``autograd``.
"""

from __future__ import annotations

import pytest

PROFILES = ("dev", "ci", "nightly")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--gradients``."""
    parser.getgroup("unfold", "gradient tests").addoption(
        "--gradients",
        action="store_true",
        help="report which gradients were tested, to which order, with which oracle, at how many points",
    )


@pytest.hookimpl(tryfirst=True)  # before Hypothesis loads the profile, after conftest files registered their own
def pytest_configure(config: pytest.Config) -> None:
    """Register the profiles, and what listens to the checks, if they are wanted."""
    if config.getoption("--hypothesis-profile", None) in PROFILES:
        from autograd.testing import profiles

        profiles.register()
    if config.getoption("--gradients"):
        from autograd.testing import plugin

        config.pluginmanager.register(plugin.Gradients(), "unfold-gradients")
