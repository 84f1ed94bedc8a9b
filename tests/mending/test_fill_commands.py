"""A person books what nobody reports, takes back what is wrong, and corrects it: nothing is sent, nothing counts twice."""

from __future__ import annotations

import getpass
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.commands import answer, run, said
from tests.mending.books import (
    STRATEGY,
    WHY,
    contract_of,
    held,
    over_both,
    owners,
    references,
    rows,
    trade_unseen,
    with_settings,
)
from tradeflow_core.brokers import FaultyBroker
from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.execution import ByHand, StackHandler, correct_by_hand, poll_orders, position_breaks
from tradeflow_core.home import Home
from tradeflow_core.ledger import Booking, book_fill, commissions, fills, instrument_orders, instruments_locked_by
from tradeflow_core.model import OUTSIDE, Fill, Leg, LockOwner, OrderIntent

NEVER = "[simulated.faults]\nlate_executions = 1\ndelay_minutes = 100000"
"""The broker does not report executions while these tests last."""


def executed(desk: Desk, instrument: str = "CORN") -> Fill:
    """The newest execution of an instrument at the broker, reported or not."""
    broker = desk.broker.inner if isinstance(desk.broker, FaultyBroker) else desk.broker
    return [fill for fill in broker.executions(desk.account).fills if fill.instrument == instrument][-1]


def newest(desk: Desk) -> dict[str, object]:
    return {str(name): value for name, value in rows(desk, fills)[-1].items()}


# --- trades made elsewhere -----------------------------------------------------------------------------------------------


@over_both
def test_a_trade_that_closes_a_break_is_booked_for_its_strategy(path: Path, desk: Desk) -> None:
    before = held(desk)
    trade_unseen(desk, -2)  # the broker has two more
    answer_before = answer(path, "positions", "--instrument", "CORN")
    words = ("orders", "balance", STRATEGY, "CORN", str(contract_of(desk)), "2", "551.25", *WHY)
    when = ("--time", "2024-01-08T14:30", "--commission", "5.60")
    tried = answer(path, *words, *when, "--dry-run")
    assert held(desk) == before - 2 and not tried["done"]
    done = answer(path, *words, *when)
    assert (done["about"], done["positions"]) == (tried["about"], tried["positions"]) and done["number"].startswith("hand-")
    assert [(each["whose"], each["before"], each["after"], each["broker"]) for each in done["positions"]] == [
        (STRATEGY, before - 2, before, None),
        ("2024-12", before - 2, before, before),
    ]
    assert held(desk) == before and position_breaks(desk) == []
    booked = newest(desk)
    assert (booked["quantity"], booked["price"], booked["commission"]) == (2, 551.25, Decimal("5.60"))
    assert booked["time"] == datetime(2024, 1, 8, 19, 30, tzinfo=UTC)
    assert (booked["who"], booked["why"]) == (getpass.getuser(), "put right")
    assert answer_before["accounts"][0]["at_the_broker"] == before


def test_a_trade_that_would_open_a_break_is_refused_unless_it_is_forced(path: Path, desk: Desk) -> None:
    before = held(desk)
    words = ("orders", "balance", STRATEGY, "CORN", str(contract_of(desk)), "2", "551.25", *WHY)
    refused = run(path, *words)
    assert refused.exit_code == 1 and "positions agree with the broker's now, and would not then" in said(refused)
    assert "--force" in said(refused) and held(desk) == before
    forced = answer(path, *words, "--force")
    assert held(desk) == before + 2 and any("is now locked: reconciliation" in note for note in forced["notes"])
    shown = said(run(path, "reconcile"))
    assert "positions adopt CORN" in shown


