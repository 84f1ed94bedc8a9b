"""The boundaries of a process's work: before and after each transaction of the ledger and each call of the broker."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

from tradeflow_core.desk import Desk


class Boundaries:
    """Counts the boundaries that a desk's work passes; at number `dies_at` (0: never) the process kills itself."""

    def __init__(self, desk: Desk, dies_at: int = 0) -> None:
        self.count, self.dies_at = 0, dies_at
        begin, broker = desk.ledger.begin, desk.broker

        @contextmanager
        def counted() -> Iterator[Connection]:
            self._pass()
            with begin() as tx:
                yield tx
                self._pass()  # everything is written, nothing is durable
            self._pass()

        desk.ledger.begin = counted  # type: ignore[method-assign]
        desk.__dict__["broker"] = _Counted(broker, self)

    def _pass(self) -> None:
        self.count += 1
        if self.count == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)


class _Counted:
    def __init__(self, broker: Any, boundaries: Boundaries) -> None:
        self._broker, self._boundaries = broker, boundaries

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._broker, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            self._boundaries._pass()
            answer = found(*arguments, **named)
            self._boundaries._pass()
            return answer

        return call
