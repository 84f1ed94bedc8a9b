"""What only a close look finds: a deleted row, a changed byte, one page of garbage. Nothing is traded on such a ledger."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.commands import run, said
from tradeflow_assets.runner import execute_job
from tradeflow_core.business_day import JOBS, run_day
from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.home import Home
from tradeflow_core.ledger import LedgerRefused

PAGE = 4096


def refuses_to_trade(desk: Desk, words: str) -> None:
    with pytest.raises(LedgerRefused, match=words):
        run_day(desk, desk.business_day())
    assert "is refused" in desk.alerts.read()[-1]["message"]
    assert desk.broker.orders(desk.account).orders == ()


def test_no_day_is_traded_after_an_old_row_was_deleted(trading_desk: Desk) -> None:
    with trading_desk.ledger.begin() as tx:
        tx.execute(text("delete from roll_events where id = (select min(id) + 1 from roll_events)"))
    refuses_to_trade(trading_desk, "roll_events: row 3 is not as it was written, or a row before it is missing")


def test_no_day_is_traded_after_a_byte_was_changed(trading_desk: Desk) -> None:
    """The file is as sound as before: only the hash of the row shows it."""
    ledger, words = trading_desk.home.path / "ledger.sqlite", b"seeded from the price history"
    trading_desk.close()
    content = ledger.read_bytes()
    assert content.count(words) > 1
    ledger.write_bytes(content.replace(words, words[:-1] + b"i", 1))
    refuses_to_trade(Desk(trading_desk.home), "roll_events: row .* is not as it was written")


def free_pages(ledger: Path) -> set[int]:
    """The pages that hold nothing, by number from 0."""
    with closing(sqlite3.connect(ledger)) as connection:
        used = {int(row[0]) - 1 for row in connection.execute("select pageno from dbstat")}
    return set(range(ledger.stat().st_size // PAGE)) - used


@pytest.mark.slow
def test_garbage_in_any_page_is_refused_before_anything_is_traded(seeded_home: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(seeded_home, tmp_path / "home"))
    ledger = home / "ledger.sqlite"
    content, free = ledger.read_bytes(), free_pages(ledger)
    assert len(free) < 5
    for page in set(range(len(content) // PAGE)) - free:
        damaged = content[: page * PAGE] + b"\xa5" * PAGE + content[(page + 1) * PAGE :]
        for part in ("-wal", "-shm"):
            ledger.with_name(ledger.name + part).unlink(missing_ok=True)
        ledger.write_bytes(damaged)
        refused = run(home, "day")
        assert refused.exit_code == 1 and "is refused" in said(refused), f"page {page}: {said(refused)}"
        assert ledger.read_bytes() == damaged, "nothing is changed"
        looked = run(home, "status")
        assert looked.exception is None or isinstance(looked.exception, SystemExit), f"page {page}: {looked.exception!r}"


def test_a_job_of_dagster_fails_with_the_same_sentence(seeded_home: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(seeded_home, tmp_path / "home"))
    content = (home / "ledger.sqlite").read_bytes()
    (home / "ledger.sqlite").write_bytes(content[:PAGE] + b"\xa5" * (len(content) - PAGE))
    for job in JOBS:
        with pytest.raises(StateError, match=r"the ledger .* is refused: .*tradeflow restore FILE"):
            execute_job(Desk(Home.open(home)), job)


def test_a_mistake_of_ours_in_a_sound_ledger_is_no_damage(trading_desk: Desk) -> None:
    with pytest.raises(ZeroDivisionError), trading_desk.ledger.begin():
        1 / 0  # noqa: B018
