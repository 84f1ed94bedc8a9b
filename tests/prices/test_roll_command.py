"""`tradeflow roll`: what a person sees, may do, and is refused."""

from __future__ import annotations

from datetime import date
from typing import Any

import pandas as pd
import pytest
from click.testing import Result

from tests import commands
from tests.commands import said
from tests.days import run_until
from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.home import Home
from tradeflow_core.ledger import (
    ANY,
    contract_facts,
    current_roll,
    locked_instruments,
    override_for,
    positions_by_contract,
    record_contracts,
    roll_events_of,
    roll_state,
    set_override,
    set_roll_state,
    set_trade_limit,
)
from tradeflow_core.model import Override, OverrideKind, RollState
from tradeflow_core.prices import refresh_expiries
from tradeflow_core.rolls import allowed_states, decide_rolls, roll_by_rules, roll_prices

CODE = "EUROSTX"


def run(desk: Desk, *arguments: str, text: str | None = None) -> Result:
    return commands.run(desk.home.path, "roll", *arguments, text=text)


def answer(desk: Desk, *arguments: str) -> Any:
    return commands.answer(desk.home.path, "roll", *arguments)


def state_of(desk: Desk, code: str = CODE) -> str:
    with desk.ledger.read() as view:
        return roll_state(view, code)


def events(desk: Desk, code: str = CODE) -> pd.DataFrame:
    with desk.ledger.read() as view:
        return roll_events_of(view, code)


def held(desk: Desk) -> tuple[str, int]:
    """An instrument with a position in its priced contract, and that position."""
    run_until(desk, "stack_handler")
    with desk.ledger.read() as view:
        for (code, contract), quantity in positions_by_contract(view, desk.account).items():
            roll = current_roll(view, code)
            if roll is not None and roll.price_contract == contract:
                return code, quantity
    raise AssertionError("the day traded nothing")


def test_the_list_is_sorted_by_urgency_and_names_the_allowed_states(trading_desk: Desk) -> None:
    rows = answer(trading_desk)
    assert {row["instrument"] for row in rows} == set(trading_desk.universe)
    urgency = [row["urgency"] for row in rows]
    assert urgency == sorted(urgency)
    assert all(row["urgency"] == min(row["days_to_roll"], row["days_to_expiry"], row["days_to_carry_expiry"]) for row in rows)
    assert all(
        row["allowed"] == [state.value for state in allowed_states(RollState(row["state"]), row["position"])] for row in rows
    )
    assert "Rolls, the most urgent first" in run(trading_desk).output


def test_only_what_is_due_soon_is_listed_if_asked(trading_desk: Desk) -> None:
    urgency = sorted(row["urgency"] for row in answer(trading_desk))
    rows = answer(trading_desk, "--days", str(urgency[1]))
    assert [row["urgency"] for row in rows] == [days for days in urgency if days <= urgency[1]] and len(rows) < len(urgency)
    assert urgency[0] > 0 and "nothing is due in the next 0 days" in run(trading_desk, "--days", "0").output
    assert "-1 is not in the range" in said(run(trading_desk, "--days", "-1"))


def test_every_state_can_be_explained(trading_desk: Desk) -> None:
    assert set(answer(trading_desk, "explain")) == {state.value for state in RollState}
    assert "calendar spread" in said(run(trading_desk, "explain", "force"))
    assert "unknown roll state 'Rollo'" in said(run(trading_desk, "explain", "Rollo"))


@pytest.mark.parametrize("flat", [True, False])
def test_the_transition_table_decides_and_a_refusal_lists_what_is_allowed(trading_desk: Desk, *, flat: bool) -> None:
    desk = trading_desk
    code, position = (CODE, 0) if flat else held(desk)
    for before in (state for state in RollState if state != RollState.ROLL_ADJUSTED):
        allowed = allowed_states(before, position)
        for after in (state for state in RollState if state != RollState.ROLL_ADJUSTED or state not in allowed):
            with desk.ledger.begin() as tx:
                set_roll_state(tx, code, before, now=desk.now(), who="me", why="begin")
            result = run(desk, "set", code, after.value)
            assert (result.exit_code == 0) == (after in allowed), (before, after, result.output)
            assert state_of(desk, code) == (after if after in allowed else before)
            if after not in allowed:
                assert f"{after} may not follow {before}" in said(result)
                assert all(f"{state}: " in result.output for state in allowed)


