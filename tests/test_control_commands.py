"""A person locks instruments, overrides strategies and limits positions and trades by command, and can look up who did."""

from __future__ import annotations

import getpass
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.commands import answer, run, said
from tests.conftest import make_home
from tradeflow_core import ledger as books
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
from tradeflow_core.ledger import ANY, Control, control_history, locked_instruments, override_for, tradeable_now
from tradeflow_core.model import BrokerOrderStatus, Fill, Leg, OrderIntent, OrderType, Override, OverrideKind
from tradeflow_core.nightly import open_run, optimal_rows
from tradeflow_core.orders import preview_orders

WHY = ("--why", "storm")
ME = getpass.getuser()
STRATEGY = "trend_carry"


@pytest.fixture
def path(new_database: Callable[[], str], tmp_path: Path) -> Path:
    """A fresh small home whose ledger is in each kind of database in turn."""
    return make_home(tmp_path / "home", database=new_database()).path


@pytest.fixture
def desk(path: Path) -> Iterator[Desk]:
    """The desk of that home."""
    desk = Desk(Home.open(path))
    yield desk
    desk.close()


def buy(desk: Desk, quantity: int, instrument: str = "CORN") -> None:
    """Book a fill of so many contracts for the strategy, with the orders that it belongs to."""
    now, leg = desk.now(), Leg(20240300, quantity)
    with desk.ledger.begin() as tx:
        day, kind = desk.business_day(), OrderType.MARKET
        parent = books.add_instrument_order(
            tx,
            account=desk.account,
            strategy=STRATEGY,
            instrument=instrument,
            quantity=quantity,
            order_type=kind,
            day=day,
            now=now,
        )
        child = books.add_contract_order(tx, parent, order_type=kind, legs=[leg], now=now)
        order = books.add_broker_order(tx, child, OrderIntent("ref", desk.account, instrument, (leg,)), now=now)
        fill = Fill("e1", "ref", desk.account, instrument, leg.contract, quantity, 100.0, now, None, "USD")
        books.book_fill(tx, fill, now)
        books.set_broker_status(tx, order, BrokerOrderStatus.FILLED, now=now)
        books.complete_orders(tx, now)


# --- locks ---------------------------------------------------------------------------------------------------------------


def test_a_person_locks_and_unlocks_an_instrument_and_both_are_recorded(path: Path) -> None:
    assert answer(path, "locks") == []
    locked = answer(path, "locks", "lock", "CORN", *WHY)
    assert (locked["before"], locked["after"], locked["done"]) == ("", "person: storm", True)
    assert not answer(path, "locks", "lock", "CORN", *WHY)["done"], "it is locked for that reason already"
    (row,) = answer(path, "locks")
    assert (row["instrument"], row["owner"], row["who"], row["why"]) == ("CORN", "person", ME, "storm")
    assert answer(path, "locks", "unlock", "CORN", "--why", "calm")["done"]
    assert not answer(path, "locks", "unlock", "CORN", "--why", "calm")["done"]
    assert answer(path, "locks") == []
    (row,) = answer(path, "locks", "--history", "--instrument", "CORN")
    assert (row["why"], row["ended_by"], row["ended_why"]) == ("storm", ME, "calm") and row["ended_at"]
    assert answer(path, "locks", "--history", "--instrument", "US10") == []


def test_the_lock_of_a_check_is_lifted_by_naming_its_owner_with_a_warning(path: Path, desk: Desk) -> None:
    with desk.ledger.begin() as tx:
        books.lock_instrument(tx, "CORN", "prices", now=desk.now(), why="spike")
        books.lock_instrument(tx, "CORN", "execution", now=desk.now(), why="overfill")
    refused = run(path, "locks", "unlock", "CORN", *WHY)
    assert refused.exit_code == 1
    assert "no lock of the owner 'person'; it is locked by execution: overfill; prices: spike" in said(refused)
    lifted = said(run(path, "locks", "unlock", "CORN", "--owner", "prices", *WHY))
    assert "the next price update locks it again while its prices are bad" in lifted
    assert "it stays locked by execution: overfill" in lifted
    answer(path, "locks", "lock", "CORN", *WHY)
    lifted_all = answer(path, "locks", "unlock", "CORN", "--all", *WHY)
    assert lifted_all["after"] == "" and len(lifted_all["warnings"]) == 1
    with desk.ledger.read() as view:
        assert locked_instruments(view) == {}
        assert {row["ended_by"] for row in control_history(view, Control.LOCK)} == {ME}


