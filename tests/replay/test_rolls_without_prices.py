"""A roll whose two contracts have no common price is named by the import, gets a price, and locks its instrument for no longer than that."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.commands import answer, run, said
from tests.replay.folders import END, ROLL, START, write_folder
from tradeflow_core.business_day import run_replay
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError
from tradeflow_core.home import Home
from tradeflow_core.importers import ImportReport, import_pysystemtrade
from tradeflow_core.ledger import instruments_locked_by, ledger_problems, marks_of
from tradeflow_core.model import LockOwner
from tradeflow_core.replay import seed_replay
from tradeflow_core.series import back_adjust
from tradeflow_core.store import Tape

OLD_ROLL = "2022-05-16 23:00:00"
"""A roll long before the replay begins: from 2022-05 to 2022-08. That of ROLL, from 2023-08 to 2023-11, is among its days."""
INTO = {OLD_ROLL: 20220800, ROLL: 20231100}


def prices(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "multiple_prices_csv" / "ALPHA.csv", index_col="DATETIME")


def write(folder: Path, frame: pd.DataFrame) -> None:
    frame.to_csv(folder / "multiple_prices_csv" / "ALPHA.csv")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """ALPHA lacks the price of the contract rolled into at two of its rolls; in truth it is 2 above the old contract's."""
    made = write_folder(tmp_path / "csv")
    frame = prices(made)
    frame.loc[[OLD_ROLL, ROLL], ["FORWARD", "CARRY"]] = np.nan
    write(made, frame)
    return made


def add_adjusted(folder: Path) -> None:
    """The adjusted prices that the folder's owner has: stitched at the true prices."""
    frame = prices(folder)
    rolls = frame.index.isin([OLD_ROLL, ROLL])
    whole = frame.assign(FORWARD=frame["FORWARD"].where(~rolls, frame["PRICE"] + 2)).set_axis(
        pd.DatetimeIndex(frame.index), axis=0
    )
    back_adjust(whole).to_frame().to_csv(folder / "adjusted_prices_csv" / "ALPHA.csv", index_label="DATETIME")


def imported(folder: Path, tape: Path, *told: str, method: str = "infer") -> ImportReport:
    return import_pysystemtrade(folder, tape, instruments=["ALPHA"], roll_method=method, roll_prices=told)  # type: ignore[arg-type]


def marks(tape: Path) -> dict[int, tuple[float, str]]:
    rows = Tape.open(tape).roll_marks("ALPHA").to_dict("records")
    return {row["contract"]: (row["price"], row["why"]) for row in rows}


# --- the import ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_adjusted", [False, True])
def test_an_import_names_such_rolls_whether_or_not_there_are_adjusted_prices(folder: Path, tmp_path: Path, *, has_adjusted: bool):
    if has_adjusted:
        add_adjusted(folder)
    report = imported(folder, tmp_path / "tape")
    assert report.proven
    named = [note for note in report.notes if note.startswith("ALPHA: the roll of ")]
    assert len(named) == 2
    assert "2022-05-16 23:00:00 from 2022-05 to 2022-08 lacks a price of 2022-08" in named[0] and "(inferred)" in named[0]
    assert all("--roll-method infer or fill" in note and "--roll-price ALPHA:" in note for note in named)
    assert len(json.loads(report.to_json())["instruments"][0]["mended_rolls"]) == 2
    assert report.instruments[0].adjusted_equal == report.instruments[0].adjusted_rows == (has_adjusted and len(prices(folder)))


def test_a_price_is_inferred_filled_or_told(folder: Path, tmp_path: Path):
    frame = prices(folder)
    imported(folder, tmp_path / "inferred")
    for stamp, contract in INTO.items():
        price, how = marks(tmp_path / "inferred")[contract]
        assert price == pytest.approx(frame.loc[stamp, "PRICE"] + 2) and how == "inferred"
    imported(folder, tmp_path / "filled", method="fill")
    for stamp, contract in INTO.items():
        before = frame["FORWARD"].iloc[frame.index.get_loc(stamp) - 1]
        assert marks(tmp_path / "filled")[contract] == (before, "last known")
    imported(folder, tmp_path / "told", "ALPHA:202208@2022-05-16T23:00=123.5")
    assert marks(tmp_path / "told")[20220800] == (123.5, "told")
    assert marks(tmp_path / "told")[20231100][1] == "inferred"


def test_another_price_at_such_a_roll_moves_what_is_before_it_and_is_still_proven(folder: Path, tmp_path: Path):
    add_adjusted(folder)
    assert imported(folder, tmp_path / "tape", "ALPHA:202208@2022-05-16T23:00=123.5").proven