def test_a_dry_run_changes_no_state(trading_desk: Desk) -> None:
    assert answer(trading_desk, "set", CODE, "passive", "--dry-run")["done"] is False
    assert state_of(trading_desk) == "No_Roll"
    assert "may not follow" in run(trading_desk, "set", CODE, "Force", "--dry-run").output


def test_a_roll_of_prices_shows_both_and_asks_and_no_changes_nothing(trading_desk: Desk) -> None:
    desk = trading_desk
    before, multiple = events(desk), desk.store.read("multiple_prices", CODE)
    refused = run(desk, "set", CODE, "Roll_Adjusted", text="n\n")
    assert refused.exit_code == 0 and "nothing was changed" in refused.output
    for title in ("multiple, before", "multiple, after", "adjusted, before", "adjusted, after"):
        assert f"{CODE} {title} the roll" in said(refused)
    pd.testing.assert_frame_equal(events(desk), before)
    pd.testing.assert_frame_equal(desk.store.read("multiple_prices", CODE), multiple)
    assert state_of(desk) == "No_Roll"


def test_a_confirmed_roll_rebuilds_the_prices_at_once_as_the_preview_showed_them(trading_desk: Desk) -> None:
    desk = trading_desk
    with desk.ledger.begin() as tx:
        set_roll_state(tx, CODE, RollState.PASSIVE, now=desk.now(), who="me", why="x")
    shown = answer(desk, "preview", CODE)
    assert "[y/N]" in run(desk, "set", CODE, "Roll_Adjusted", "--why", "volume has moved", text="y\n").output
    assert len(shown["multiple_after"]) == len(shown["adjusted_before"]) == 6
    now = desk.store.read("multiple_prices", CODE)
    assert int(now["PRICE_CONTRACT"].iloc[-1]) == shown["roll"]["price_contract"]
    assert now["PRICE"].iloc[-6:].tolist() == [row["PRICE"] for row in shown["multiple_after"]]
    assert desk.store.read("adjusted_prices", CODE)["price"].iloc[-6:].tolist() == [
        row["price"] for row in shown["adjusted_after"]
    ]
    assert state_of(desk) == "No_Roll"
    assert events(desk).iloc[-1]["reason"] == "person"


def test_the_contracts_of_a_roll_are_looked_up_at_the_broker_and_sampled_from_then_on(trading_desk: Desk) -> None:
    desk = trading_desk
    with desk.ledger.begin() as tx:
        before, known = current_roll(tx, CODE), contract_facts(tx, CODE)
        assert before is not None
        record_contracts(tx, CODE, {before.forward_contract: (date(2030, 1, 1), True)}, now=desk.now())
    event = roll_prices(desk, CODE, "person", who="me", why="I say so")
    with desk.ledger.read() as view:
        facts = contract_facts(view, CODE)
    for contract in (event.price_contract, event.forward_contract, event.carry_contract):
        assert facts[contract] == (desk.broker.contract(CODE, contract).expiry, True)
    was, furthest = (max(contract for contract, (_, sampling) in table.items() if sampling) for table in (known, facts))
    assert furthest > max(was, event.forward_contract), "one contract further than before"


def test_a_roll_needs_contracts_that_exist(trading_desk: Desk) -> None:
    desk, forgotten = trading_desk, 20240201
    with desk.ledger.begin() as tx:
        record_contracts(tx, CODE, {forgotten: (date(2024, 2, 20), False)}, now=desk.now())
    refresh_expiries(desk, CODE, [forgotten])
    with desk.ledger.read() as view:
        assert contract_facts(view, CODE)[forgotten] == (date(2024, 2, 20), False), (
            "what the broker has forgotten stays as recorded"
        )
    with pytest.raises(StateError, match="the broker has no contract 2040-12; wait until it is listed"):
        refresh_expiries(desk, CODE, [20401200])


