"""What the room says of itself is so: its names, its data items, and that importing it costs nothing."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

from tradeflow_core.strategy.config.data_items import DAILY_ITEMS, FACTS, STAMPED_ITEMS
from tradeflow_core.strategy.inputs.raw_data import RawData

FACES = (
    *("tradeflow_core.nightly", "tradeflow_core.strategy", "tradeflow_core.strategy.costs"),
    *("tradeflow_core.strategy.estimation", "tradeflow_core.strategy.positions", "tradeflow_core.strategy.results"),
)


@pytest.mark.parametrize("face", FACES)
def test_every_name_that_a_room_hands_on_is_there(face: str) -> None:
    room = importlib.import_module(face)
    assert len(room.__all__) > 0
    for name in room.__all__:
        assert not inspect.ismodule(getattr(room, name)), f"{face}.{name} is a module that hides what it should hand on"


def test_importing_the_rooms_imports_none_of_the_large_libraries() -> None:
    code = f"import sys, {', '.join(FACES)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pandas", "numpy", "scipy", "plotly", "pydantic", "sqlalchemy"} & set(loaded)


@pytest.mark.parametrize("item", DAILY_ITEMS)
def test_the_arguments_that_a_data_item_may_be_given_are_those_of_its_method(item: str) -> None:
    found = inspect.getattr_static(RawData, item)
    parameters = inspect.signature(found).parameters.values() if inspect.isfunction(found) else []
    named = [each.name for each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD]
    assert named[1:] == list(DAILY_ITEMS[item])


def test_every_other_data_item_is_a_property_of_the_raw_data() -> None:
    assert all(not inspect.isfunction(inspect.getattr_static(RawData, item)) for item in (*STAMPED_ITEMS, *FACTS))
