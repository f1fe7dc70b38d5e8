"""What a computation asks of its surroundings: Ctrl-C at safe places only, a quiet collector, a model at rest."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import autograd
from nn.module import Module


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Make Ctrl-C wait for a safe place: the function given raises `KeyboardInterrupt` there if it was pressed.

    A second Ctrl-C raises at once. Outside of the main thread, or where somebody else handles Ctrl-C, nothing changes.
    """
    pressed = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    def check() -> None:
        if pressed:
            raise KeyboardInterrupt

    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield check
        return
    signal.signal(signal.SIGINT, handle)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def quiet_collector() -> Iterator[None]:
    """Let the cyclic garbage collector look rarely, and never at what exists already.

    Graphs have no cycles and are freed by reference counts; a collector that visits every node of a long graph over
    and over makes the cost per operation grow with its length.
    """
    thresholds, frozen = gc.get_threshold(), gc.get_freeze_count() > 0
    gc.collect()
    if not frozen:
        gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        if not frozen:
            gc.unfreeze()


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Put a model into evaluation mode and record nothing; afterwards every module has the mode that it had.

    >>> from nn import Dropout, Sequential
    >>> model = Sequential(Dropout(), Dropout().eval())
    >>> with evaluating(model):
    ...     print(model[0].training)
    False
    >>> [layer.training for layer in model]
    [True, False]
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with autograd.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