def test_a_program_must_say_yes(trading_desk: Desk) -> None:
    before = events(trading_desk)
    refused = run(trading_desk, "set", CODE, "Roll_Adjusted", "--json")
    assert refused.exit_code == 1 and "add --yes" in said(refused)
    pd.testing.assert_frame_equal(events(trading_desk), before)
    assert answer(trading_desk, "set", CODE, "Roll_Adjusted", "--dry-run")["done"] is False
    pd.testing.assert_frame_equal(events(trading_desk), before)
    assert answer(trading_desk, "set", CODE, "Roll_Adjusted", "--yes")["after"] == "No_Roll"
    assert len(events(trading_desk)) == len(before) + 1


def test_prices_are_not_rolled_while_the_contract_is_held(trading_desk: Desk) -> None:
    code, _ = held(trading_desk)
    before = events(trading_desk, code)
    refused = run(trading_desk, "set", code, "Roll_Adjusted", "--yes")
    assert refused.exit_code == 1 and "Roll_Adjusted may not follow No_Roll" in said(refused)
    pd.testing.assert_frame_equal(events(trading_desk, code), before)


def test_no_open_means_reduce_only_as_long_as_it_lasts_and_an_earlier_override_survives(trading_desk: Desk) -> None:
    desk = trading_desk
    half = Override(OverrideKind.FRACTION, 0.5, "half size")
    with desk.ledger.begin() as tx:
        set_override(tx, ANY, CODE, override=half, now=desk.now(), who="me")
    assert run(desk, "set", CODE, "No_Open").exit_code == 0
    with desk.ledger.read() as view:
        during = override_for(view, "trend_carry", CODE)
        assert (during.kind, override_for(view, "trend_carry", "US10").kind) == ("reduce_only", "fraction")
    assert "No_Open" in during.why and "half size" in during.why
    assert run(desk, "set", CODE, "Passive").exit_code == 0
    with desk.ledger.read() as view:
        assert override_for(view, "trend_carry", CODE) == half


def test_a_stricter_override_is_not_weakened_by_no_open(trading_desk: Desk) -> None:
    desk = trading_desk
    with desk.ledger.begin() as tx:
        set_override(tx, ANY, CODE, override=Override(OverrideKind.NO_TRADING, 0.0, "sanctions"), now=desk.now(), who="me")
    run(desk, "set", CODE, "No_Open")
    with desk.ledger.read() as view:
        assert override_for(view, "trend_carry", CODE).kind == "no_trading"


def test_a_trade_limit_that_is_too_small_for_a_forced_roll_is_warned_of(trading_desk: Desk) -> None:
    desk = trading_desk
    code, position = held(desk)
    with desk.ledger.begin() as tx:  # what the day has traded counts as well
        set_trade_limit(tx, ANY, code, days=1, contracts=2 * abs(position), now=desk.now(), who="me", why="careful")
    warnings = answer(desk, "set", code, "Force")["warnings"]
    assert len(warnings) == 1 and f"needs {2 * abs(position)} contracts" in warnings[0]
    assert answer(desk, "set", code, "Close")["warnings"] == []
    with desk.ledger.begin() as tx:
        set_trade_limit(tx, ANY, code, days=1, contracts=3 * abs(position), now=desk.now(), who="me", why="careful")
    assert answer(desk, "set", code, "Force_Outright")["warnings"] == []


def near_the_roll(desk: Desk, *arguments: tuple[str, str]) -> Desk:
    """The same home with settings under which the rules act on every instrument."""
    settings = desk.home.path / "tradeflow.toml"
    lines = ["", "[rolls]", "near_expiry_days = 400", "min_relative_volume = 0.0001", "min_absolute_volume = 1"]
    settings.write_text(settings.read_text() + "\n".join([*lines, *(f'{key} = "{value}"' for key, value in arguments)]) + "\n")
    return Desk(Home.open(desk.home.path))