def test_a_trade_that_the_broker_reports_is_not_booked_a_second_time(path: Path, desk: Desk) -> None:
    desk.clock.wait(14 * 3600)
    leg = Leg(contract_of(desk), 2)
    broker = desk.broker
    broker.exchange.trade_elsewhere(OrderIntent("theirs", desk.account, "CORN", (leg,)), desk.now())  # type: ignore[attr-defined]
    desk.clock.wait(60)
    refused = run(path, "orders", "balance", STRATEGY, "CORN", str(leg.contract), "2", "551.25", *WHY)
    assert refused.exit_code == 1 and "they would count twice" in said(refused)
    shown = said(run(path, "reconcile"))
    assert "1 executions that the broker reports were booked" in shown
    assert f"tradeflow positions assign CORN --to {STRATEGY}" in shown
    assert owners(desk)[OUTSIDE] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("trend_cary", "CORN", "202412", "1", "400"), "no strategy 'trend_cary' in this home (nearest: trend_carry)"),
        ((STRATEGY, "CORNE", "202412", "1", "400"), "unknown instrument 'CORNE'"),
        ((STRATEGY, "CORN", "202401", "1", "400"), "CORN"),
        ((STRATEGY, "CORN", "202412", "0", "400"), "0 contracts"),
        ((STRATEGY, "CORN", "202412", "1", "400", "--time", "2024-01-09T14:30"), "has not come yet"),
        ((STRATEGY, "CORN", "202412", "1", "400", "--time", "2024-01-08"), "give the time of the trade too"),
        ((STRATEGY, "CORN", "202412", "1", "400", "--time", "noon"), "'noon' is no day or time"),
        ((STRATEGY, "CORN", "202412", "1", "400", "--commission", "much"), "--commission 'much' is no amount"),
    ],
)
def test_a_mistake_in_a_trade_by_hand_is_refused_plainly(path: Path, desk: Desk, words: tuple[str, ...], message: str) -> None:
    refused = run(path, "orders", "balance", *words, *WHY)
    assert refused.exit_code == 1 and message in said(refused) and "Traceback" not in refused.output
    assert position_breaks(desk) == []


# --- fills that are never reported ---------------------------------------------------------------------------------------


def test_a_fill_that_is_never_reported_is_booked_by_hand_and_the_lock_goes(open_desk: Desk) -> None:
    path = with_settings(open_desk.home.path, NEVER)
    desk = Desk(Home.open(path))
    StackHandler(desk).run(desk.home.at(desk.today(), desk.settings.day.session_end))
    fill = executed(desk, "EUROSTX")
    assert held(desk, "EUROSTX") == 0 and run(path, "reconcile").exit_code == 1
    (reference,) = references(desk, "EUROSTX")
    words = ("orders", "fill", reference, str(fill.quantity), str(fill.price), *WHY)
    tried = answer(path, *words, "--dry-run")
    assert held(desk, "EUROSTX") == 0 and "it counts twice" in tried["warnings"][0]
    done = answer(path, *words, "--exec-id", fill.exec_id)
    assert done["warnings"] == [] and done["number"] == fill.exec_id
    assert "the lock of EUROSTX is lifted" in " ".join(done["notes"])
    assert held(desk, "EUROSTX") == fill.quantity
    story = answer(path, "orders", "show", "2")
    assert story["order"]["filled"] == fill.quantity
    assert [row["what"] for row in story["timeline"] if row["who"] == getpass.getuser()] == [f"execution {fill.exec_id}"]
    again = run(path, *words, "--exec-id", fill.exec_id)
    assert again.exit_code == 1 and f"execution {fill.exec_id} is booked already" in said(again)
    desk.close()
    # The broker reports it after all: under the number that was given, so it does not count again.
    settings = path / "tradeflow.toml"
    settings.write_text(settings.read_text(encoding="utf-8").replace("late_executions = 1", ""), encoding="utf-8")
    late = Desk(Home.open(path))
    poll_orders(late, long_ago=True)
    assert held(late, "EUROSTX") == fill.quantity and position_breaks(late) == []
    assert [row["exec_id"] for row in rows(late, fills) if row["instrument"] == "EUROSTX"] == [fill.exec_id]
    assert rows(late, commissions)[-1]["exec_id"] == fill.exec_id, "its commission is told later"
    late.close()


