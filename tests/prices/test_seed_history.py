"""Price history from a source: what is stored, what is left out and counted, what is refused, and that nothing is stored by halves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from tests.frames import contracts_of
from tradeflow_core.brokers import BAR_COLUMNS
from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError
from tradeflow_core.prices import BAR_TYPES, History, Offer, run_stages, seed_history, stored_bars

OLD, NEXT = 20210300, 20210600
"""Contracts from before the simulated history."""


def daily(contract: int = OLD, days: int = 60, price: float = 100.0, *, first: str = "2020-12-01") -> pd.DataFrame:
    """Daily bars whose closes are 100, 101, 102, 100 ..."""
    start = pd.bdate_range(first, periods=days).tz_localize("America/New_York")
    closes = price * (1 + np.arange(days) % 3 / 100)
    frame = pd.DataFrame({"start": start, "end": start + pd.Timedelta(hours=23), "FINAL": closes, "VOLUME": 50.0})
    return frame.assign(contract=contract, frequency="D").reindex(columns=BAR_COLUMNS).astype(BAR_TYPES)


@dataclass
class InMemory:
    """Another source of history: bars, or what is wrong with them, by the name of the offer."""

    bars: dict[str, pd.DataFrame | str]
    instrument: str = "US10"
    problems: dict[str, str] = field(default_factory=dict)

    def offers(self) -> Sequence[Offer]:
        """One for each name."""
        named = [self._offer(name) for name in self.bars]
        return [*named, *(Offer(name, problem=problem) for name, problem in self.problems.items())]

    def history(self, offer: Offer) -> History:
        """Its bars."""
        bars = self.bars[offer.name]
        if isinstance(bars, str):
            raise DataError(bars)
        return History(bars, {"below the prices": 1})

    def _offer(self, name: str) -> Offer:
        bars = self.bars[name]
        return Offer(name, self.instrument, OLD if isinstance(bars, str) else int(bars["contract"].iloc[0]))


def test_bars_of_a_source_are_stored_once_and_their_contract_is_known(trading_desk: Desk) -> None:
    desk, source = trading_desk, InMemory({"old": daily()})
    before = stored_bars(desk, "US10")
    tried = seed_history(desk, source, dry_run=True)
    assert tried.files[0].added == 60 and not tried.stored
    pd.testing.assert_frame_equal(stored_bars(desk, "US10"), before)
    (first,) = seed_history(desk, source).files
    assert (first.read, first.added, first.skipped) == (61, 60, {"below the prices": 1})
    (again,) = seed_history(desk, source).files
    assert (again.read, again.added, again.skipped) == (61, 0, {"below the prices": 1, "stored already": 60})
    after = stored_bars(desk, "US10")
    pd.testing.assert_frame_equal(after[after["contract"] != OLD].reset_index(drop=True), before)
    with desk.ledger.read() as view:
        assert OLD in contracts_of(view, "US10").index
    run_stages(desk, "US10")


def test_each_row_that_is_read_is_added_or_counted_by_a_reason(trading_desk: Desk) -> None:
    bars = daily(20240300, first="2023-12-01")
    bars.loc[1, "FINAL"] = 0.0
    seeding = seed_history(trading_desk, InMemory({"new": bars}, instrument="EUROSTX"), trust=True, dry_run=True)
    (seeded,) = seeding.files
    assert seeded.read == seeded.added + sum(seeded.skipped.values())
    assert {"not ended yet", "stored already", "with a price of zero"} <= set(seeded.skipped)


def test_a_day_that_is_stored_is_not_stored_again_under_another_start(trading_desk: Desk) -> None:
    stored = stored_bars(trading_desk, "US10")
    own = stored[(stored["contract"] == stored["contract"].iloc[0]) & (stored["frequency"] == "D")].reset_index(drop=True)
    moved = own.assign(start=own["start"] + pd.Timedelta(hours=1))
    (seeded,) = seed_history(trading_desk, InMemory({"again": moved})).files
    assert (seeded.added, seeded.skipped["stored already"]) == (0, len(own))


def test_a_spike_is_refused_unless_a_person_trusts_it(trading_desk: Desk) -> None:
    desk, bars = trading_desk, daily(days=61)
    before = stored_bars(desk, "US10")
    bars.loc[60, "FINAL"] = 9999.0
    seeding = seed_history(desk, InMemory({"spiky.csv": bars}))
    assert seeding.files[0].added == 0 and "average days at 2021-02-24" in seeding.files[0].refused
    assert seeding.files[0].refused.startswith("spiky.csv: D bars of 2021-03")
    pd.testing.assert_frame_equal(stored_bars(desk, "US10"), before)
    assert seed_history(desk, InMemory({"spiky.csv": bars}), trust=True).files[0].added == 61


def test_contracts_of_one_folder_are_judged_beside_each_other(trading_desk: Desk) -> None:
    cents = daily(NEXT, price=10_000.0)
    seeding = seed_history(trading_desk, InMemory({"dollars": daily(), "cents": cents}), dry_run=True)
    assert ["times too high for other contracts" in each.refused for each in seeding.files] in ([False, True], [True, True])


def test_nothing_is_stored_while_anything_is_wrong_and_all_of_it_is_told(trading_desk: Desk) -> None:
    desk = trading_desk
    before = stored_bars(desk, "US10")
    source = InMemory({"good": daily(), "bad": "bad, line 3: is nothing"}, problems={"odd.csv": "its name tells no contract"})
    seeding = seed_history(desk, source)
    assert not seeding.stored and [each.refused for each in seeding.refused] == [
        "bad, line 3: is nothing",
        "its name tells no contract",
    ]
    pd.testing.assert_frame_equal(stored_bars(desk, "US10"), before)
    seeding = seed_history(desk, source, skip_bad=True)
    assert seeding.stored and [each.added for each in seeding.files] == [60, 0, 0]
    assert len(stored_bars(desk, "US10")) == len(before) + 60


def test_an_instrument_that_nobody_knows_is_a_problem_of_its_offer(trading_desk: Desk) -> None:
    (seeded,) = seed_history(trading_desk, InMemory({"x": daily()}, instrument="US11"), dry_run=True).files
    assert "unknown instrument 'US11' (nearest: US10)" in seeded.refused


def test_two_files_of_one_contract_are_one_history_where_they_agree(trading_desk: Desk) -> None:
    whole = daily()
    parts: dict[str, pd.DataFrame | str] = {
        "first": whole.iloc[:40].reset_index(drop=True),
        "second": whole.iloc[20:].reset_index(drop=True),
    }
    seeding = seed_history(trading_desk, InMemory(parts))
    assert [each.added for each in seeding.files] == [40, 20]
    assert seeding.files[1].skipped["in another file too"] == 20
    assert (stored_bars(trading_desk, "US10")["contract"] == OLD).sum() == 60


def test_two_files_of_one_contract_that_differ_are_both_refused(trading_desk: Desk) -> None:
    other = daily()
    other.loc[5, "FINAL"] += 1
    seeding = seed_history(trading_desk, InMemory({"first": daily(), "second": other}))
    assert len(seeding.refused) == 2 and not seeding.stored
    assert (
        "2020-12-08 05:00 UTC is 103 in second and 102 in a file of the same contract (first, second)"
        in seeding.refused[0].refused
    )


@pytest.mark.parametrize("count", [0, 1])
def test_whoever_waits_is_told_of_each_offer(trading_desk: Desk, count: int) -> None:
    seen: list[str] = []
    source = InMemory({"old": daily()} if count else {}, problems={"odd.csv": "its name tells no contract"})
    seed_history(trading_desk, source, dry_run=True, on_read=lambda offer: seen.append(offer.name))
    assert seen == [*(["old"] * count), "odd.csv"]
