"""Fast code that plugs in from below: which kernels there are, and which one serves a call.

A kernel is offered for an operation and an array type with a ``plan``: a function of the ``Spec`` of a call that
returns a callable with the operation's own arguments, or None if it does not serve that case. The first plan wins,
highest priority first, and is remembered for the spec. The readable reference is always last.
"""

from .registry import (
    Offer,
    Planner,
    Spec,
    UnavailableError,
    choose,
    forgo,
    listeners,
    offered,
    offers,
    register,
    unless_small,
    unregister,
)

__all__ = [
    "Offer", "Planner", "Spec", "UnavailableError", "choose", "forgo", "listeners", "offered", "offers", "register",
    "unless_small", "unregister",
]  # fmt: skip
