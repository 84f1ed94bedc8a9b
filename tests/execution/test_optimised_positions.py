"""What a strategy with dynamic optimisation decides to hold, from its saved run, what it holds, and what it is allowed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from tests.strategy.markets import instrument, market, multiple_prices
from tradeflow_core.model import Override, OverrideKind
from tradeflow_core.nightly import SavedRun, open_run, save_day
from tradeflow_core.orders import Standing, is_dynamic, largest_position, optimised_positions
from tradeflow_core.store import Store
from tradeflow_core.strategy import Backtest, BacktestData, load_strategy, packaged_strategies, run_backtest

CODES, YOUNG = "ABCDEF", "Y"
FREE = Standing(0, 0, 0, "", Override(), None, None)
CLOSE, REDUCE, STAY = (
    Override(OverrideKind.FRACTION, 0.0, "sold"),
    Override(OverrideKind.REDUCE_ONLY, 1.0, "thin"),
    Override(OverrideKind.NO_TRADING, 0.0, "closed"),
)


@dataclass(frozen=True)
class Kept:
    """A backtest and the run of it that was saved."""

    backtest: Backtest
    run: SavedRun

    def decide(self, held: dict[str, int] | None = None, **standings: Standing) -> pd.DataFrame:
        """The decision with these positions, and with what is said of some instruments."""
        known = {code: replace(FREE, position=(held or {}).get(code, 0)) for code in self.run.optimal.index}
        return optimised_positions(self.run.optimal, self.run, {**known, **standings})


def data() -> BacktestData:
    """Six markets, and one that has traded for a week only."""
    old = market(CODES)
    young = multiple_prices(len(CODES), 700).iloc[-5:]
    facts = {**{code: old.instruments[code] for code in CODES}, YOUNG: instrument(YOUNG)}
    return BacktestData.from_frames({**old.multiple_prices, YOUNG: young}, old.fx, facts)


def kept(folder: str, **changes: object) -> Kept:
    backtest = run_backtest(
        load_strategy(packaged_strategies()["dynamic_trend_carry"], {"notional_trading_capital": 250_000, **changes}), data()
    )
    store = Store(folder)
    save_day(store, backtest, "small", day=date(2012, 9, 10), time=datetime(2012, 9, 10, tzinfo=UTC))
    return Kept(backtest, open_run(store, "small"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """The packaged dynamic strategy with a capital of a few contracts."""
    return kept(str(tmp_path_factory.mktemp("store")))


def test_the_run_keeps_all_that_the_decision_needs(small: Kept) -> None:
    assert is_dynamic(small.run.optimal)
    assert small.run.optimal[["lower", "upper"]].isna().all(axis=None), "nothing is decided yet"
    volatility = small.run.optimal["annual_volatility"][list(CODES)]
    covariance = small.run.covariance.loc[list(CODES), list(CODES)]
    np.testing.assert_allclose(np.diag(covariance), volatility**2)
    *_, (_, matrix) = small.backtest.portfolio.risk.correlations()
    halved = matrix[:6, :6] * volatility.to_numpy() * volatility.to_numpy()[:, None] / 2
    off_diagonal = ~np.eye(6, dtype=bool)
    np.testing.assert_allclose(covariance.to_numpy()[off_diagonal], halved[off_diagonal], err_msg="shrunk as in the backtest")


def test_from_the_same_positions_production_decides_what_the_backtest_decided(small: Kept) -> None:
    history = small.backtest.stage("optimised_position").ffill().fillna(0).astype(int)
    before, last = history.iloc[-2], history.iloc[-1]
    assert (last != 0).sum() >= 3
    decided = small.decide(before.to_dict())
    assert decided["optimised_position"].astype(int).to_dict() == last.to_dict()
    assert (decided["lower"] == last).all() and (decided["upper"] == last).all()


def test_production_and_backtest_both_track_what_the_risk_overlay_leaves(tmp_path: object) -> None:
    tight = {
        "max_risk_fraction_normal_risk": 0.3,
        "max_risk_fraction_stdev_risk": 4.0,
        "max_risk_limit_sum_abs_risk": 4.0,
        "max_risk_leverage": 20.0,
    }
    limited = kept(str(tmp_path), risk_overlay=tight, notional_trading_capital=1_000_000)
    wanted, free = (limited.backtest.stage(stage).iloc[-1] for stage in ("notional_position", "position_before_overlay"))
    assert (wanted.abs() < 0.9 * free.abs())[list(CODES)].all(), "the overlay is at work"
    history = limited.backtest.stage("optimised_position").ffill().fillna(0).astype(int)
    decided = limited.decide(history.iloc[-2].to_dict())
    assert decided["optimised_position"].astype(int).to_dict() == history.iloc[-1].to_dict()
    np.testing.assert_allclose(decided["notional_position"][list(CODES)], wanted[list(CODES)])


def test_a_decision_says_how_much_closer_it_comes(small: Kept) -> None:
    decided = small.decide()
    assert decided["tracking_error_after"].iloc[0] < decided["tracking_error_before"].iloc[0]
    weights = decided[["optimal_weight", "optimised_weight"]].loc[list(CODES)]
    gap = (weights["optimised_weight"] - weights["optimal_weight"]).to_numpy()
    covariance = small.run.covariance.loc[list(CODES), list(CODES)].to_numpy()
    assert decided["tracking_error_after"].iloc[0] == pytest.approx(np.sqrt(gap @ covariance @ gap))
    np.testing.assert_allclose(weights["optimal_weight"], (decided["notional_position"] * decided["contract_value"])[list(CODES)])


@pytest.mark.parametrize(
    ("override", "strategy", "of_all", "largest"),
    [
        (Override(), None, None, None),
        (Override(), 3, 10, 3),
        (Override(), 10, 3, 3),
        (Override(), None, 3, 3),
        (Override(), 3, None, 3),
        (Override(), 0, None, 0),
        (CLOSE, None, 3, 0),
        (Override(OverrideKind.FRACTION, 0.5), None, 3, 3),
        (REDUCE, 4, None, 4),
    ],
)
def test_of_the_limits_that_there_are_the_smallest_counts(
    override: Override, strategy: int | None, of_all: int | None, largest: int | None
) -> None:
    assert largest_position(override, strategy, of_all) == largest


def wanted_most(small: Kept) -> tuple[str, int]:
    """The instrument of which most is held when everything is allowed, and how much."""
    free = small.decide()["optimised_position"].astype(int)
    code = str(free.abs().idxmax())
    assert abs(free[code]) >= 2
    return code, int(free[code])


def test_a_strategy_limit_below_the_instrument_limit_is_honoured(small: Kept) -> None:
    code, _ = wanted_most(small)
    row = small.decide(**{code: replace(FREE, strategy_limit=1, instrument_limit=50)}).loc[code]
    assert abs(row["optimised_position"]) == 1
    assert row["explanation"] == "the limit of 1 contracts is reached"


def test_the_weight_of_a_limit_is_that_of_the_limit_and_not_of_what_is_held(small: Kept) -> None:
    decided = small.decide(A=replace(FREE, position=5, strategy_limit=2))
    row = decided.loc["A"]
    assert row["position_limit"] == 2 and row["position_limit_weight"] == pytest.approx(2 * row["contract_value"])
    assert row["highest_weight"] == pytest.approx(row["position_limit_weight"])
    assert decided.loc["B":, ["position_limit", "position_limit_weight", "lowest_weight", "highest_weight"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("override", "after", "words"), [(CLOSE, 0, "override close (sold)"), (STAY, 7, "override no_trading (closed)")]
)
def test_an_override_decides_and_is_named(small: Kept, override: Override, after: int, words: str) -> None:
    row = small.decide(A=replace(FREE, position=7, override=override)).loc["A"]
    assert row["optimised_position"] == after and row["explanation"] == words


def test_a_locked_instrument_stays_and_the_others_make_up_for_it(small: Kept) -> None:
    code, wanted = wanted_most(small)
    locked = small.decide(**{code: replace(FREE, position=-5 * wanted, lock="prices: stale")})
    assert locked["optimised_position"][code] == -5 * wanted and locked["no_trade"][code]
    others = [other for other in CODES if other != code]
    assert (locked["optimised_position"] != small.decide()["optimised_position"])[others].any()


def test_an_instrument_with_little_history_is_left_alone_and_the_reason_is_shown(small: Kept) -> None:
    row = small.decide({YOUNG: 4}).loc[YOUNG]
    assert row["optimised_position"] == 4
    assert row["explanation"] == "left alone: no optimal position (too little price history) is known"


@pytest.mark.parametrize(
    ("figure", "words"),
    [("annual_volatility", "volatility"), ("contract_value", "price or FX rate"), ("trading_cost", "cost of trading")],
)
def test_an_instrument_with_an_unknown_figure_is_left_alone_and_the_reason_is_shown(small: Kept, figure: str, words: str) -> None:
    code, wanted = wanted_most(small)
    optimal = small.run.optimal.copy()
    optimal.loc[code, figure] = np.nan
    run = SavedRun(small.run.folder, small.run.manifest)
    if figure == "annual_volatility":  # the covariance of such an instrument is not known either
        covariance = small.run.covariance.copy()
        covariance.loc[code] = covariance[code] = np.nan
        run.__dict__["covariance"] = covariance
    for held in (0, 3 * wanted):
        standings = {each: replace(FREE, position=held if each == code else 0) for each in optimal.index}
        row = optimised_positions(optimal, run, standings).loc[code]
        assert row["optimised_position"] == held
        assert row["explanation"] == f"left alone: no {words} is known"


def test_a_price_that_has_never_moved_has_no_volatility() -> None:
    still = data()
    tables = dict(still.multiple_prices)
    tables["A"] = tables["A"].assign(PRICE=100.0, FORWARD=100.0, CARRY=101.0)
    config = load_strategy(packaged_strategies()["dynamic_trend_carry"])
    latest = run_backtest(config, BacktestData.from_frames(tables, still.fx, still.instruments)).latest()
    assert np.isnan(latest["annual_volatility"]["A"]) and latest["annual_volatility"][list("BCDEF")].notna().all()


def test_a_strategy_that_keeps_the_flaws_of_the_reference_in_backtests_trades_without_them(tmp_path: object) -> None:
    flawed = kept(str(tmp_path), compat="pst")
    decided = flawed.decide({YOUNG: 4, "A": 30}, A=replace(FREE, position=30, instrument_limit=1))
    assert decided["optimised_position"][YOUNG] == 4, "not closed for want of figures"
    assert abs(decided["optimised_position"]["A"]) <= 1, "a position above its limit is brought back"


def test_instruments_that_may_only_be_long_or_only_be_reduced_are_named_by_the_strategy(tmp_path: object) -> None:
    limited = kept(
        str(tmp_path),
        long_only_instruments_DO_ONLY=["A"],
        long_only_instruments=["B"],
        exclude_instrument_lists={"bad_markets": ["C"]},
    )
    decided = limited.decide({"A": -3, "B": -3, "C": 2, "D": -3})
    assert (decided["optimised_position"][["A", "B"]] >= 0).all()
    assert 0 <= decided["optimised_position"]["C"] <= 2 and decided["reduce_only"]["C"]
    assert decided["explanation"]["C"] == "it may only be reduced (the strategy lists it as a bad market or restricted)"


def test_a_decision_stands_while_its_orders_are_filled_and_after_it(small: Kept) -> None:
    first = small.decide()
    code, wanted = wanted_most(small)
    for part in (0, wanted // 2, wanted):
        held = {each: replace(FREE, position=int(first["optimised_position"][each])) for each in first.index}
        assert optimised_positions(first, small.run, {**held, code: replace(FREE, position=part)}) is first


def test_a_decision_is_made_anew_when_something_else_is_allowed_or_held(small: Kept) -> None:
    first = small.decide()
    code, wanted = wanted_most(small)
    held = {each: replace(FREE, position=int(first["optimised_position"][each])) for each in first.index}
    limited = optimised_positions(first, small.run, {**held, code: replace(held[code], strategy_limit=1)})
    assert abs(limited["optimised_position"][code]) == 1 and limited["previous_position"][code] == wanted
    traded_by_hand = optimised_positions(first, small.run, {**held, code: replace(held[code], position=3 * wanted)})
    assert traded_by_hand is not first and traded_by_hand["previous_position"][code] == 3 * wanted


standings_of_one = st.builds(
    Standing,
    position=st.integers(-9, 9),
    instrument_position=st.integers(-9, 9),
    unfilled=st.just(0),
    lock=st.sampled_from(["", "", "", "person: do not touch"]),
    override=st.sampled_from([Override(), Override(), CLOSE, REDUCE, STAY, Override(OverrideKind.FRACTION, 0.5)]),
    strategy_limit=st.none() | st.integers(0, 6),
    instrument_limit=st.none() | st.integers(0, 6),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(standings_of_one, min_size=7, max_size=7))
def test_whatever_is_held_and_allowed_no_decision_goes_beyond_it(small: Kept, given_standings: list[Standing]) -> None:
    decided = small.decide(**dict(zip([*CODES, YOUNG], given_standings, strict=True)))
    for (code, row), one in zip(decided.iterrows(), given_standings, strict=True):
        after, before = int(row["optimised_position"]), one.position
        if one.no_trade or code == YOUNG:
            assert after == before
        elif one.largest is not None:
            assert abs(after) <= one.largest
        if one.reduce_only:
            assert abs(after) <= abs(before) and after * before >= 0
        assert row["previous_position"] == before and row["explanation"] is not None
