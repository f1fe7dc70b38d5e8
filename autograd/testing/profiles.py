"""Hypothesis profiles for tests of gradients, chosen with ``pytest --hypothesis-profile``.

dev        20 examples, new ones each time
ci         the same examples each time
nightly    10 000 examples, and as many as a test asks for with ``gradient_property(nightly=...)``
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis.errors import InvalidArgument

NIGHTLY = 10_000

PROFILES: dict[str, dict[str, Any]] = {
    "dev": {"max_examples": 20, "deadline": None, "print_blob": True},
    "ci": {"derandomize": True, "deadline": None, "print_blob": True, "database": None},
    "nightly": {"max_examples": NIGHTLY, "deadline": None, "print_blob": True},
}


def register() -> None:
    """Register those profiles that neither the user nor Hypothesis has registered under the same name."""
    for name, profile in PROFILES.items():
        try:
            settings.get_profile(name)
        except InvalidArgument:
            settings.register_profile(name, settings(settings.get_profile("default"), **profile))


def examples(nightly: int) -> int:
    """Return how many examples a test should draw that wants ``nightly`` of them where there is time.

    >>> examples(nightly=10**6) < 10**6  # no profile is loaded here that has the night
    True
    """
    usual = settings().max_examples
    return max(usual, nightly) if usual >= NIGHTLY else usual
