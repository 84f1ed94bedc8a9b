"""The command: what it prints, what it returns, and how it refuses."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.commands import answer, run, said
from tradeflow_core.cli.main import root
from tradeflow_core.desk import Desk
from tradeflow_core.execution import spawn_contract_orders
from tradeflow_core.ledger import open_instrument_orders, stop_trading


def test_a_stranger_makes_a_home_runs_a_day_and_looks_at_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert answer(home, "init", "--universe", "GOLD_micro,CORN")["universe"] == ["CORN", "GOLD_micro"]
    first = answer(home, "day")
    assert first["days"] == ["2024-01-08"]
    assert [job["job"] for job in first["jobs"]] == ["rolls", "prices", "portfolio", "stack_handler", "reports"]
    assert first["orders"]
    again = answer(home, "day")
    assert again["days"] == [] and again["fills"] == first["fills"]
    status = answer(home, "status")
    assert status["last_done_day"] == "2024-01-08" and status["locks"] == {} and status["trading_stopped"] is None
    assert {row["instrument"] for row in status["positions"]} == {"CORN", "GOLD_micro"}
    assert answer(home, "check") == {"problems": []}
    rows = answer(home, "sql", "select instrument, sum(quantity) as quantity from fills group by 1 order by 1")
    held = {row["instrument"]: row["position"] for row in status["positions"] if row["position"]}
    assert {row["instrument"]: row["quantity"] for row in rows} == held


def test_the_first_line_says_which_desk_it_is(trading_desk: Desk) -> None:
    first = run(trading_desk.home.path, "status").output.splitlines()[0]
    assert first.startswith("simulated market, account SIM-1, home ")


def test_an_order_that_cannot_be_sent_now_says_why(trading_desk: Desk) -> None:
    assert answer(trading_desk.home.path, "status")["orders_held_back"] == []
    spawn_contract_orders(trading_desk)
    closed = [row for row in answer(trading_desk.home.path, "status")["orders_held_back"] if row["why"] == "market closed"]
    assert {row["instrument"] for row in closed} == {
        code for code in trading_desk.universe if not trading_desk.broker.is_open(code) and _ordered(trading_desk, code)
    }
    with trading_desk.ledger.begin() as tx:
        stop_trading(tx, trading_desk.now(), "me", why="storm")
    open_now = [row for row in answer(trading_desk.home.path, "status")["orders_held_back"] if row["why"] != "market closed"]
    assert open_now and {row["why"] for row in open_now} == {"trading is stopped (storm)"}


def _ordered(desk: Desk, code: str) -> bool:
    with desk.ledger.read() as view:
        return any(order.instrument == code for order in open_instrument_orders(view, desk.account))


def test_a_dry_run_changes_nothing(trading_desk: Desk) -> None:
    path = trading_desk.home.path
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*.parquet")}
    assert answer(path, "day", "--days", "2", "--dry-run") == {"days": ["2024-01-08", "2024-01-09", "2024-01-10"]}
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*.parquet")} == before


def test_stop_holds_until_resume(trading_desk: Desk) -> None:
    path = trading_desk.home.path
    assert answer(path, "stop", "--why", "storm")["stopped"]
    refused = run(path, "day")
    assert refused.exit_code == 1
    assert "trading is stopped" in refused.output and "tradeflow resume" in refused.output
    assert answer(path, "status")["trading_stopped"].endswith("storm")
    assert answer(path, "resume") == {"resumed": True}
    assert run(path, "day").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("status", "GOLDEN"), "unknown instrument 'GOLDEN'"),
        (("sql", "delete from fills"), "exactly one SELECT"),
        (("backfill", "AEX9"), "unknown instrument"),
        (("backfill", "DAX"), "not in the universe of this home"),
        (("capital", "flow", "much", "--why", "x"), "'much' is no amount of money"),
    ],
)
def test_mistakes_are_one_line_without_a_traceback(trading_desk: Desk, arguments: tuple[str, ...], message: str) -> None:
    result = run(trading_desk.home.path, *arguments)
    assert result.exit_code == 1
    assert message in said(result)
    assert "Traceback" not in result.output


def test_a_misspelt_command_is_answered_with_the_nearest(tmp_path: Path) -> None:
    result = run(tmp_path, "instrumts")
    assert result.exit_code == 2 and "No such command 'instrumts' (nearest: instruments)" in result.output


def test_no_home_says_what_to_do(tmp_path: Path) -> None:
    result = run(tmp_path / "nowhere", "status")
    assert result.exit_code == 1 and "tradeflow init" in result.output


def test_a_broken_invariant_fails_the_check(trading_desk: Desk) -> None:
    with trading_desk.ledger.begin() as tx:
        tx.exec_driver_sql("insert into contract_positions values ('SIM-1', 'CORN', 20240300, 7)")
    result = run(trading_desk.home.path, "check")
    assert result.exit_code == 1
    assert "the sum of its fills is 0" in said(result)


def test_every_command_has_help() -> None:
    for name, command in root.commands.items():
        assert command.help, name
        assert CliRunner().invoke(root, [name, "--help"]).exit_code == 0


def test_a_busy_port_is_said_before_dagster_starts(trading_desk: Desk) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run(trading_desk.home.path, "ui", "--port", str(port))
    assert result.exit_code == 1
    assert f"port {port} of 127.0.0.1 is in use" in said(result)


def test_an_error_keeps_its_square_brackets(trading_desk: Desk) -> None:
    """The name of a section must not be taken for a style."""
    (trading_desk.home.path / "tradeflow.toml").write_text('market = "replay"\n')
    assert "market is replay, so [replay] with tape, start and end is needed" in said(run(trading_desk.home.path, "status"))
