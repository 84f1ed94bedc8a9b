"""A person says by command what the account did. Nothing that is advised, or said by mistake, makes the capital more than the account holds;
a jump of the account stops no day; and whatever was said can be taken back."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tests.commands import answer, run, said
from tests.conftest import make_home
from tradeflow_core.business_day import run_day
from tradeflow_core.capital import (
    CapitalChange,
    accept_value,
    capital_now,
    correct_event,
    fold_capital,
    record_change,
    record_flow,
    refuse_value,
    set_capital,
    total_capital,
    update_total_capital,
    void_event,
)
from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError, StateError, TradeflowError
from tradeflow_core.home import Home
from tradeflow_core.ledger import (
    account_value_history,
    capital_events_of,
    ledger_problems,
    record_account_value,
    record_capital_event,
)
from tradeflow_core.model import CapitalEventKind

WHY = ("--why", "I looked")
SURE = (*WHY, "--yes")
ACCOUNT = 19_600_000


@pytest.fixture
def desk(new_database: Callable[[], str], tmp_path: Path) -> Iterator[Desk]:
    """A desk with an account of 19.6 million, whose ledger is in each kind of database in turn."""
    desk = Desk(make_home(tmp_path / "home", database=new_database()))
    report(desk, ACCOUNT)
    yield desk
    desk.close()


@pytest.fixture
def path(desk: Desk) -> Path:
    return desk.home.path


def report(desk: Desk, *values: float) -> None:
    """The broker reports account values, each six hours after the last."""
    for value in values:
        with desk.ledger.begin() as tx:
            time = desk.now() + timedelta(hours=6)
            desk.clock.advance_to(time)  # type: ignore[attr-defined]
            amount = Decimal(str(value))
            figures = {"net_liquidation": amount, "excess_liquidity": amount, "fx_to_base": 1.0}
            record_account_value(tx, desk.account, time, currency="USD", **figures)  # type: ignore[arg-type]
    update_total_capital(desk)


def record(desk: Desk, kind: str, amount: float, at: datetime | None = None) -> int:
    """Write an event into the ledger as it is, without the checks of the command."""
    with desk.ledger.begin() as tx:
        how = {"now": desk.now(), "who": "bob", "why": "a slip"}
        return record_capital_event(tx, at or desk.now(), CapitalEventKind(kind), amount=Decimal(str(amount)), **how)  # type: ignore[arg-type]


def recorded(desk: Desk) -> list[tuple[str, float]]:
    with desk.ledger.read() as view:
        return [(str(event.kind), float(event.amount)) for event in capital_events_of(view)]


def refused(path: Path, *arguments: str) -> str:
    """What a command that must not succeed says."""
    result = run(path, "capital", *arguments)
    assert result.exit_code == 1 and "Traceback" not in result.output, result.output
    return said(result)


def now(path: Path) -> dict[str, Any]:
    return answer(path, "status")["capital"]  # type: ignore[no-any-return]


# --- mistakes ------------------------------------------------------------------------------------------------------------


def test_a_withdrawal_that_the_account_does_not_show_is_refused(desk: Desk, path: Path) -> None:
    report(desk, 19_610_000)
    words = refused(path, "flow", "-19000000", *SURE)
    assert "the account value went from 19,600,000 to 19,610,000" in words
    assert "a withdrawal of 19,000,000.00 does not fit, it would leave a profit of 19,010,000" in words
    assert "does not fit" in refused(path, "flow", "-19000000", "--force", *SURE), "not even by force: it would make a jump"
    assert "does not fit" in refused(path, "flow", "30000000", *SURE), "more than the account"
    assert recorded(desk) == []


def test_a_mistaken_withdrawal_and_whatever_is_advised_then_never_double_the_capital(desk: Desk, path: Path) -> None:
    """An older version took any flow: 19 million recorded as withdrawn by a slip, and then accepted, gave a capital of 38.6 million."""
    slip = record(desk, "flow", -19_000_000, desk.now() + timedelta(hours=1))
    report(desk, 19_620_000)
    waits = now(path)["waits"]
    assert "they do not fit" in waits and "`tradeflow capital void EVENT`" in waits and "accept`" not in waits
    assert "this cannot be accepted" in refused(path, "accept", *SURE)
    assert "does not fit" in refused(path, "flow", "-19000000", *SURE)
    old_acceptance = record(desk, "accept", 0)
    assert capital_now(desk).capital == ACCOUNT, "not even where it was accepted before"
    answer(path, "capital", "void", str(slip), *SURE)
    assert (now(path)["capital"], now(path)["waits"]) == (19_620_000, None)
    assert old_acceptance == slip + 1, "nothing has to be taken back but the slip"


@pytest.mark.parametrize(
    "amount",
    [
        "1e400",
        "-1e400",
        "nan",
        "inf",
        "-Infinity",
        "1000000000000001",
        "1,5",
        "19.000.000",
        "0x10",
        "1_000",
        "2.005",
        "٢٥",
        "ten",
    ],
)
def test_what_is_no_amount_of_money_is_refused(path: Path, desk: Desk, amount: str) -> None:
    for arguments in (["flow", "--", amount], ["initial", f"--total={amount}"], ["correct", "1", "--", amount]):
        assert (
            "no amount of money" in (words := refused(path, *arguments[:1], *SURE, *arguments[1:]))
            or "there is no such account" in words
        )
    assert recorded(desk) == []


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "1e16", "1e400"])
def test_the_ledger_takes_no_amount_that_is_no_money(desk: Desk, amount: str) -> None:
    with pytest.raises(StateError, match="no amount of money"):
        record(desk, "flow", Decimal(amount))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no amounts of money"):
        report(desk, Decimal(amount))  # type: ignore[arg-type]
    assert capital_now(desk).capital == ACCOUNT


def test_a_flow_of_nothing_is_refused(path: Path) -> None:
    assert "give what was paid in" in refused(path, "flow", "0", *SURE)


# --- a jump --------------------------------------------------------------------------------------------------------------


def test_a_jump_of_the_account_stops_no_day(new_database: Callable[[], str], tmp_path: Path) -> None:
    """The day goes on with the capital that is held: positions are sized by it, and alert, status and report say so until a person decides."""
    desk = Desk(make_home(tmp_path / "home", database=new_database()))
    with desk.ledger.begin() as tx:
        figures = {"net_liquidation": Decimal(2_000_000), "excess_liquidity": Decimal(0), "fx_to_base": 1.0}
        record_account_value(tx, desk.account, desk.now() - timedelta(days=1), currency="USD", **figures)  # type: ignore[arg-type]
    run_day(desk, desk.business_day())
    path, day = desk.home.path, desk.last_done_day()
    assert day is not None and desk.store.read("strategy_capital", "trend_carry")["capital"].iloc[-1] == 2_000_000
    assert len(answer(path, "sql", "select * from fills")) > 0
    (alert, *more) = [each for each in desk.alerts.read() if "waits for a person" in each["subject"]]
    assert "4,000,000 USD, 2,000,000 when it counted last" in alert["message"]
    assert {each["subject"] for each in more} == {alert["subject"]}, "one subject, so one mail a day"
    status = said(run(path, "status"))
    assert "capital 2,000,000 USD" in status and "capital waits: the account value of" in status
    text = (path / "reports" / f"{day}.txt").read_text()
    assert "which does not count: it waits for a person" in text and "CAPITAL WAITS: the account value of" in text
    steps = answer(path, "sql", "select summary from day_steps where step = 'total_capital'")
    assert steps[0]["summary"].startswith("capital 2,000,000,") and "tradeflow capital accept" in steps[0]["summary"]
    answer(path, "capital", "accept", *SURE)
    assert now(path)["waits"] is None and now(path)["capital"] > 3_900_000
    assert "waits" not in said(run(path, "status"))
    desk.close()


def test_accepting_shows_what_it_does_asks_and_is_recorded(desk: Desk, path: Path) -> None:
    report(desk, 23_000_000)
    tried = answer(path, "capital", "accept", "--dry-run", *WHY)
    assert (tried["before"]["capital"], tried["after"]["capital"], tried["done"]) == (ACCOUNT, 23_000_000, False)
    declined = said(run(path, "capital", "accept", *WHY, text="n\n"))
    assert "total capital: 19,600,000.00 -> 23,000,000.00" in declined and "nothing was changed" in declined
    assert "--yes" in refused(path, "accept", "--json", *WHY), "a program is not asked"
    assert run(path, "capital", "accept", "--yes").exit_code == 2, "there is no change without a reason"
    assert recorded(desk) == []
    assert "recorded as event 1" in said(run(path, "capital", "accept", *WHY, text="y\n"))
    with desk.ledger.read() as view:
        (event,) = capital_events_of(view)
        assert ledger_problems(view) == []
    assert (event.kind, event.amount, event.who, event.why) == ("accept", 23_000_000, getpass.getuser(), "I looked")
    assert (now(path)["capital"], now(path)["accumulated"], now(path)["waits"]) == (23_000_000, 3_400_000, None)
    assert "nothing waits" in refused(path, "accept", *SURE)


def test_only_the_account_value_that_is_meant_is_accepted(desk: Desk, path: Path) -> None:
    report(desk, 23_000_000)
    assert "another account value waits: 23,000,000.00" in refused(path, "accept", "--value", "22900000", *SURE)
    seen = accept_value(desk)
    report(desk, 39_000_000)
    with pytest.raises(StateError, match="recorded meanwhile"):
        record_change(desk, seen, who="ann", why="I looked")
    assert recorded(desk) == []


def test_a_refused_value_never_counts(desk: Desk, path: Path) -> None:
    report(desk, 39_000_000)
    answer(path, "capital", "refuse", "--value", "39000000", *SURE)
    assert (now(path)["capital"], now(path)["waits"]) == (ACCOUNT, None)
    assert "was refused by event 1, which `tradeflow capital void 1` takes back" in refused(path, "accept", *SURE)
    report(desk, 19_700_000)
    assert (now(path)["capital"], now(path)["waits"]) == (19_700_000, None), "back to normal, it counts as always"


def test_a_value_that_stays_where_the_refused_one_was_waits_again(desk: Desk, path: Path) -> None:
    report(desk, 39_000_000)
    record_change(desk, refuse_value(desk), who="ann", why="a glitch")
    report(desk, 39_010_000)
    assert "39,010,000 USD, 19,600,000 when it counted last" in now(path)["waits"]
    assert len({each["subject"] for each in desk.alerts.read()}) == 2, "that is news, and mailed"
    answer(path, "capital", "accept", *SURE)
    assert now(path)["capital"] == 39_010_000


# --- deposits and withdrawals --------------------------------------------------------------------------------------------


def test_a_deposit_is_no_profit_and_capital_stays_unless_it_is_said(desk: Desk, path: Path) -> None:
    report(desk, 29_700_000)
    assert now(path)["waits"]
    answer(path, "capital", "flow", "10,000,000", *SURE)
    assert (now(path)["capital"], now(path)["accumulated"], now(path)["waits"]) == (19_700_000, 100_000, None)
    answer(path, "capital", "initial", *SURE)
    assert (now(path)["capital"], now(path)["accumulated"]) == (29_700_000, 100_000), "the account value, with the profit so far"


def test_a_withdrawal_that_leaves_more_capital_than_the_account_asks_what_the_capital_is(desk: Desk, path: Path) -> None:
    report(desk, 9_500_000)
    assert "say what it is from now on, for example `--total 9500000`" in refused(path, "flow", "-10000000", *SURE)
    forced = answer(path, "capital", "flow", "-10000000", "--force", "--dry-run", *WHY)
    assert forced["after"]["capital"] == 19_500_000 and "is more than the account value" in forced["warnings"][0]
    assert "say it with --force" in refused(path, "flow", "-10000000", "--total", "19000000", *SURE)
    done = answer(path, "capital", "flow", "-10000000", "--total", "9500000", *SURE)
    assert done["events"] == [1, 2]
    assert (now(path)["capital"], now(path)["accumulated"], now(path)["waits"]) == (9_500_000, -100_000, None)


def test_a_small_deposit_of_the_past_is_found_by_its_day(desk: Desk, path: Path) -> None:
    report(desk, 19_550_000, 20_580_000, 20_600_000, 20_590_000)  # the second value of Monday shows it
    assert "which does not show a deposit of 1,000,000.00" in refused(path, "flow", "1000000", *SURE)
    assert "there is no account value since 2024-01-20" in refused(path, "flow", "1000000", "--at", "2024-01-20", *SURE)
    assert "is no day or time" in refused(path, "flow", "1000000", "--at", "yesterday", *SURE)
    answer(path, "capital", "flow", "1000000", "--at", "2024-01-08", *SURE)
    assert (now(path)["capital"], now(path)["accumulated"]) == (19_590_000, -10_000)


def test_a_flow_that_the_account_hides_is_taken_by_force_unless_it_makes_a_jump(desk: Desk, path: Path) -> None:
    report(desk, 19_500_000)  # a deposit of a million on a bad day
    assert "if you are sure, add --force" in refused(path, "flow", "1000000", *SURE)
    answer(path, "capital", "flow", "1000000", "--force", *SURE)
    assert now(path)["capital"] == 18_500_000
    assert "does not fit" in refused(path, "flow", "2500000", "--force", *SURE)


def test_a_small_fee_needs_no_change_that_matches_it(desk: Desk, path: Path) -> None:
    report(desk, 19_650_000)
    answer(path, "capital", "flow", "-12500.50", *SURE)
    assert now(path)["capital"] == pytest.approx(19_662_500.50)


def test_a_flow_that_no_account_value_shows_yet_is_refused(desk: Desk, path: Path) -> None:
    assert "what was paid before is in it" in refused(path, "flow", "5000000", *SURE)
    report(desk, 24_600_000)
    answer(path, "capital", "refuse", *SURE)
    assert "record it when one does" in refused(path, "flow", "5000000", *SURE)


# --- taking back ---------------------------------------------------------------------------------------------------------


def test_an_event_is_taken_back_and_counts_again_when_that_is_taken_back(desk: Desk, path: Path) -> None:
    report(desk, 23_000_000)
    answer(path, "capital", "accept", *SURE)
    answer(path, "capital", "void", "1", *SURE)
    assert now(path)["capital"] == ACCOUNT and "3,400,000" in now(path)["waits"]
    assert "event 1 was taken back by event 2" in refused(path, "void", "1", *SURE)
    answer(path, "capital", "void", "2", *SURE)
    assert (now(path)["capital"], now(path)["waits"]) == (23_000_000, None)
    assert "there is no capital event 9; `tradeflow capital` lists them" in refused(path, "void", "9", *SURE)
    rows = answer(path, "capital")["events"]
    assert [(row["event"], row["kind"], row["takes_back"], row["taken_back_by"]) for row in rows] == [
        (1, "accept", None, None),
        (2, "void", 1, 3),
        (3, "void", 2, None),
    ]


def test_taking_back_what_the_capital_was_said_to_be_does_not_leave_more_than_the_account(desk: Desk, path: Path) -> None:
    report(desk, 9_600_000)
    answer(path, "capital", "flow", "-10000000", "--total", "9600000", *SURE)
    assert "the capital would be 19,600,000, with an account of 9,600,000 only" in refused(path, "void", "2", *SURE)
    assert answer(path, "capital", "void", "2", "--force", "--dry-run", *WHY)["after"]["capital"] == ACCOUNT


def test_the_amount_of_a_flow_is_corrected(desk: Desk, path: Path) -> None:
    report(desk, 29_700_000)
    answer(path, "capital", "flow", "9000000", *SURE)
    assert "has no amount to correct" not in said(run(path, "capital", "correct", "1", "10000000", "--dry-run", *WHY))
    assert "does not fit" in refused(path, "correct", "1", "-10000000", *SURE)
    answer(path, "capital", "correct", "1", "10000000", *SURE)
    assert (now(path)["capital"], now(path)["accumulated"]) == (19_700_000, 100_000)
    answer(path, "capital", "void", "2", *SURE)
    assert now(path)["accumulated"] == 1_100_000, "without the correction the first amount is in force"
    assert "takes an event back" in refused(path, "correct", "1", "0", *SURE)


def test_an_acceptance_has_no_amount_to_correct(desk: Desk, path: Path) -> None:
    report(desk, 23_000_000)
    answer(path, "capital", "accept", *SURE)
    assert "take it back with `tradeflow capital void 1`" in refused(path, "correct", "1", "5", *SURE)


# --- figures by hand -----------------------------------------------------------------------------------------------------


def test_the_capital_begins_with_the_figures_that_a_person_gives(desk: Desk, path: Path) -> None:
    answer(path, "capital", "initial", "--total", "5000000", "--maximum", "6000000", "--accumulated", "-250000", *SURE)
    report(desk, 19_700_000)
    assert (now(path)["capital"], now(path)["accumulated"]) == (5_100_000, -150_000)
    assert [kind for kind, _ in recorded(desk)] == ["total", "maximum", "accumulated"]
    answer(path, "capital", "correct", "1", "5500000", *SURE)
    assert now(path)["capital"] == 5_600_000


def test_no_capital_that_the_account_does_not_hold_is_set_by_a_slip(desk: Desk, path: Path) -> None:
    assert "the capital would be 50,000,000" in refused(path, "initial", "--total", "50000000", *SURE)
    assert "give an amount above 0" in refused(path, "initial", "--total", "-5", *SURE)
    assert "is below the total capital" in refused(path, "initial", "--total", "5000000", "--maximum", "4000000", *SURE)
    assert recorded(desk) == []
    assert answer(path, "capital", "initial", "--total", "50000000", "--force", *SURE)["after"]["capital"] == 50_000_000


def test_a_jump_is_settled_by_saying_what_the_capital_is(desk: Desk, path: Path) -> None:
    report(desk, 39_000_000)
    shown = answer(path, "capital", "initial", "--total", "30000000", *SURE)
    assert "that waits is no profit or loss" in shown["warnings"][0]
    assert (now(path)["capital"], now(path)["accumulated"], now(path)["waits"]) == (30_000_000, 0, None)


# --- looking -------------------------------------------------------------------------------------------------------------


def test_the_command_shows_what_capital_was_made_of_and_what_waits(desk: Desk, path: Path) -> None:
    report(desk, 19_700_000, 39_000_000)
    shown = answer(path, "capital", "--rows", "2")
    assert [(row["account_value"], row["state"], row["capital"]) for row in shown["rows"]] == [
        (19_700_000, "counted", 19_700_000),
        (39_000_000, "jump", 19_700_000),
    ]
    assert "`tradeflow capital refuse`" in shown["waits"][0]
    words = said(run(path, "capital"))
    assert "Total capital, USD" in words and "waits the account value of" in words


def test_before_the_first_account_value_the_command_says_what_is_missing(tmp_path: Path) -> None:
    path = make_home(tmp_path / "new").path
    assert answer(path, "capital") == {"rows": [], "events": [], "strategies": [], "waits": []}
    assert "no account value is recorded yet" in refused(path, "initial", *SURE)
    assert Home.open(path).settings.capital_rules.max_change == 0.1


# --- whatever a person does ----------------------------------------------------------------------------------------------

SHARES = st.sampled_from([0.005, 0.02, 0.08, 0.3, 1.0, 3.0, -0.005, -0.02, -0.08, -0.3, -0.9, -1.0, -3.0])
"""Amounts as shares of the account: fees, deposits, withdrawals, and more than there is."""

ACTIONS = st.one_of(
    st.tuples(st.just("value"), st.sampled_from([0.5, 0.6, 0.95, 0.99, 1.0, 1.01, 1.05, 1.5, 2.0]), st.just(0)),
    st.tuples(st.just("paid"), SHARES, st.just(0)),
    st.tuples(st.sampled_from(["flow", "accept", "refuse", "initial"]), SHARES, st.just(0)),
    st.tuples(st.sampled_from(["void", "correct"]), SHARES, st.integers(0, 9)),
)
"""What happens, a share of the account, and (for what is about an event) how many events lie between it and the newest."""


def plan(desk: Desk, word: str, share: float, number: int) -> CapitalChange:
    """What a person wants to say, without insisting (`force`)."""
    amount = Decimal(f"{share * capital_now(desk).account:.2f}")
    plans: dict[str, Callable[[], CapitalChange]] = {
        "flow": lambda: record_flow(desk, amount),
        "accept": lambda: accept_value(desk),
        "refuse": lambda: refuse_value(desk),
        "initial": lambda: set_capital(desk, total=amount),
        "void": lambda: void_event(desk, number),
        "correct": lambda: correct_event(desk, number, amount),
    }
    return plans[word]()


@settings(max_examples=12, deadline=None)
@given(st.lists(ACTIONS, min_size=4, max_size=14))
def test_nothing_that_is_taken_without_force_raises_the_capital_above_the_account(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, float, int]]
) -> None:
    """Values come, money is paid in and out, and a person says anything about it, right or wrong. Only what the account itself gained makes
    more capital than it holds, and a tenth is the room that there is for flows that are too small to be seen. Taking everything back gives
    what the account values alone give."""
    desk = Desk(make_home(tmp_path_factory.mktemp("any") / "home"))
    report(desk, ACCOUNT)
    try:
        for word, share, back in actions:
            account = capital_now(desk).account
            if word in ("value", "paid"):
                report(desk, max(round(account * share if word == "value" else account * (1 + share), 2), 1.0))
                continue
            try:
                change = plan(desk, word, share, len(recorded(desk)) - back)
            except TradeflowError:
                continue
            record_change(desk, change, who="ann", why="any reason")
            after = capital_now(desk)
            assert after == change.after, "what was shown is what came"
            if word == "accept":
                moved = abs(change.after.account - change.before.jump.before) if change.before.jump else 0.0
                assert abs(after.capital - change.before.capital) <= moved + 0.01
            else:
                assert after.capital <= max(change.before.capital, after.backing * 1.1) + 0.01
        for number in range(len(recorded(desk)), 0, -1):
            with suppress(StateError):  # taken back already
                record_change(desk, void_event(desk, number, force=True), who="ann", why="all of it")
        with desk.ledger.read() as view:
            history = account_value_history(view, desk.account)["value"]
            assert ledger_problems(view) == []
        assert fold_capital(history, [], "full", max_change=0.1).equals(total_capital(desk))
    finally:
        desk.close()
