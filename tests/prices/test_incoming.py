"""What becomes of the strange bars that a broker may send, from the broker to the stored series."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tradeflow_core.brokers import Broker, BrokerUnavailable, NoData
from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError
from tradeflow_core.home import Home
from tradeflow_core.ledger import current_roll, locked_instruments
from tradeflow_core.model import contract_label
from tradeflow_core.prices import StageResult, run_stages, stored_bars
from tradeflow_core.reports import store_problems

CODE = "US10"
NEW = 3
"""So many daily bars of the priced contract are not stored yet."""

Change = Callable[[pd.DataFrame], pd.DataFrame]


class OddBroker:
    """A broker that sends strange bars of one contract and frequency, and is honest in everything else."""

    def __init__(self, broker: Broker, contract: int, change: Change, *, frequency: str = "D") -> None:
        self.honest, self._odd, self._change = broker, (contract, frequency), change

    def __getattr__(self, name: str) -> Any:
        return getattr(self.honest, name)

    def bars(self, instrument: str, contract: int, frequency: str, **window: Any) -> pd.DataFrame:
        bars = self.honest.bars(instrument, contract, frequency, **window)
        return self._change(bars.copy()) if (contract, frequency) == self._odd and len(bars) else bars


@pytest.fixture
def desk_with(seeded_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Desk]:
    """Makes a desk that lacks the newest bars of a contract, which its broker will send changed."""

    def make(change: Change, frequency: str = "D", **settings: object) -> Desk:
        for name, value in settings.items():
            monkeypatch.setenv(f"TRADEFLOW_PRICES__{name.upper()}", str(value))
        shutil.copytree(seeded_home, tmp_path / "home")
        desk = Desk(Home.open(tmp_path / "home"))
        bars = stored_bars(desk, CODE)
        newest = bars.index[(bars["contract"] == priced(desk)) & (bars["frequency"] == frequency)][-NEW:]
        desk.store.write("contract_prices", CODE, bars.drop(newest).reset_index(drop=True))
        desk.__dict__["broker"] = OddBroker(desk.broker, priced(desk), change, frequency=frequency)
        return desk

    return make


def priced(desk: Desk) -> int:
    with desk.ledger.read() as view:
        roll = current_roll(view, CODE)
    assert roll is not None
    return roll.price_contract


def newest(desk: Desk, frequency: str = "D") -> pd.DataFrame:
    bars = stored_bars(desk, CODE)
    return bars[(bars["contract"] == priced(desk)) & (bars["frequency"] == frequency)].tail(NEW + 1).reset_index(drop=True)


def put(column: str, value: object) -> Change:
    """Another value in the middle one of the new bars."""

    def change(bars: pd.DataFrame) -> pd.DataFrame:
        bars[column] = bars[column].astype(object if isinstance(value, str) else bars[column].dtype)
        bars.loc[bars.index[-2], column] = value
        return bars

    return change


def update(desk: Desk) -> dict[str, Any]:
    """Update the prices; what is said of the contract prices."""
    results: list[StageResult] = []
    run_stages(desk, CODE, on_stage=results.append)
    (facts,) = [result.facts for result in results if result.stage == "contract_prices"]
    return facts


def refused(desk: Desk, words: str) -> None:
    """The update fails with these words, stores nothing, keeps the prices as they are and locks the instrument."""
    bars, adjusted = stored_bars(desk, CODE), desk.store.read("adjusted_prices", CODE)
    with pytest.raises(DataError, match=words):
        update(desk)
    pd.testing.assert_frame_equal(stored_bars(desk, CODE), bars)
    pd.testing.assert_frame_equal(desk.store.read("adjusted_prices", CODE), adjusted)
    with desk.ledger.read() as view:
        assert CODE in locked_instruments(view)


def test_a_price_of_zero_is_dropped_and_said_and_its_neighbours_stay(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(put("FINAL", 0.0))
    assert update(desk)["dropped"] == "1 with a price of zero"
    assert (newest(desk)["FINAL"] > 0).all() and len(newest(desk)["end"].unique()) == NEW + 1
    gap = newest(desk)["end"].diff().max()
    assert gap >= pd.Timedelta(days=2), "the day of the dropped bar is missing"
    assert (desk.store.read("adjusted_prices", CODE)["price"].dropna() > 0).all()


def test_a_price_of_zero_is_kept_where_the_settings_keep_it(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(put("FINAL", 0.0), drop_zero_prices=False, max_price_spike=1e9)
    assert "dropped" not in update(desk)
    assert newest(desk)["FINAL"].tolist()[-2] == 0.0


def test_a_negative_price_is_a_price(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(put("FINAL", -2.5), max_price_spike=1e9)
    assert "dropped" not in update(desk)
    bar = newest(desk).iloc[-2]
    assert bar["FINAL"] == -2.5
    assert desk.store.read("multiple_prices", CODE)["PRICE"][bar["end"]] == -2.5


def test_a_negative_price_out_of_the_blue_is_a_spike(desk_with: Callable[..., Desk]) -> None:
    refused(desk_with(put("FINAL", -2.5)), r"FINAL moves \d+\.\d average days")


def test_negative_prices_are_dropped_with_an_alert_where_the_settings_say_so(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(put("FINAL", -2.5), drop_negative_prices=True)
    assert update(desk)["dropped"] == "1 with a negative price"
    assert (newest(desk)["FINAL"] > 0).all()
    (alert,) = [alert for alert in desk.alerts.read() if alert["subject"] == f"negative prices of {CODE}"]
    assert "1 new bars with a negative price were dropped" in alert["message"]


@pytest.mark.parametrize(("frequency", "kept"), [("D", True), ("H", False)])
def test_a_bar_without_volume_counts_if_daily_and_not_if_hourly(
    desk_with: Callable[..., Desk], frequency: str, *, kept: bool
) -> None:
    desk = desk_with(put("VOLUME", 0.0), frequency)
    assert ("dropped" in update(desk)) is not kept
    assert (newest(desk, frequency)["VOLUME"] == 0).any() == kept


def test_bars_in_no_order_are_put_in_order(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(lambda bars: bars.iloc[::-1].reset_index(drop=True))
    update(desk)
    assert newest(desk)["end"].is_monotonic_increasing and len(newest(desk)) == NEW + 1


def test_a_bar_of_the_future_does_not_exist(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(lambda bars: bars.assign(end=[*bars["end"][:-1], pd.Timestamp(desk.now()) + pd.Timedelta(hours=1)]))
    assert update(desk)["added_D"] >= NEW - 1
    assert stored_bars(desk, CODE)["end"].max() <= desk.now()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("FINAL", np.nan), "FINAL is not a finite number"),
        (put("FINAL", np.inf), "FINAL is not a finite number"),
        (put("HIGH", -np.inf), "a price is infinite"),
        (put("FINAL", "one hundred and ten"), f"{CODE} .* D bars from the broker: a price or volume is not a number"),
        (lambda bars: pd.concat([bars, bars.tail(1)]), "the start occurs twice"),
        (lambda bars: bars.assign(start=bars["start"].dt.tz_localize(None)), "start has no time zone"),
        (lambda bars: bars.drop(columns="FINAL"), "no column FINAL"),
    ],
)
def test_bars_that_make_no_sense_are_refused_with_all_that_came_with_them(
    desk_with: Callable[..., Desk], change: Change, words: str
) -> None:
    refused(desk_with(change), words)


def test_a_number_written_as_text_is_that_number(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(lambda bars: bars.assign(FINAL=[repr(price) for price in bars["FINAL"]]))
    update(desk)
    assert newest(desk)["FINAL"].dtype == "float64" and len(newest(desk)) == NEW + 1


def raising(error: Exception) -> Change:
    def change(bars: pd.DataFrame) -> pd.DataFrame:
        raise error

    return change


def test_a_broker_that_fails_has_no_data_or_has_none_that_is_new_are_three_outcomes(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(raising(NoData("none of it")))
    facts = update(desk)
    assert facts["without_data"] == contract_label(priced(desk)) and facts["added"] >= 0
    desk.__dict__["broker"] = OddBroker(desk.broker.honest, priced(desk), lambda bars: bars.iloc[:0])
    assert "without_data" not in update(desk)


def test_a_broker_that_does_not_answer_locks_the_instrument_and_nothing_is_written(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(raising(BrokerUnavailable("no answer in 20 s")))
    before = stored_bars(desk, CODE)
    with pytest.raises(BrokerUnavailable):
        update(desk)
    pd.testing.assert_frame_equal(stored_bars(desk, CODE), before)
    with desk.ledger.read() as view:
        assert "no answer in 20 s" in locked_instruments(view)[CODE]


class QuarterHours(OddBroker):
    """A broker that has bars of a quarter of an hour as well: those of its hours, cut in four."""

    def __init__(self, broker: Broker) -> None:
        self.honest = broker

    def bars(self, instrument: str, contract: int, frequency: str, **window: Any) -> pd.DataFrame:
        if frequency != "15M":
            return self.honest.bars(instrument, contract, frequency, **window)
        hours = self.honest.bars(instrument, contract, "H", **window)
        quarters = [hours.assign(start=hours["start"] + pd.Timedelta(minutes=15 * n)) for n in range(4)]
        every = pd.concat(quarters).sort_values("start", ignore_index=True)
        return every.assign(end=every["start"] + pd.Timedelta(minutes=15), frequency=frequency)


def test_the_intraday_frequency_is_a_setting(seeded_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEFLOW_PRICES__INTRADAY_FREQUENCY", "15M")
    monkeypatch.setenv("TRADEFLOW_PRICES__MAX_PRICE_SPIKE", "1e9")  # prices that stand still and then move are spikes
    shutil.copytree(seeded_home, tmp_path / "home")
    desk = Desk(Home.open(tmp_path / "home"))
    assert update(desk)["without_data"], "the simulated market has hours and days only, and says so"
    hourly, desk.__dict__["broker"] = newest(desk, "H"), QuarterHours(desk.broker)
    assert update(desk)["added_15M"] > 4 * NEW and "added_H" not in update(desk)
    bars = newest(desk, "15M")
    assert (bars["end"] - bars["start"] == pd.Timedelta(minutes=15)).all() and len(bars) == NEW + 1
    pd.testing.assert_frame_equal(newest(desk, "H"), hourly)
    assert bars["start"].iloc[-1] in desk.store.read("multiple_prices", CODE)["PRICE"].dropna().index
    assert store_problems(desk) == []
