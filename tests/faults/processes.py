"""Work in processes of their own, whose answers come back as JSON: a process can be killed, and leaves nothing behind in this one."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable
from typing import Any

from tradeflow_core.errors import TradeflowError


def fork(work: Callable[[], Any]) -> tuple[int, int]:
    """Run `work` in a process of its own; returns its id, and a file from which its answer can be read as JSON."""
    read, write = os.pipe()
    child = os.fork()
    if child:
        os.close(write)
        return child, read
    os.close(read)
    code = 0
    try:
        try:
            answer = work()
        except TradeflowError as error:
            code, answer = 3, str(error)
        with os.fdopen(write, "w") as file:
            json.dump(answer, file)
    except BaseException:
        traceback.print_exc()
        code = 4
    os._exit(code)


def wait(child: int, read: int) -> tuple[int, Any]:
    """Its exit code (negative: the signal that ended it) and its answer; with the code 3 the error that ended it."""
    with os.fdopen(read) as file:
        text = file.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, json.loads(text) if text else None


def call(work: Callable[[], Any]) -> Any:
    """The answer of a process that nobody disturbs."""
    code, answer = wait(*fork(work))
    if code:
        raise AssertionError(f"a process that was left alone ended with {code}")
    return answer