def test_a_fill_is_refused_where_positions_agree_or_the_order_has_no_such_trade(path: Path, desk: Desk) -> None:
    reference = references(desk, "EUROSTX")[0]
    agrees = run(path, "orders", "fill", reference, "-1", "3700", *WHY)
    assert agrees.exit_code == 1 and "positions agree with the broker's now" in said(agrees)
    for words, message in (
        (("tf-none", "-1", "3700"), "no order was sent with the reference tf-none"),
        ((reference, "0", "3700"), "a fill of 0 contracts"),
        ((reference, "1", "3700", "--force"), "did not ask for"),
        ((reference, "-1", "3700", "--leg", "202406", "--force"), "did not ask for"),
    ):
        refused = run(path, "orders", "fill", *words, *WHY)
        assert refused.exit_code == 1 and message in said(refused) and "Traceback" not in refused.output
    assert held(desk, "EUROSTX") == -38


def test_a_fill_of_more_than_was_ordered_is_told(path: Path, desk: Desk) -> None:
    reference = references(desk, "EUROSTX")[0]
    done = answer(path, "orders", "fill", reference, "-1", "3700", "--force", *WHY)
    assert any("filled with more than was ordered" in warning for warning in done["warnings"])
    answer(path, "orders", "void", done["number"], *WHY)
    assert held(desk, "EUROSTX") == -38


def test_a_leg_of_a_spread_has_to_be_named(open_desk: Desk) -> None:
    path = open_desk.home.path
    answer(path, "orders", "cancel", "1", *WHY)
    answer(path, "orders", "manual", STRATEGY, "CORN", "0", "--spread", "202403:-1,202405:1", *WHY)
    StackHandler(open_desk).step()
    (reference,) = references(open_desk)
    unnamed = run(path, "orders", "fill", reference, "1", "560", "--force", *WHY)
    assert unnamed.exit_code == 1 and "has the legs 2024-03, 2024-05; say which with --contract" in said(unnamed)
    for which in ("--leg", "--contract"):
        done = answer(path, "orders", "fill", reference, "1", "560", which, "202405", "--force", *WHY)
        answer(path, "orders", "void", done["number"], *WHY)


# --- taken back and corrected --------------------------------------------------------------------------------------------


@over_both
def test_an_execution_is_voided_and_both_positions_and_its_order_follow(path: Path, desk: Desk) -> None:
    number = trade_unseen(desk, 3)
    before = held(desk)
    words = ("orders", "void", number, *WHY)
    tried = answer(path, *words, "--dry-run")
    assert held(desk) == before and not tried["done"]
    done = answer(path, *words)
    assert held(desk) == before - 3 and position_breaks(desk) == []
    assert done["about"] == f"void execution {number}, +3 CORN 2024-12 at 400"
    gone = run(path, *words)
    assert gone.exit_code == 1 and "does not stand any more" in said(gone)
    void = run(path, "orders", "void", done["number"], *WHY)
    assert void.exit_code == 1 and "does not stand any more" in said(void)
    nothing = run(path, "orders", "void", "nothing", *WHY)
    assert nothing.exit_code == 1 and "execution nothing is not booked" in said(nothing)


def test_an_execution_that_the_broker_has_too_is_not_voided_unless_it_is_forced(path: Path, desk: Desk) -> None:
    fill = executed(desk, "EUROSTX")
    refused = run(path, "orders", "void", fill.exec_id, *WHY)
    assert refused.exit_code == 1 and "positions agree with the broker's now" in said(refused)
    answer(path, "orders", "void", fill.exec_id, "--force", *WHY)
    order = next(row for row in rows(desk, instrument_orders) if row["instrument"] == "EUROSTX")
    assert (held(desk, "EUROSTX"), order["filled"]) == (0, 0)
    with desk.ledger.read() as view:
        assert "EUROSTX" in instruments_locked_by(view, LockOwner.RECONCILIATION)