def test_a_locked_instrument_gets_no_order(trading_desk: Desk) -> None:
    answer(trading_desk.home.path, "locks", "lock", "CORN", *WHY)
    plan = preview_orders(trading_desk, STRATEGY, optimal_rows(trading_desk, STRATEGY))
    decision = next(each for each in plan.decisions if each.instrument == "CORN")
    assert (decision.quantity, decision.reason) == (0, "locked (person: storm)")


# --- overrides -----------------------------------------------------------------------------------------------------------


def test_overrides_of_strategy_and_instrument_are_set_changed_and_cleared(path: Path, desk: Desk) -> None:
    answer(path, "overrides", "set", "--instrument", "CORN", "0.5", *WHY)
    answer(path, "overrides", "set", "--strategy", STRATEGY, "0.5", *WHY)
    changed = answer(path, "overrides", "set", "--instrument", "CORN", "reduce_only", "--why", "out")
    assert (changed["before"], changed["after"]) == ("0.5 (storm)", "reduce_only (out)")
    assert [(row["strategy"], row["instrument"], row["override"]) for row in answer(path, "overrides")] == [
        (STRATEGY, "", "0.5"),
        ("", "CORN", "reduce_only"),
    ]
    with desk.ledger.read() as view:
        assert override_for(view, STRATEGY, "CORN").kind == "reduce_only"
        assert override_for(view, STRATEGY, "US10") == Override(OverrideKind.FRACTION, 0.5, "storm")
    assert answer(path, "overrides", "clear", "--instrument", "CORN", "--why", "over")["done"]
    assert not answer(path, "overrides", "clear", "--why", "over")["done"], "exactly that key is cleared, and no other"
    history = answer(path, "overrides", "--history", "--instrument", "CORN")
    assert [(row["override"], row["ended_why"]) for row in history] == [
        ("0.5", "changed: out"),
        ("0.5", None),
        ("reduce_only", "over"),
    ]


def test_an_override_of_everything_is_warned_of(path: Path) -> None:
    assert answer(path, "overrides", "set", "no_trading", *WHY)["warnings"] == [
        "it holds for every strategy and every instrument"
    ]


# --- limits --------------------------------------------------------------------------------------------------------------


def test_limits_are_shown_beside_what_is_held_and_traded(path: Path, desk: Desk) -> None:
    buy(desk, 7)
    below = answer(path, "limits", "position", "CORN", "5", *WHY)
    assert below["warnings"] == ["the position is 7: the next orders reduce it to 5"]
    assert answer(path, "limits", "position", "CORN", "20", "--strategy", STRATEGY, *WHY)["warnings"] == []
    answer(path, "limits", "trade", "CORN", "--days", "1", "10", *WHY)
    used_up = answer(path, "limits", "trade", "CORN", "--days", "5", "4", "--strategy", STRATEGY, *WHY)
    assert used_up["warnings"] == ["7 contracts were traded in 5 days: nothing may be traded until that is less"]
    shown = answer(path, "limits")
    assert [(row["strategy"], row["limit"], row["position"]) for row in shown["position_limits"]] == [
        ("", 5, 7),
        (STRATEGY, 20, 7),
    ]
    assert [(row["days"], row["limit"], row["used"], row["left"]) for row in shown["trade_limits"]] == [
        (1, 10, 7, 3),
        (5, 4, 7, 0),
    ]
    with desk.ledger.read() as view:
        assert tradeable_now(view, desk.account, STRATEGY, instrument="CORN", now=desk.now()) == 0
    assert answer(path, "limits", "trade", "CORN", "--days", "5", "none", "--strategy", STRATEGY, *WHY)["done"]
    assert answer(path, "limits", "position", "CORN", "none", *WHY)["after"] == ""
    history = answer(path, "limits", "--history", "--instrument", "CORN")
    assert [row["ended_by"] for row in history["position_limits"]] == [ME, None]
    assert [row["ended_by"] for row in history["trade_limits"]] == [None, ME]


def test_a_limit_of_a_strategy_that_has_gone_can_still_be_ended(path: Path, desk: Desk) -> None:
    with desk.ledger.begin() as tx:
        books.set_position_limit(tx, "retired", "CORN", contracts=5, now=desk.now(), who="me", why="small")
    assert run(path, "limits", "position", "CORN", "6", "--strategy", "retired", *WHY).exit_code == 1
    assert answer(path, "limits", "position", "CORN", "none", "--strategy", "retired", *WHY)["done"]


CHANGES = [
    ("locks", "lock", "CORN"),
    ("locks", "unlock", "US10", "--all"),
    ("overrides", "set", "--instrument", "CORN", "0.5"),
    ("overrides", "clear", "--instrument", "US10"),
    ("limits", "position", "CORN", "5"),
    ("limits", "trade", "US10", "--days", "1", "none"),
]


