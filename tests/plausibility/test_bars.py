"""Bars that cannot be are not stored before a person has looked; bars that are only odd are listed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.commands import answer, run, said
from tests.prices.test_review import CODE, priced
from tradeflow_core.desk import Desk
from tradeflow_core.plausibility import Series, doubtful_bars, refused_batch, wrong_times
from tradeflow_core.prices import run_stages, stored_bars
from tradeflow_core.prices.bar_store import instants

DAY = 86_400 * 10**6
LIMIT = 8.0


def series(prices: np.ndarray, contract: int = 20240300, first: str = "2023-10-02", decided: tuple[int, ...] = ()) -> Series:
    """Daily closes from a business day on."""
    ends = instants(pd.Series(pd.bdate_range(first, periods=len(prices), tz="UTC").as_unit("us")))
    return Series(contract, ends, np.asarray(prices, dtype=float), np.isin(np.arange(len(prices)), decided))


def walk(seed: int, days: int = 60, level: float = 330.0) -> np.ndarray:
    return level + np.cumsum(np.random.default_rng(seed).normal(0, 3.0, days))


@pytest.mark.parametrize("row", range(1, 12))
@pytest.mark.parametrize("factor", [0.01, 0.5, 1.5, 10, 100])
def test_a_spike_among_the_first_rows_of_a_contract_is_refused(row: int, factor: float) -> None:
    """The contract's own average is too young: a change is in it, so that it could be refused from the ninth row on only."""
    prices = walk(1)
    prices[row] *= factor
    found = refused_batch(series(prices), 0, [series(walk(2), 20240600)], limit=LIMIT)
    assert found is not None and found.kind == "suspected spike" and "FINAL moves" in found.detail
    alone = refused_batch(series(prices), 0, [], limit=LIMIT)
    assert alone is not None and alone.first == found.first == pd.Timestamp(series(prices).end[row], unit="us", tz="UTC")
    decided = series(prices, decided=(row, row + 1))
    assert refused_batch(decided, 0, [series(walk(2), 20240600)], limit=LIMIT) is None


@pytest.mark.parametrize("seed", range(20))
def test_young_contracts_of_usual_prices_are_taken(seed: int) -> None:
    for first_new in (0, 3, 12):
        assert refused_batch(series(walk(seed)), first_new, [series(walk(99), 20240600)], limit=LIMIT) is None


@pytest.mark.parametrize("factor", [0.01, 0.1, 10, 100])
def test_a_whole_contract_in_other_units_than_its_neighbours_is_refused(factor: float) -> None:
    found = refused_batch(series(walk(1) * factor), 0, [series(walk(2), 20240600), series(walk(3), 20231200)], limit=LIMIT)
    assert found is not None and found.kind == "other units" and "times too" in found.detail
    assert refused_batch(series(walk(1) * factor), 0, [series(walk(2), 20220300, first="2021-01-04")], limit=LIMIT) is None, (
        "prices of years ago say nothing"
    )


def test_a_bar_outside_of_the_life_of_its_contract_is_refused() -> None:
    expiry = pd.Timestamp("2024-03-15").date()
    assert wrong_times(20240300, series(walk(1), first="2023-12-20").end, expiry) is None
    late = wrong_times(20240300, series(walk(1), first="2024-01-15").end, expiry)
    assert late is not None and "after it has expired (2024-03-15)" in late.detail
    early = wrong_times(20240300, series(walk(1), first="2004-01-05").end, expiry)
    assert early is not None and "years before its month" in early.detail


def bars(**changes: object) -> pd.DataFrame:
    """Thirty daily bars each of two contracts."""
    frames = []
    for place, contract in enumerate((20240300, 20240600)):
        final = walk(place, 30)
        end = pd.bdate_range("2024-01-02", periods=30, tz="UTC") + pd.Timedelta(hours=22)
        frame = pd.DataFrame({"contract": contract, "frequency": "D", "end": end, "time": end, "FINAL": final})
        frames.append(frame.assign(OPEN=final, HIGH=final + 1, LOW=final - 1, VOLUME=100.0))
    return pd.concat(frames, ignore_index=True)


def test_of_sound_bars_nothing_is_doubted() -> None:
    assert doubtful_bars(bars()) == []


