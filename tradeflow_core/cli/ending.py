"""How a command is ended from outside: SIGTERM (a supervisor, `kill`, a machine that shuts down) ends it as Ctrl-C does.

What is under way is given up where it stands: transactions are rolled back, temporary files removed, orders at work cancelled. Nothing is
half done, so that the same command goes on where it stood.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType

TERMINATED = 128 + signal.SIGTERM
"""The exit code of a command that SIGTERM has ended, as shells have it."""
PATIENCE = 30.0
"""Seconds in which another SIGTERM changes nothing: the first one is being obeyed, and orders may have to be cancelled for it."""


class Terminated(SystemExit):
    """Raised where the command stands when SIGTERM comes; no `except Exception` catches it."""

    def __init__(self) -> None:
        super().__init__(TERMINATED)


class _Signals:
    """What has come. Another library may put a handler of its own in the place of ours for a while, and raise what it likes (Dagster does),
    so Python's own notes of signals are read as well."""

    def __init__(self) -> None:
        self.notes: int | None = None
        self.seen: set[int] = set()
        self.last = -PATIENCE

    def come(self, number: int, frame: FrameType | None) -> None:
        self.seen.add(number)
        if number != signal.SIGTERM:
            raise KeyboardInterrupt
        if time.monotonic() - self.last >= PATIENCE:
            self.last = time.monotonic()
            raise Terminated

    def lost(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Python drops what is raised in a callback of its own (a weak reference, an import): then the signal comes once more."""
        if not isinstance(unraisable.exc_value, Terminated | KeyboardInterrupt):
            sys.__unraisablehook__(unraisable)
            return
        number = signal.SIGTERM if isinstance(unraisable.exc_value, Terminated) else signal.SIGINT
        self.last = -PATIENCE
        threading.Timer(0.01, os.kill, (os.getpid(), number)).start()


_signals = _Signals()


def listen() -> None:
    """From now on SIGTERM raises `Terminated` in the main thread of this process, and Ctrl-C KeyboardInterrupt."""
    _signals.notes, into = os.pipe()
    for end in (_signals.notes, into):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(into, warn_on_full_buffer=False)
    sys.unraisablehook = _signals.lost
    # Both have the same handler: what Dagster puts back for both, when it is done, is that of Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _signals.come)


def terminated() -> bool:
    """Whether SIGTERM has come since `listen`."""
    return signal.SIGTERM in _seen()


def obey() -> None:
    """End the command if it was told to. To be called after code of others that may have swallowed a signal."""
    if terminated():
        raise Terminated
    if signal.SIGINT in _seen():
        raise KeyboardInterrupt


def _seen() -> set[int]:
    try:
        while _signals.notes is not None and (numbers := os.read(_signals.notes, 256)):
            _signals.seen.update(numbers)
    except BlockingIOError:
        pass  # no more notes
    return _signals.seen
