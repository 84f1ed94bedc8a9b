"""A person looks at orders, cancels them, makes some by hand, and has rejected ones tried again."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from tests.commands import answer, run, said
from tests.mending.books import STRATEGY, WHY, contract_of, give_to, held, over_both, owners, rows, with_settings, work
from tradeflow_core import ledger as books
from tradeflow_core.desk import Desk
from tradeflow_core.execution import StackHandler, position_breaks, trading_session
from tradeflow_core.home import Home
from tradeflow_core.ledger import instrument_orders
from tradeflow_core.ledger.schema import broker_orders, order_events
from tradeflow_core.model import LockOwner, RollState

FAR = ("--limit", "1")
"""The limit of an order that works at the broker and is not filled."""


def listed(path: Path, *words: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = answer(path, "orders", "list", *words)["orders"]
    return found


def at_the_broker(desk: Desk, instrument: str = "US10") -> str:
    """An order by hand that works at the broker; returns its number."""
    number = str(answer(desk.home.path, "orders", "manual", STRATEGY, instrument, "2", *FAR, *WHY)["number"])
    StackHandler(desk).step()
    return number


def working(desk: Desk, instrument: str = "US10") -> list[str]:
    """References of the orders of an instrument that work at the broker."""
    states = desk.broker.orders(desk.account).orders
    ours = {row["client_ref"] for row in rows(desk, broker_orders) if row["instrument"] == instrument}
    return [state.client_ref for state in states if state.status.is_live and state.client_ref in ours]


# --- looking -------------------------------------------------------------------------------------------------------------


def test_orders_are_listed_with_what_works_for_them_and_what_holds_them_back(open_desk: Desk) -> None:
    path = open_desk.home.path
    before = listed(path)
    assert {row["instrument"] for row in before} == {"CORN", "EUROSTX", "GOLD_micro"}
    assert all((row["status"], row["at_work"], row["held_back"]) == ("open", "", "") for row in before)
    assert "waits for the next pass" in said(run(path, "orders", "list"))
    answer(path, "locks", "lock", "GOLD_micro", *WHY)
    at_the_broker(open_desk)
    now = {row["instrument"]: row for row in listed(path)}
    assert now["GOLD_micro"]["held_back"] == "locked (person: put right)"
    assert "+2 of " in str(now["US10"]["at_work"]) and "at 1: working tf-" in str(now["US10"]["at_work"])
    assert now["US10"]["who"] == getpass.getuser() and now["US10"]["why"] == "put right"
    assert "held back: locked (person: put right)" in said(run(path, "orders", "list"))


def test_orders_of_a_day_and_all_orders_are_listed(path: Path, desk: Desk) -> None:
    assert listed(path) == []
    assert "none; `tradeflow orders list --all`" in said(run(path, "orders", "list"))
    of_day = listed(path, "--day", "2024-01-08")
    assert of_day == listed(path, "--all") and {row["status"] for row in of_day} == {"completed"}
    assert listed(path, "--day", "2024-01-09") == []
    assert "trade to the buffer edge" in said(run(path, "orders", "list", "--all"))
    assert run(path, "orders", "list", "--all", "--day", "2024-01-08").exit_code == 1


def test_an_order_is_shown_as_a_tree_with_executions_corrections_and_who_did_what(path: Path, desk: Desk) -> None:
    number = next(row["id"] for row in listed(path, "--all") if row["instrument"] == "EUROSTX")
    story = answer(path, "orders", "show", str(number))
    (sent,) = story["contract_orders"][0]["broker_orders"]
    (fill,) = sent["fills"]
    answer(path, "orders", "correct", fill["exec_id"], "--price", "3724", *WHY)
    shown = run(path, "orders", "show", str(number)).output
    for words in (
        f"order {number} of trend_carry for 2024-01-08",
        "decided at",
        f"execution {fill['exec_id']}",
        "in its place: hand-",
        "to -38 of 2024-03 at 3724",
        "quoted 3725 / 3726",
        "commission 76.00 EUR",
        "put right",
    ):
        assert words in shown
    changed = answer(path, "orders", "show", str(number))
    assert [row["what"] for row in changed["timeline"]][-1].startswith("execution hand-")
    assert (changed["timeline"][-1]["who"], changed["timeline"][-1]["why"]) == (getpass.getuser(), "put right")
    times = [row["time"] for row in changed["timeline"]]
    assert times == sorted(times) and changed["timeline"][0]["change"] == "made, open"
    missing = run(path, "orders", "show", "999")
    assert missing.exit_code == 1 and "there is no order 999" in said(missing) and "Traceback" not in missing.output


def test_a_commission_that_was_told_later_is_shown_with_its_time(seeded_home: Path, tmp_path: Path, open_desk: Desk) -> None:
    path = with_settings(open_desk.home.path, "[simulated.faults]\nlate_commissions = 1")
    desk = Desk(Home.open(path))
    StackHandler(desk).step()
    number = next(str(row["id"]) for row in listed(path, "--all") if row["instrument"] == "EUROSTX")
    assert "commission not told yet" in run(path, "orders", "show", number).output
    desk.clock.wait(3600)
    StackHandler(desk).step()
    desk.close()
    assert "commission 76.00 EUR, told 2024-01-08 18:05 UTC" in run(path, "orders", "show", number).output


# --- cancelling ----------------------------------------------------------------------------------------------------------


def test_an_order_that_is_not_at_work_is_closed_at_once(open_desk: Desk) -> None:
    path, number = open_desk.home.path, str(listed(open_desk.home.path)[0]["id"])
    tried = answer(path, "orders", "cancel", number, "--dry-run", *WHY)
    assert len(listed(path)) == 3 and not tried["done"]
    done = answer(path, "orders", "cancel", number, *WHY)
    assert done == {**tried, "done": True} and done["notes"] == ["nothing of it is at work at the broker"]
    assert len(listed(path)) == 2
    ends = [row for row in rows(open_desk, order_events) if row["after"] == "cancelled"]
    assert [(row["level"], row["who"], row["why"]) for row in ends] == [("instrument", getpass.getuser(), "put right")]
    again = run(path, "orders", "cancel", number, *WHY)
    assert again.exit_code == 1 and f"order {number} is cancelled; only open ones can be cancelled" in said(again)
    unknown = run(path, "orders", "cancel", "999", *WHY)
    assert unknown.exit_code == 1 and "there is no order 999" in said(unknown)


def test_what_works_at_the_broker_is_cancelled_by_the_command_where_no_handler_runs(open_desk: Desk) -> None:
    path, number = open_desk.home.path, at_the_broker(open_desk)
    assert len(working(open_desk)) == 1
    tried = answer(path, "orders", "cancel", number, "--dry-run", *WHY)
    assert "at work at the broker, and to be cancelled there: tf-" in tried["notes"][0] and len(working(open_desk)) == 1
    done = answer(path, "orders", "cancel", number, *WHY)
    assert "no stack handler is at work, so this command had tf-" in done["notes"][0]
    assert working(open_desk) == []
    (sent,) = [row for row in rows(open_desk, broker_orders) if row["instrument"] == "US10"]
    assert sent["status"] == "cancelled"
    cancelling = [row for row in rows(open_desk, order_events) if row["after"] == "cancelling"]
    assert [(row["who"], row["why"]) for row in cancelling] == [(getpass.getuser(), "put right")]


def test_what_works_at_the_broker_is_cancelled_by_the_handler_that_runs(open_desk: Desk) -> None:
    path, number = open_desk.home.path, at_the_broker(open_desk)
    with trading_session(open_desk):
        done = answer(path, "orders", "cancel", number, *WHY)
        assert "the stack handler that is at work cancels tf-" in done["notes"][0]
        assert len(working(open_desk)) == 1
        StackHandler(open_desk).step()
    assert working(open_desk) == []


def test_a_cancellation_that_the_broker_has_not_confirmed_is_told(open_desk: Desk) -> None:
    path = with_settings(open_desk.home.path, "[simulated.faults]\nlate_cancels = 1")
    done = answer(path, "orders", "cancel", at_the_broker(open_desk), *WHY)
    assert "has not confirmed yet that tf-" in done["notes"][0]


def test_a_broker_that_is_silent_leaves_the_cancellation_to_the_next_handler(open_desk: Desk) -> None:
    number = at_the_broker(open_desk)
    path = with_settings(open_desk.home.path, "[simulated.faults]\nsession_drops = 1")
    done = answer(path, "orders", "cancel", number, *WHY)
    assert "the broker does not answer" in done["notes"][0] and "the next stack handler cancels them" in done["notes"][0]
    assert done["done"] and len(working(open_desk)) == 1
    work(open_desk)
    assert working(open_desk) == []


# --- orders by hand ------------------------------------------------------------------------------------------------------


@over_both
def test_an_order_by_hand_is_traded_by_the_next_session(path: Path, desk: Desk) -> None:
    words = ("orders", "manual", STRATEGY, "US10", "-3", *WHY)
    tried = answer(path, *words, "--dry-run")
    assert listed(path) == [] and not tried["done"]
    done = answer(path, *words)
    assert done["about"] == tried["about"] and f"it is order {done['number']}" in done["notes"][0]
    (order,) = listed(path)
    assert (order["quantity"], order["type"], order["day"], order["who"]) == (-3, "market", "2024-01-09", getpass.getuser())
    desk.clock.wait(14 * 3600)
    work(desk)
    assert held(desk, "US10") == -3 and listed(path) == []
    assert position_breaks(desk) == []


def test_an_order_by_hand_keeps_the_price_that_it_was_decided_on(open_desk: Desk) -> None:
    answer(open_desk.home.path, "orders", "manual", STRATEGY, "US10", "1", *WHY)
    order = rows(open_desk, instrument_orders)[-1]
    quote = open_desk.broker.quote("US10", int(order["reference_contract"]))
    assert (order["reference_price"], order["reference_time"]) == (quote.mid, quote.time)


def test_an_order_by_hand_names_its_contract_and_its_price(open_desk: Desk) -> None:
    path = open_desk.home.path
    answer(path, "orders", "cancel", "1", *WHY)
    done = answer(path, "orders", "manual", STRATEGY, "CORN", "-1", "--contract", "202407", "--limit", "100", *WHY)
    assert done["about"] == "order of trend_carry for 2024-01-08: CORN -1 of 2024-07 at 100 or better"
    StackHandler(open_desk).step()
    assert (owners(open_desk), contract_of(open_desk)) == ({STRATEGY: -1}, 20240700)


def test_a_flat_spread_moves_contracts_and_not_the_position(open_desk: Desk) -> None:
    path = open_desk.home.path
    answer(path, "orders", "cancel", "1", *WHY)
    done = answer(path, "orders", "manual", STRATEGY, "CORN", "0", "--spread", "202403:-1,202405:1", *WHY)
    assert done["warnings"] == [] and "-1 of 2024-03 +1 of 2024-05" in done["about"]
    StackHandler(open_desk).step()
    with open_desk.ledger.read() as view:
        held = books.positions_by_contract(view, open_desk.account)
    assert {key: size for key, size in held.items() if key[0] == "CORN"} == {("CORN", 20240300): -1, ("CORN", 20240500): 1}
    assert owners(open_desk).get(STRATEGY, 0) == 0
    assert [row["status"] for row in listed(path, "--all") if row["id"] == int(done["number"])] == ["completed"]


def test_legs_that_do_not_add_up_to_the_order_are_told(open_desk: Desk) -> None:
    path = open_desk.home.path
    tried = answer(path, "orders", "manual", STRATEGY, "CORN", "0", "--spread", "202403:-1,202405:2", "--dry-run", *WHY)
    assert "the legs add up to 1, the order says 0" in tried["warnings"][0]


def test_a_spread_that_changes_the_position_is_held_back_by_limits_as_any_order(open_desk: Desk) -> None:
    path = open_desk.home.path
    answer(path, "limits", "position", "US10", "0", *WHY)
    refused = run(path, "orders", "manual", STRATEGY, "US10", "1", "--spread", "202403:-1,202406:2", *WHY)
    assert refused.exit_code == 1 and "nothing of it may be traded now: position limit" in said(refused)
    answer(path, "orders", "manual", STRATEGY, "US10", "0", "--spread", "202403:-1,202406:1", *WHY)


@pytest.mark.parametrize(
    ("control", "reason"),
    [
        (("stop", *WHY), "trading is stopped"),
        (("locks", "lock", "US10", *WHY), "locked (person: put right)"),
        (("overrides", "set", "--instrument", "US10", "no_trading", *WHY), "override no_trading (put right)"),
        (("limits", "position", "US10", "0", *WHY), "position limit"),
        (("limits", "trade", "US10", "--days", "1", "0", *WHY), "trade limit"),
    ],
    ids=["stop", "lock", "override", "position limit", "trade limit"],
)
def test_an_order_that_nothing_lets_through_is_refused_with_the_reason_or_waits(
    open_desk: Desk, control: tuple[str, ...], reason: str
) -> None:
    path = open_desk.home.path
    assert run(path, *control).exit_code == 0
    words = ("orders", "manual", STRATEGY, "US10", "2", *WHY)
    refused = run(path, *words)
    assert refused.exit_code == 1 and f"nothing of it may be traded now: {reason}" in said(refused)
    assert "--force the order waits" in said(refused) and len(listed(path)) == 3
    forced = answer(path, *words, "--force")
    assert reason in forced["warnings"][0] and len(listed(path)) == 4
    StackHandler(open_desk).step()
    assert owners(open_desk, "US10") == {}
    assert reason.partition(" (")[0] in str(next(row for row in listed(path) if row["instrument"] == "US10")["held_back"])


def test_of_an_order_that_limits_cut_it_is_said_how_much_goes_through(open_desk: Desk) -> None:
    path = open_desk.home.path
    answer(path, "limits", "position", "US10", "2", *WHY)
    done = answer(path, "orders", "manual", STRATEGY, "US10", "5", *WHY)
    assert done["warnings"] == ["only +2 of it may be traded now: position limit"]
    StackHandler(open_desk).step()
    assert held(open_desk, "US10") == 2


def test_an_order_that_its_roll_does_not_let_through_needs_a_contract(open_desk: Desk) -> None:
    path = open_desk.home.path
    with open_desk.ledger.begin() as tx:
        books.set_roll_state(tx, "US10", RollState.CLOSE, now=open_desk.now(), who="x", why="x")
    refused = run(path, "orders", "manual", STRATEGY, "US10", "2", *WHY)
    assert refused.exit_code == 1 and "its roll is in the state Close; --contract names" in said(refused)
    answer(path, "orders", "manual", STRATEGY, "US10", "2", "--force", *WHY)
    held_back = next(row for row in listed(path) if row["instrument"] == "US10")["held_back"]
    assert held_back == "the roll of US10 is in the state Close"


def test_a_strategy_that_was_removed_from_the_settings_can_be_closed_by_hand(path: Path, desk: Desk) -> None:
    give_to(desk, "old", held(desk))
    size = owners(desk)["old"]
    answer(path, "orders", "manual", "old", "CORN", str(-size), *WHY)
    desk.clock.wait(14 * 3600)
    work(desk, 40)
    assert "old" not in owners(desk)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("trend_cary", "CORN", "2"), "no strategy 'trend_cary' in this home (nearest: trend_carry)"),
        ((STRATEGY, "CORNE", "2"), "unknown instrument 'CORNE' (nearest: CORN)"),
        ((STRATEGY, "CORN", "0"), "an order of 0 contracts trades nothing"),
        ((STRATEGY, "CORN", "1", "--contract", "202413"), "202413"),
        ((STRATEGY, "CORN", "1", "--contract", "202402"), "CORN"),
        ((STRATEGY, "CORN", "1", "--contract", "202312"), "expired on"),
        ((STRATEGY, "CORN", "1", "--contract", "202403", "--spread", "202403:-1,202405:2"), "not both"),
        ((STRATEGY, "CORN", "0", "--spread", "202403:-1"), "is no spread"),
        ((STRATEGY, "CORN", "0", "--spread", "202403:-1,202403:1"), "is no spread"),
        ((STRATEGY, "CORN", "0", "--spread", "202403-1,202405:1"), "'202403-1' is no leg"),
    ],
)
def test_a_mistake_in_an_order_by_hand_is_refused_plainly(open_desk: Desk, words: tuple[str, ...], message: str) -> None:
    refused = run(open_desk.home.path, "orders", "manual", *words, *WHY)
    assert refused.exit_code == 1 and message in said(refused) and "Traceback" not in refused.output
    assert len(listed(open_desk.home.path)) == 3


# --- rejected orders -----------------------------------------------------------------------------------------------------


def test_a_rejected_order_is_tried_again_at_once(open_desk: Desk) -> None:
    path = open_desk.home.path
    desk = Desk(Home.open(with_settings(path, "[simulated.faults]\nrejected_orders = 1")))
    answer(path, "orders", "manual", STRATEGY, "US10", "1", *WHY)
    StackHandler(desk).step()
    number = next(row for row in listed(path) if row["instrument"] == "US10")
    assert "rejected 1 times" in str(number["held_back"])
    StackHandler(desk).step()
    words = ("orders", "retry", str(number["id"]), *WHY)
    tried = answer(path, *words, "--dry-run")
    assert "rejected 1 times" in str(next(row for row in listed(path) if row["instrument"] == "US10")["held_back"])
    assert answer(path, *words) == {**tried, "done": True}
    assert next(row for row in listed(path) if row["instrument"] == "US10")["held_back"] == ""
    StackHandler(desk).step()
    assert sum(row["instrument"] == "US10" for row in rows(desk, broker_orders)) == 2
    desk.close()


def test_after_many_rejections_the_lock_has_to_be_lifted_too(open_desk: Desk) -> None:
    path = open_desk.home.path
    desk = Desk(Home.open(with_settings(path, "[simulated.faults]\nrejected_orders = 1")))
    number = answer(path, "orders", "manual", STRATEGY, "US10", "1", *WHY)["number"]
    for _ in range(5):
        StackHandler(desk).step()
        desk.clock.wait(1800)
    with desk.ledger.read() as view:
        assert "US10" in books.instruments_locked_by(view, LockOwner.EXECUTION)
    desk.close()
    done = answer(path, "orders", "retry", number, *WHY)
    (command,) = [note.partition("lift it: ")[2] for note in done["notes"] if "lift it" in note]
    assert run(path, *command.removeprefix("tradeflow ").replace('"..."', "sure").split()).exit_code == 0
    assert next(row for row in listed(path) if row["instrument"] == "US10")["held_back"] == ""


def test_an_order_that_was_not_rejected_is_not_tried_again(open_desk: Desk) -> None:
    refused = run(open_desk.home.path, "orders", "retry", "1", *WHY)
    assert refused.exit_code == 1 and "no open contract order of order 1 was rejected" in said(refused)


# --- all of them ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("cancel", "1"),
        ("retry", "1"),
        ("manual", STRATEGY, "CORN", "1"),
        ("balance", STRATEGY, "CORN", "202403", "1", "400"),
        ("fill", "tf-1", "1", "400"),
        ("void", "x"),
        ("correct", "x", "--price", "400"),
    ],
    ids=lambda words: words[0],
)
def test_nothing_is_changed_without_a_reason_and_each_command_teaches(path: Path, words: tuple[str, ...]) -> None:
    missing = run(path, "orders", *words)
    assert missing.exit_code == 2 and "Missing option '--why'" in missing.output
    empty = run(path, "orders", *words, "--why", " ")
    assert empty.exit_code == 1 and "Traceback" not in empty.output
    help_text = run(path, "orders", words[0], "--help").output
    assert f"tradeflow orders {words[0]}" in help_text and "--dry-run" in help_text and "--json" in help_text