def test_the_rules_only_say_what_they_would_do_in_a_dry_run(trading_desk: Desk) -> None:
    desk = near_the_roll(trading_desk)
    with desk.ledger.begin() as tx:
        set_roll_state(tx, "US10", RollState.FORCE, now=desk.now(), who="me", why="x")
    before = {code: (len(events(desk, code)), state_of(desk, code)) for code in desk.universe}
    rows = answer(desk, "auto", "--dry-run")
    assert {row["decision"] for row in rows} == {"suggested: Roll_Adjusted"}
    assert {code: (len(events(desk, code)), state_of(desk, code)) for code in desk.universe} == before
    desk.close()


def test_the_rules_roll_what_is_confirmed_and_leave_the_rest(trading_desk: Desk) -> None:
    desk = near_the_roll(trading_desk)
    before = {code: len(events(desk, code)) for code in desk.universe}
    result = run(desk, "auto", "US10", CODE, text="n\ny\n")
    assert result.exit_code == 0 and "was not confirmed" in said(result)
    assert sorted(len(events(desk, code)) - before[code] for code in desk.universe) == [0, 0, 0, 1]
    assert len(answer(desk, "auto", "GOLD_micro", "--yes")) == 1
    assert len(events(desk, "GOLD_micro")) == before["GOLD_micro"] + 1
    desk.close()


def test_rules_that_ask_leave_a_held_contract_to_a_person(trading_desk: Desk) -> None:
    code, _ = held(trading_desk)
    desk = near_the_roll(trading_desk, ("when_undecided", "Ask"))
    (status,) = roll_by_rules(desk, [code])
    assert "tradeflow roll set" in status.note and state_of(desk, code) == "No_Roll"
    desk.close()


def test_rules_may_be_given_any_state_for_what_they_cannot_decide(trading_desk: Desk) -> None:
    code, _ = held(trading_desk)
    desk = near_the_roll(trading_desk, ("when_undecided", "Force_Outright"))
    (status,) = roll_by_rules(desk, [code])
    assert status.decision == "now Force_Outright" and state_of(desk, code) == "Force_Outright"
    desk.close()


def test_roll_parameters_are_put_in_force_only_when_confirmed(trading_desk: Desk) -> None:
    desk = trading_desk
    before, table = events(desk), desk.home.path / "config" / "rolls.csv"
    refused = run(desk, "parameters", CODE, "--roll-offset", "-30", text="n\n")
    assert refused.exit_code == 0 and "nothing was changed" in refused.output and "Rolls that change" in refused.output
    pd.testing.assert_frame_equal(events(desk), before)
    assert not table.exists()
    assert answer(desk, "parameters", CODE, "--roll-offset", "-30", "--dry-run")["applied"] is False
    assert not table.exists()
    done = answer(desk, "parameters", CODE, "--roll-offset", "-30", "--yes")
    assert done["applied"] and done["changed_rolls"] and done["after"]["roll_offset"] == -30
    assert table.exists() and not events(desk).equals(before)
    again = answer(desk, "parameters", CODE, "--roll-offset", "-30", "--yes")
    assert again["same_history"] and again["applied"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--carry-offset", "2"), "it can only be -1 or +1"),
        (("--hold", "ABC"), "give one or more month letters"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(trading_desk: Desk, arguments: tuple[str, ...], message: str) -> None:
    result = run(trading_desk, "parameters", CODE, *arguments)
    assert result.exit_code == 1 and message in said(result)


def test_a_stale_instrument_is_neither_rolled_nor_traded_until_it_is_taken_off_the_list(trading_desk: Desk) -> None:
    settings = trading_desk.home.path / "tradeflow.toml"
    text = settings.read_text()
    settings.write_text(text.replace("universe =", f'stale_instruments = ["{CODE}"]\nuniverse ='))
    desk = Desk(Home.open(trading_desk.home.path))
    assert CODE not in desk.universe and CODE in desk.home.instruments
    assert CODE not in {status.instrument for status in decide_rolls(desk)}
    with desk.ledger.read() as view:
        assert locked_instruments(view)[CODE].startswith("stale: ")
    desk.close()
    settings.write_text(text)
    decide_rolls(trading_desk)
    with trading_desk.ledger.read() as view:
        assert CODE not in locked_instruments(view)