def test_a_close_that_repeats_while_others_move_is_listed() -> None:
    repeated = bars()
    repeated.loc[10:17, ["OPEN", "FINAL"]] = repeated.loc[10, "FINAL"]
    repeated.loc[10:17, "HIGH"], repeated.loc[10:17, "LOW"] = repeated.loc[10, "HIGH"], repeated.loc[10, "LOW"]
    (found,) = doubtful_bars(repeated)
    assert (found.kind, found.contract, found.rows) == ("repeated price", 20240300, 8)
    both = bars()
    for first in (10, 40):
        both.loc[first : first + 7, ["OPEN", "FINAL"]] = both.loc[first, "FINAL"]
        both.loc[first : first + 7, ["HIGH", "LOW"]] = both.loc[first, "FINAL"]
    assert doubtful_bars(both) == [], "a holiday of all contracts is no doubt"


def test_volume_that_falls_to_nothing_and_prices_in_disorder_are_listed() -> None:
    odd = bars()
    odd.loc[22:29, "VOLUME"] = 0.0
    odd.loc[35, "HIGH"] = odd.loc[35, "FINAL"] - 0.5
    odd.loc[36, ["HIGH", "LOW"]] = odd.loc[36, ["LOW", "HIGH"]].to_numpy()
    assert [(found.kind, found.contract, found.rows) for found in doubtful_bars(odd)] == [
        ("prices of a bar in disorder", 20240600, 2),
        ("no volume", 20240300, 8),
    ]


def alpha(folder: Path, row: int = 3, factor: float = 100.0, *, contract: str = "20200300") -> list[str]:
    """The arguments that seed sixty closes, one of which is wrong."""
    prices = walk(5)
    prices[row] *= factor
    dates = pd.bdate_range("2019-09-02", periods=60)
    path = folder / "alpha.csv"
    path.write_text("Time,Close\n" + "".join(f"{day:%Y-%m-%d},{price:.2f}\n" for day, price in zip(dates, prices, strict=True)))
    return ["prices", "seed", "CORN", "--csv", str(path), "--contract", contract]


def test_a_file_with_a_spike_among_its_first_rows_is_not_stored(trading_desk: Desk, tmp_path: Path) -> None:
    refused = said(run(trading_desk.home.path, *alpha(tmp_path)))
    assert "FINAL moves" in refused and "nothing was stored" in refused
    assert run(trading_desk.home.path, *alpha(tmp_path, factor=1.0), "--dry-run").exit_code == 0


def in_dollars(desk: Desk) -> int:
    """The broker's next daily bars of the priced contract are its first, and a hundred times off those of the other contracts."""
    contract, stored = priced(desk), stored_bars(desk, CODE)
    own = stored["contract"] == contract
    stored.loc[~own, ["OPEN", "HIGH", "LOW", "FINAL"]] *= 100
    desk.store.write("contract_prices", CODE, stored[~own].reset_index(drop=True))
    return contract


def test_a_contract_in_other_units_is_refused_until_a_person_has_decided_about_all_of_it(trading_desk: Desk) -> None:
    desk, home = trading_desk, trading_desk.home.path
    contract = in_dollars(desk)
    with pytest.raises(Exception, match="times too low for other contracts"):
        run_stages(desk, CODE)
    listed = answer(home, "prices", "check", CODE)["doubts"]
    units = [each for each in listed if each["kind"] == "other units"]
    assert units and all(each["prices"].startswith(f"{contract}@") and ".." in each["prices"] for each in units)
    why = ("--why", "cents from here on")
    result = answer(home, "prices", "check", CODE, *(f"--replace={each['prices']}=*100" for each in units), *why, "--yes")
    assert result["recorded"] and len(result["decided"]) >= sum(each["count"] for each in units) / 2
    assert not [each for each in answer(home, "prices", "check", CODE)["doubts"] if each["kind"] == "other units"]
    run_stages(desk, CODE)


def test_a_range_without_prices_and_one_that_cannot_be_read_are_said(trading_desk: Desk) -> None:
    home, contract = trading_desk.home.path, priced(trading_desk)
    nothing = said(run(home, "prices", "check", CODE, f"--accept={contract}@1999-01-01..1999-02-01", "--why", "x"))
    assert "no price of" in nothing and "1999-01-01T00:00 to 1999-02-01T00:00" in nothing
    assert "cannot be read" in said(run(home, "prices", "check", CODE, f"--accept={contract}@..2024", "--why", "x"))
    assert "cannot be read" in said(
        run(home, "prices", "check", CODE, f"--replace={contract}@2024-01-03..2024-01-04=*x", "--why", "x")
    )
