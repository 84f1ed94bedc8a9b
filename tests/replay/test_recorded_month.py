"""August 2023 as it was recorded, replayed as 22 production days over 26 markets."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from tests.conftest import SHARED, needs_shared
from tests.replay.runs import fills_of, positions_of
from tradeflow_core.brokers import NoQuote
from tradeflow_core.brokers.paper.tape_market import TapeMarket
from tradeflow_core.business_day import run_replay
from tradeflow_core.desk import Desk
from tradeflow_core.importers import import_pysystemtrade
from tradeflow_core.ledger import ledger_problems
from tradeflow_core.replay import seed_replay
from tradeflow_core.store import Tape

START, END = date(2023, 8, 1), date(2023, 8, 30)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), needs_shared("data", "pysystemtrade_csv")]


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Tape:
    path = tmp_path_factory.mktemp("tapes") / "recorded"
    import_pysystemtrade(SHARED / "data" / "pysystemtrade_csv", path)
    return Tape.open(path)


def test_markets_trade_in_plausible_hours_and_priced_contracts_always_have_a_quote(tape):
    market = TapeMarket(tape)
    noon_in_chicago = [datetime(day.year, day.month, day.day, 17, 5, tzinfo=UTC) for day in pd.bdate_range(START, END)]
    for code in tape.codes:
        events = tape.roll_events(code)
        hours = [now + timedelta(hours=hour) for now in noon_in_chicago for hour in (-16, -12, -8, -4, 0, 3)]
        opened = [now for now in hours if market.is_open(code, now)]
        assert len({now.date() for now in opened}) >= 0.75 * len(noon_in_chicago), f"{code} hardly trades"
        assert not any(market.is_open(code, datetime(2023, 8, day, 12, tzinfo=UTC)) for day in (5, 6, 12, 13))
        quoted = 0
        for now in opened:
            current = events[events["after"].isna() | (events["after"] < now)].iloc[-1]
            assert market.quote(code, int(current["price_contract"]), now).ask > 0 or code == "CRUDE_W_mini"
            try:
                market.quote(code, int(current["forward_contract"]), now)
                quoted += 1
            except NoQuote:
                continue
        assert quoted >= 0.9 * len(opened), f"{code}: its forward contract can hardly be traded"


def test_a_recorded_month_is_traded_and_rolled_without_a_problem(tape, tmp_path):
    home = seed_replay(tmp_path / "home", tape, START, end=END)
    summary = run_replay(home)
    desk = Desk(home)
    with desk.ledger.read() as view:
        assert ledger_problems(view) == []
    assert [day.day for day in summary.days] == [stamp.date() for stamp in pd.bdate_range(START, END)]
    assert all(f"{len(tape.codes)} of {len(tape.codes)} instruments good" in day.prices for day in summary.days)
    known_from, known_to = (pd.Timestamp(home.at(day, home.settings.day.start)) for day in (START, END))
    happened = sum(int(tape.roll_events(code)["after"].between(known_from, known_to).sum()) for code in tape.codes)
    assert summary.totals["rolls"] == happened > 0
    fills = fills_of(desk)
    assert len(fills) == summary.totals["fills"] > 0
    sums = fills.groupby(["instrument", "contract"])["quantity"].sum()
    assert positions_of(desk) == {key: total for key, total in sums.items() if total} == desk.broker.positions(desk.account)
    assert summary.totals["profit"] == pytest.approx(summary.days[-1].value - float(home.settings.capital))
    desk.close()