@over_both
def test_a_correction_of_price_and_quantity_takes_the_place_of_an_execution(path: Path, desk: Desk) -> None:
    number = trade_unseen(desk, 3)
    before = held(desk)
    trade_unseen(desk, -2)  # the broker has one more than before
    words = ("orders", "correct", number, "--quantity", "2", "--price", "401.5", *WHY)
    assert not answer(path, *words, "--dry-run")["done"] and held(desk) == before - 2
    done = answer(path, *words)
    assert done["about"] == f"correct execution {number}, +3 CORN 2024-12 at 400, to +2 at 401.5"
    assert held(desk) == before - 3 and position_breaks(desk) == []
    assert (newest(desk)["replaces"], newest(desk)["price"], newest(desk)["change"]) == (number, 401.5, -1)


def test_a_price_alone_is_corrected_where_positions_agree(path: Path, desk: Desk) -> None:
    fill = executed(desk, "EUROSTX")
    done = answer(path, "orders", "correct", fill.exec_id, "--price", "3724", "--exec-id", "2.01.1", *WHY)
    assert (done["positions"], done["number"]) == ([], "2.01.1")
    assert held(desk, "EUROSTX") == -38


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "say what is right: --quantity, --price, or both"),
        (("--quantity", "0"), "`tradeflow orders void` takes an execution back"),
        (("--quantity", "5", "--force"), "did not ask for"),
        (("--price", "3724", "--exec-id", "2.01.0"), "execution 2.01.0 is booked already"),
    ],
)
def test_a_correction_that_cannot_be_is_refused_plainly(path: Path, desk: Desk, words: tuple[str, ...], message: str) -> None:
    refused = run(path, "orders", "correct", executed(desk, "EUROSTX").exec_id, *words, *WHY)
    assert refused.exit_code == 1 and message in said(refused) and "Traceback" not in refused.output
    assert held(desk, "EUROSTX") == -38


def test_a_trade_made_elsewhere_stays_with_its_owner_when_it_is_corrected(path: Path, desk: Desk) -> None:
    number = trade_unseen(desk, 3)
    answer(path, "orders", "correct", number, "--quantity", "4", "--force", *WHY)
    assert OUTSIDE not in owners(desk)


@over_both
def test_what_a_person_has_corrected_the_broker_corrects_in_its_place(path: Path, desk: Desk) -> None:
    """So that the broker's own correction, when it comes at last, does not count on top of ours."""
    fill = executed(desk, "EUROSTX")
    answer(path, "orders", "correct", fill.exec_id, "--price", "3724", *WHY)
    answer(path, "orders", "void", str(newest(desk)["exec_id"]), "--force", *WHY)
    assert held(desk, "EUROSTX") == 0
    told = replace(fill, exec_id="2.01.7", replaces=fill.exec_id, quantity=-37, time=desk.now())
    with desk.ledger.begin() as tx:
        assert book_fill(tx, told, desk.now()) is Booking.CORRECTION
        assert book_fill(tx, told, desk.now()) is Booking.NONE
    assert held(desk, "EUROSTX") == -37


def test_an_execution_that_was_booked_meanwhile_is_not_booked_over(path: Path, desk: Desk) -> None:
    number = trade_unseen(desk, 3)
    now = desk.now
    ways = []

    def first_somebody_else() -> datetime:
        if not ways:
            ways.append(1)
            answer(path, "orders", "correct", number, "--price", "402", "--exec-id", "x2", "--force", *WHY)
        return now()

    desk.__dict__["now"] = first_somebody_else
    with pytest.raises(StateError, match="was booked meanwhile"):
        correct_by_hand(desk, number, price=403.0, number="x2", by=ByHand("me", "x", force=True))
