"""Fixtures of the comparison with the reference's answers."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.parity.market import Market
from tests.parity.proof import Answers


@pytest.fixture
def answers(request: pytest.FixtureRequest) -> Answers:
    """The answer files that the test names with `@reads` and `@uses`."""
    read, used = ([name for mark in request.node.iter_markers(kind) for name in mark.args] for kind in ("reads", "uses"))
    return Answers(tuple(read), tuple(used))


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """The simulated market of the answers."""
    return Market(tmp_path_factory.mktemp("market") / "csv")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test that passed and named answer files has compared them."""
    result = yield
    if item.get_closest_marker("reads") or item.get_closest_marker("uses"):
        answers = getattr(item, "funcargs", {}).get("answers")
        assert answers is not None, "a test that names answer files takes the fixture `answers`"
        answers.close()
    return result
