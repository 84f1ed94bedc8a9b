"""`tradeflow prices`: update, check, seed, delete, spreads, as a person calls them."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest
from click.testing import Result

from tests import commands
from tests.commands import said
from tests.frames import contracts_of
from tradeflow_core.desk import Desk
from tradeflow_core.ledger import current_roll, marks_of
from tradeflow_core.prices import contract_prices, stored_bars, update_sampled_contracts
from tradeflow_core.reports import freshness


def run(desk: Desk, *arguments: str, text: str | None = None) -> Result:
    return commands.run(desk.home.path, "prices", *arguments, text=text)


def answer(desk: Desk, *arguments: str) -> Any:
    return commands.answer(desk.home.path, "prices", *arguments)


def test_a_region_is_updated_and_the_others_are_left_alone(trading_desk: Desk) -> None:
    files = {code: trading_desk.store.path("adjusted_prices", code).stat().st_mtime_ns for code in trading_desk.universe}
    assert answer(trading_desk, "update", "--region", "emea") == {"updated": ["EUROSTX"], "failed": {}}
    changed = [
        code for code, time in files.items() if trading_desk.store.path("adjusted_prices", code).stat().st_mtime_ns != time
    ]
    assert changed == ["EUROSTX"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--region", "MARS"), "unknown region 'MARS'; use one of US, EMEA, ASIA"),
        (("--region", "ASIA"), "no instrument of this home is in the region ASIA"),
        (("CORN", "--region", "EMEA"), "no instrument of this home is in the region EMEA"),
        (("DAX",), "not in the universe of this home"),
        (("--start", "2024-01-01"), "add --full-refresh"),
    ],
)
def test_an_update_of_nothing_is_an_error(trading_desk: Desk, arguments: tuple[str, ...], message: str) -> None:
    result = run(trading_desk, "update", *arguments)
    assert result.exit_code == 1 and message in said(result)


def test_a_dry_run_updates_nothing(trading_desk: Desk) -> None:
    files = {path: path.stat().st_mtime_ns for path in trading_desk.home.path.rglob("*.parquet")}
    assert answer(trading_desk, "update", "--dry-run") == {"would_update": trading_desk.universe}
    assert {path: path.stat().st_mtime_ns for path in files} == files


def test_a_full_refresh_of_a_window_fills_what_is_missing_there_and_only_there(trading_desk: Desk) -> None:
    desk = trading_desk
    before = stored_bars(desk, "US10")
    daily = before["frequency"] == "D"
    inside, outside = (
        daily & before["end"].between("2023-03-01", "2023-03-31"),
        daily & before["end"].between("2023-05-01", "2023-05-31"),
    )
    desk.store.write("contract_prices", "US10", before[~(inside | outside)].reset_index(drop=True))
    assert answer(desk, "update", "US10", "--full-refresh", "--start", "2023-02-01", "--end", "2023-04-01")["updated"] == ["US10"]
    after = stored_bars(desk, "US10")
    after = after[after["frequency"] == "D"]
    assert after["end"].between("2023-03-01", "2023-03-31").sum() == inside.sum() > 0
    assert outside.any() and not after["end"].between("2023-05-01", "2023-05-31").any()


def test_an_instrument_that_fails_is_named_and_the_others_go_on(trading_desk: Desk) -> None:
    trading_desk.store.path("contract_prices", "CORN").write_bytes(b"garbage")
    result = run(trading_desk, "update", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert list(report["failed"]) == ["CORN"] and report["updated"] == ["EUROSTX", "GOLD_micro", "US10"]


def bad_tick(desk: Desk, code: str = "US10") -> tuple[int, pd.Timestamp]:
    with desk.ledger.read() as view:
        roll = current_roll(view, code)
    assert roll is not None
    bars = stored_bars(desk, code)
    place = bars.index[(bars["contract"] == roll.price_contract) & (bars["frequency"] == "D")][-4]
    bars.loc[place, "FINAL"] *= 0.5
    desk.store.write("contract_prices", code, bars)
    return roll.price_contract, bars.loc[place, "end"]


def test_a_suspect_is_listed_with_the_name_that_a_decision_takes(trading_desk: Desk) -> None:
    desk = trading_desk
    contract, time = bad_tick(desk)
    found = answer(desk, "check", "US10")["suspects"]
    assert len(found) == 2 and len(found[0]["context"]) == 6
    reference = found[0]["reference"]
    assert reference == f"{contract}@{time:%Y-%m-%dT%H:%M}"
    assert reference in run(desk, "check", "US10", "--stored").output
    preview = answer(desk, "check", "US10", "--reject", reference, "--why", "bad tick", "--dry-run")
    assert preview["recorded"] is False and len(preview["suspects"]) == 2
    done = answer(desk, "check", "US10", "--reject", reference, "--why", "bad tick")
    assert done["recorded"] is True and done["suspects"] == []
    with desk.ledger.read() as view:
        assert marks_of(view, "US10")["price"].isna().tolist() == [True]
    prices = contract_prices(desk, "US10")
    assert not ((prices["contract"] == contract) & (prices["date"] == time)).any()
    replaced = answer(desk, "check", "US10", "--replace", f"{reference}={done['decided'][0]['was'] * 2}", "--why", "misprint")
    assert replaced["decided"][0]["becomes"] == done["decided"][0]["was"] * 2


def test_a_rate_is_checked_by_its_currency(trading_desk: Desk) -> None:
    desk = trading_desk
    rates = desk.store.read("spot_fx", "EURUSD")
    desk.store.write("spot_fx", "EURUSD", rates.iloc[:-2] / 50)
    (found,) = answer(desk, "check", "--fx", "EUR")["suspects"]
    assert found["reference"] == f"{rates.index[-2]:%Y-%m-%dT%H:%M}" and not found["stored"]
    assert answer(desk, "check", "--fx", "EUR", "--accept", found["reference"], "--why", "checked")["suspects"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name an instrument, or a currency with --fx"),
        (("US10", "--fx", "EUR"), "name an instrument, or a currency with --fx"),
        (("--fx", "XYZ"), "no rate of XYZ is collected here"),
        (("US10", "--accept", "20240300@2024-01-05T19:20"), "needs --why"),
        (("US10", "--accept", "2024-01-05", "--why", "x"), "write it as 20240300@2024-01-05T19:20"),
        (("US10", "--accept", "20240300@2024-01-05=3", "--why", "x"), "cannot be read"),
        (("US10", "--replace", "20240300@2024-01-05", "--why", "x"), "write it as 20240300@2024-01-05T19:20=101.5"),
        (("US10", "--replace", "20240300@2024-01-05=nan", "--why", "x"), "cannot be read"),
        (("US10", "--replace", "20240300@soon=3", "--why", "x"), "cannot be read"),
        (("--fx", "EUR", "--accept", "20240300@2024-01-05", "--why", "x"), "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused(trading_desk: Desk, arguments: tuple[str, ...], message: str) -> None:
    result = run(trading_desk, "check", *arguments)
    assert result.exit_code == 1 and message in said(result), result.output


def test_price_files_are_deleted_only_when_confirmed(trading_desk: Desk) -> None:
    desk = trading_desk
    with desk.ledger.begin() as tx:
        tx.exec_driver_sql("update instrument_orders set status = 'cancelled'")
    assert "nothing was deleted" in run(desk, "delete", "US10", text="n\n").output
    assert answer(desk, "delete", "US10", "--dry-run")["deleted"] is False
    assert run(desk, "delete", "US10", "--json").exit_code == 1
    assert desk.store.exists("contract_prices", "US10")
    assert answer(desk, "delete", "US10", "--yes")["files"] == ["contract_prices", "multiple_prices", "adjusted_prices"]
    assert not desk.store.exists("contract_prices", "US10")


def test_spreads_are_sampled_or_the_reason_is_given(trading_desk: Desk) -> None:
    trading_desk.clock.wait(11 * 3600)
    rows = answer(trading_desk, "spreads", "US10", "CORN")
    assert [row["instrument"] for row in rows] == ["CORN", "US10"]
    assert all((row["spread"] is None) == bool(row["reason"]) for row in rows)
    assert rows[1]["spread"] > 0


def test_a_stale_instrument_is_neither_collected_nor_reported_but_known(trading_desk: Desk) -> None:
    settings = trading_desk.home.path / "tradeflow.toml"
    settings.write_text(settings.read_text().replace("universe =", 'stale_instruments = ["CORN"]\nuniverse ='))
    desk = Desk(type(trading_desk.home).open(trading_desk.home.path))
    assert answer(desk, "update", "--dry-run")["would_update"] == ["EUROSTX", "GOLD_micro", "US10"]
    refused = run(desk, "update", "CORN")
    assert refused.exit_code == 1 and "stale_instruments" in said(refused)
    assert "CORN" not in set(freshness(desk)["instrument"])
    assert desk.instrument("CORN").code == "CORN"
    settings.write_text(settings.read_text().replace('"CORN"]\nuniverse', '"KORN"]\nuniverse'))
    unknown = run(desk, "update")
    assert unknown.exit_code == 1 and "stale_instruments: no such instrument ['KORN']" in said(unknown)
    desk.close()


def test_an_expired_key_contract_raises_an_alarm_also_when_it_is_the_carry_contract(trading_desk: Desk) -> None:
    desk = trading_desk
    with desk.ledger.read() as view:
        roll, known = current_roll(view, "CORN"), contracts_of(view, "CORN")
    assert roll is not None and roll.carry_contract < roll.price_contract
    days = (known["expiry"][roll.carry_contract] - desk.today()).days
    update_sampled_contracts(desk, "CORN")
    assert not [alert for alert in desk.alerts.read() if alert["subject"] == "expired contract CORN"]
    desk.clock.wait((days + 1) * 86400)
    update_sampled_contracts(desk, "CORN")
    (alarm,) = [alert for alert in desk.alerts.read() if alert["subject"] == "expired contract CORN"]
    assert "the carry contract 2024-09 has expired" in alarm["message"]


def test_a_contract_that_the_broker_does_not_know_is_not_sampled(trading_desk: Desk) -> None:
    desk = trading_desk
    with desk.ledger.begin() as tx:
        tx.exec_driver_sql("insert into contracts values ('US10', 20240201, '2024-06-30', 1, '2024-01-01 00:00:00')")
    assert 20240201 not in update_sampled_contracts(desk, "US10")
    with desk.ledger.read() as view:
        assert not contracts_of(view, "US10")["sampling"][20240201]