@pytest.mark.parametrize("words", CHANGES, ids=" ".join)
def test_a_dry_run_says_what_would_change_and_changes_nothing(path: Path, words: tuple[str, ...]) -> None:
    for prepare in (
        ("locks", "lock", "US10"),
        ("overrides", "set", "--instrument", "US10", "0.5"),
        ("limits", "trade", "US10", "--days", "1", "9"),
    ):
        answer(path, *prepare, *WHY)
    before = [answer(path, name, "--history") for name in ("locks", "overrides", "limits")]
    tried = answer(path, *words, "--dry-run", *WHY)
    assert tried["before"] != tried["after"] and not tried["done"]
    assert "would change" in said(run(path, *words, "--dry-run", *WHY))
    assert [answer(path, name, "--history") for name in ("locks", "overrides", "limits")] == before
    done = answer(path, *words, *WHY)
    assert done == {**tried, "done": True}


@pytest.mark.parametrize("words", [*CHANGES, ("limits", "populate", "--yes")], ids=" ".join)
def test_a_change_without_a_reason_is_refused(home: object, tmp_path: Path, words: tuple[str, ...]) -> None:
    missing = run(tmp_path / "home", *words)
    assert missing.exit_code == 2 and "Missing option '--why'" in missing.output
    assert run(tmp_path / "home", *words, "--why", " ").exit_code == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("locks", "lock", "CRON"), "unknown instrument 'CRON' (nearest:"),
        (("locks", "unlock", "CORNE"), "unknown instrument 'CORNE' (nearest: CORN)"),
        (("locks", "unlock", "CORN", "--owner", "prices", "--all"), "give --owner or --all, not both"),
        (("overrides", "set", "--strategy", "trend_cary", "0.5"), "no strategy 'trend_cary' in this home (nearest: trend_carry)"),
        (("overrides", "set", "--instrument", "CORN", "1.5"), "write a fraction from 0 to 1, reduce_only or no_trading"),
        (("overrides", "set", "--instrument", "CORN", "nan"), "write a fraction from 0 to 1, reduce_only or no_trading"),
        (("overrides", "set", "--instrument", "CORN", "no_tradin"), "(nearest: no_trading)"),
        (("overrides", "clear", "--instrument", "CORNE"), "unknown instrument 'CORNE' (nearest: CORN)"),
        (("limits", "position", "CORN", "-3"), "'-3' is no limit"),
        (("limits", "position", "CORNE", "3"), "unknown instrument 'CORNE' (nearest: CORN)"),
        (("limits", "trade", "CORN", "--days", "0", "3"), "1 or more days"),
        (("limits", "trade", "CORN", "--days", "1", "3", "--strategy", "x"), "no strategy 'x' in this home"),
        (("limits", "populate", "--max-leverage", "0"), "give numbers above 0"),
        (("limits", "populate"), "no run of strategy trend_carry is kept; `tradeflow day` makes the first one"),
    ],
)
def test_a_mistake_is_refused_with_a_hint_and_writes_nothing(
    home: object, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    result = run(tmp_path / "home", *words, *WHY)
    assert result.exit_code == 1 and message in said(result) and "Traceback" not in result.output
    assert answer(tmp_path / "home", "locks", "--history") == answer(tmp_path / "home", "overrides", "--history") == []


# --- limits from risk ----------------------------------------------------------------------------------------------------


def test_limits_from_risk_are_the_stricter_of_risk_and_leverage(trading_desk: Desk) -> None:
    """By the formulas of the books, from figures other than those that the command uses."""
    desk, path = trading_desk, trading_desk.home.path
    run_of_day = open_run(desk.store, STRATEGY)
    optimal, config, capital = run_of_day.optimal, run_of_day.config, run_of_day.manifest.capital
    weights, idm = run_of_day.stage("instrument_weights").iloc[-1], float(run_of_day.stage("idm").iloc[-1].iloc[0])
    done = answer(path, "limits", "populate", "--days", "1", "--days", "30", "--yes", *WHY)
    assert done["done"] and {row["instrument"] for row in done["limits"]} == set(desk.universe)
    for row in done["limits"]:
        facts = optimal.loc[row["instrument"]]
        annual_risk = float(facts["daily_returns_volatility"] * facts["point_size"] * facts["fx"]) * 16
        by_risk = 2 * config["percentage_vol_target"] / 100 * capital * weights[row["instrument"]] * idm / annual_risk
        multiple = desk.store.read("multiple_prices", row["instrument"])["PRICE"].dropna()
        by_leverage = capital / float(multiple.iloc[-1] * facts["point_size"] * facts["fx"])
        assert row["by_risk"] == pytest.approx(by_risk, rel=1e-6)
        assert row["by_leverage"] == pytest.approx(by_leverage, rel=1e-6)
        largest = min(by_risk, by_leverage)
        assert row["position_limit"] == max(1, int(largest))
        assert row["trades_in_1_days"] == max(4, math.ceil(largest * 0.33))
        assert row["trades_in_30_days"] == max(4, math.ceil(largest * 0.33 * math.sqrt(30)))
    shown = answer(path, "limits")
    assert {row["instrument"]: row["limit"] for row in shown["position_limits"]} == {
        row["instrument"]: row["position_limit"] for row in done["limits"]
    }
    assert {row["why"].partition(" (")[0] for row in shown["trade_limits"]} == {"storm"}
    assert all(str(run_of_day.manifest.day) in row["why"] for row in shown["trade_limits"])


def test_limits_from_risk_hold_for_all_strategies_together(trading_desk: Desk) -> None:
    """A second strategy that is as large as the first doubles what the two may hold, by risk and by leverage."""
    home = trading_desk.home.path
    alone = answer(home, "limits", "populate", "--dry-run", *WHY)["limits"]
    with (home / "tradeflow.toml").open("a") as file:
        file.write(f"\n[strategies.{STRATEGY}]\n\n[strategies.second]\n")
    assert "no run of strategy second is kept" in said(run(home, "limits", "populate", *WHY))
    shutil.copytree(home / "data" / "backtests" / STRATEGY, home / "data" / "backtests" / "second")
    together = answer(home, "limits", "populate", "--dry-run", *WHY)["limits"]
    for one, both in zip(alone, together, strict=True):
        assert both["by_risk"] == pytest.approx(2 * one["by_risk"])
        assert both["by_leverage"] == pytest.approx(2 * one["by_leverage"])


def test_limits_from_risk_are_asked_about_and_replace_what_differs_only(trading_desk: Desk) -> None:
    path = trading_desk.home.path
    answer(path, "limits", "position", "CORN", "1000000", "--why", "mine")
    answer(path, "limits", "position", "CORN", "3", "--strategy", STRATEGY, "--why", "of a strategy")
    before = answer(path, "limits", "--history")
    unasked = run(path, "limits", "populate", *WHY, "--json")
    assert unasked.exit_code == 1 and "--json add --yes, or --dry-run" in said(unasked)
    assert "nothing was changed" in said(run(path, "limits", "populate", *WHY, text="n\n"))
    tried = answer(path, "limits", "populate", "--dry-run", *WHY)
    assert tried["changes"] == 2 * len(trading_desk.universe) and not tried["done"]
    assert answer(path, "limits", "--history") == before
    shown = said(run(path, "limits", "populate", *WHY, text="y\n"))
    assert f"{tried['changes']} limits are changed" in shown and STRATEGY in shown
    again = answer(path, "limits", "populate", "--yes", "--why", "another reason")
    assert again["changes"] == 0 and not again["done"]
    with trading_desk.ledger.read() as view:
        former, kept, present = control_history(view, Control.POSITION_LIMIT, instrument="CORN")
        assert (former["contracts"], former["ended_by"], former["ended_why"].partition(" (")[0]) == (
            1000000,
            ME,
            "changed: storm",
        )
        assert (kept["strategy"], kept["ended_at"], present["strategy"]) == (STRATEGY, None, ANY)


def test_a_position_beyond_its_limit_from_risk_is_warned_of(trading_desk: Desk) -> None:
    buy(trading_desk, 9)
    shown = said(run(trading_desk.home.path, "limits", "populate", "--max-leverage", "0.000001", "--dry-run", *WHY))
    assert "warning: CORN: the position is 9: the next orders reduce it to 1" in shown


def test_an_instrument_without_figures_keeps_its_limits(trading_desk: Desk) -> None:
    path = trading_desk.home.path
    file = trading_desk.home.path / "tradeflow.toml"
    file.write_text(file.read_text().replace('"CORN"', '"CORN", "DAX"'))
    answer(path, "limits", "position", "DAX", "3", "--why", "mine")
    done = answer(path, "limits", "populate", "--yes", *WHY)
    row = next(row for row in done["limits"] if row["instrument"] == "DAX")
    assert (row["by_risk"], row["position_limit_before"], row["position_limit"]) == (None, 3, 3)
    assert "DAX: the saved run has no figures of it" in said(run(path, "limits", "populate", "--dry-run", *WHY))
    limits = pd.DataFrame(answer(path, "limits")["position_limits"]).set_index("instrument")["limit"]
    assert limits["DAX"] == 3 and limits["CORN"] != 3