def test_a_told_price_that_no_roll_lacks_is_refused_with_those_that_are_lacking(folder: Path, tmp_path: Path):
    with pytest.raises(
        ConfigError, match=r"no roll lacks the price 20230800@2022-05-16T23:00:00; .* 20220800@2022-05-16T23:00:00"
    ):
        imported(folder, tmp_path / "tape", "ALPHA:202308@2022-05-16T23:00=1")
    with pytest.raises(ConfigError, match="write CONTRACT@TIME=PRICE"):
        imported(folder, tmp_path / "tape", "ALPHA:202208=1")


def test_a_roll_of_which_nothing_is_known_needs_the_word_of_a_person(folder: Path, tmp_path: Path):
    frame = prices(folder)
    frame.loc[frame["FORWARD_CONTRACT"] == 20220800, ["FORWARD", "CARRY"]] = np.nan
    write(folder, frame)
    with pytest.raises(ConfigError, match="--roll-price ALPHA:20220800@2022-05-16T23:00:00=PRICE"):
        imported(folder, tmp_path / "tape")
    assert imported(folder, tmp_path / "tape", "ALPHA:202208@2022-05-16T23:00=700").proven


def test_the_command_takes_the_choices_and_shows_what_was_taken(folder: Path, tmp_path: Path):
    words = ("import", "pysystemtrade", str(folder), "--tape", str(tmp_path / "tape"), "--instruments", "ALPHA")
    shown = said(run(tmp_path / "home", *words, "--roll-method", "fill", "--roll-price", "ALPHA:202208@2022-05-16T23:00=700"))
    assert "2022-08 700 (told)" in shown and "(last known)" in shown


# --- the desk ------------------------------------------------------------------------------------------------------------


def test_a_replay_over_such_rolls_is_never_locked(folder: Path, tmp_path: Path):
    imported(folder, tmp_path / "tape")
    home = seed_replay(tmp_path / "home", Tape.open(tmp_path / "tape"), START, end=END)
    summary = run_replay(home)
    assert all("1 of 1 instruments good" in day.prices for day in summary.days)
    assert summary.totals["rolls"] == 1
    desk = Desk(home)
    with desk.ledger.read() as view:
        assert ledger_problems(view) == []
        assert set(marks_of(view, "ALPHA")["contract"]) == set(INTO.values())
    desk.close()


def locked_home(folder: Path, tmp_path: Path) -> Home:
    """A replay of a tape that was made before rolls were mended, after its first day."""
    imported(folder, tmp_path / "tape")
    shutil.rmtree(tmp_path / "tape" / "roll_marks")
    home = seed_replay(tmp_path / "home", Tape.open(tmp_path / "tape"), START, end=END)
    desk = Desk(home)
    with pytest.raises(Exception, match="have good prices"):
        run_replay(home, START)
    with desk.ledger.read() as view:
        assert instruments_locked_by(view, LockOwner.PRICES) == ["ALPHA"]
    desk.close()
    return home


def test_a_desk_that_is_locked_names_the_command_that_mends_it_and_goes_on(folder: Path, tmp_path: Path):
    home = locked_home(folder, tmp_path)
    (lock,) = answer(home.path, "status")["locks"].values()
    assert "lacks a price of 2022-08" in lock and "tradeflow roll mend ALPHA --dry-run" in lock
    dry = answer(home.path, "roll", "mend", "ALPHA", "--dry-run")
    assert not dry["done"] and dry["rolls"][0]["how"] == {"20220800": "inferred"}
    assert answer(home.path, "status")["locks"]
    shown = said(run(home.path, "roll", "mend", "ALPHA", "--why", "asked the exchange", text="n\n"))
    assert "nothing was changed" in shown and answer(home.path, "status")["locks"]
    words = ("--price", "202208@2022-05-16T23:00=700", "--why", "asked the exchange", "--yes")
    assert answer(home.path, "roll", "mend", "ALPHA", *words)["done"]
    assert answer(home.path, "status")["locks"] == {}
    desk = Desk(home)
    with desk.ledger.read() as view:
        (mark,) = marks_of(view, "ALPHA").to_dict("records")
    assert (mark["contract"], mark["price"], mark["source"]) == (20220800, 700.0, "roll")
    desk.close()
    assert "nothing to mend" in said(run(home.path, "roll", "mend", "ALPHA"))
    assert run_replay(home, date(2023, 8, 10)).days[-1].day == date(2023, 8, 10)
