"""A single damaged byte anywhere in a file that cannot be made again is found, and damaged figures are never handed on."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.commands import run
from tradeflow_core.home import Home
from tradeflow_core.parquet import DamagedFile, checksum_problem
from tradeflow_core.store import KEPT, Store

FLIPS = 40
KEPT_FILES = ("contract_prices/GOLD_micro", "contract_prices/recent/GOLD_micro", "spot_fx/EURUSD")


@pytest.fixture(scope="module")
def two_days(day_done: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with bars of the first day and new ones of the second."""
    home = tmp_path_factory.mktemp("two") / "home"
    shutil.copytree(day_done, home)
    assert run(home, "day", "--days", "1").exit_code == 0
    return home


@pytest.fixture
def home(two_days: Path, tmp_path: Path) -> Path:
    shutil.copytree(two_days, tmp_path / "home")
    return tmp_path / "home"


def flipped(content: bytes, seed: int) -> Iterator[bytes]:
    """The content with one damaged byte: half of them anywhere, half in the footer, which is small and says what the rest means."""
    dice, footer = random.Random(seed), int.from_bytes(content[-8:-4], "little") + 8
    for number in range(FLIPS):
        place = dice.randrange(len(content)) if number % 2 else len(content) - 1 - dice.randrange(footer)
        damaged = bytearray(content)
        damaged[place] ^= dice.randrange(1, 256)
        yield bytes(damaged)


def replace(file: Path, content: bytes) -> None:
    temporary = file.with_suffix(".new")
    temporary.write_bytes(content)
    temporary.replace(file)


@pytest.mark.parametrize("place", KEPT_FILES)
def test_forty_flipped_bytes_are_all_found_by_check(home: Path, place: str) -> None:
    file = home / "data" / f"{place}.parquet"
    dataset, name = place.partition("/")[0], file.stem
    assert dataset in KEPT
    store, content = Store(str(home / "data")), file.read_bytes()
    assert store.damage(dataset, name) == {}
    for damaged in flipped(content, seed=len(content)):
        replace(file, damaged)
        (problem,) = store.damage(dataset, name).values()
        assert str(file) in problem and "tradeflow prices repair" in problem
    result = run(home, "check")
    assert result.exit_code == 1 and str(file) in result.output


@pytest.mark.parametrize(
    "place", [*KEPT_FILES, "multiple_prices/GOLD_micro", "total_capital/total", "optimal_positions/trend_carry"]
)
def test_a_flipped_byte_is_never_read_as_another_figure(home: Path, place: str) -> None:
    file = home / "data" / f"{place}.parquet"
    dataset, name = place.partition("/")[0], file.stem
    good, content = Store(str(home / "data")).read(dataset, name), file.read_bytes()
    refused = 0
    for damaged in flipped(content, seed=1):
        replace(file, damaged)
        try:
            pd.testing.assert_frame_equal(Store(str(home / "data")).read(dataset, name), good)
        except DamagedFile:
            refused += 1
    assert refused > FLIPS * 0.9


def test_a_large_file_is_protected_by_the_checksums_of_its_pages(tmp_path: Path) -> None:
    prices = np.random.default_rng(1).normal(size=400_000)
    stamps = pd.date_range("2020-01-01", periods=len(prices), freq="min", tz="UTC", name="time").as_unit("us")
    store = Store(str(tmp_path))
    store.write("adjusted_prices", "GOLD", pd.DataFrame({"price": prices}, index=stamps))
    file = tmp_path / "adjusted_prices" / "GOLD.parquet"
    content = file.read_bytes()
    column = pq.read_metadata(file).row_group(0).column(0)
    assert len(content) > 2**20
    for place in random.Random(3).choices(range(column.data_page_offset + 64, column.total_compressed_size), k=10):
        replace(file, content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(DamagedFile, match=r"GOLD\.parquet is not a readable Parquet file"):
            Store(str(tmp_path)).read("adjusted_prices", "GOLD")


def test_every_file_is_written_with_a_checksum_that_other_programs_ignore(home: Path) -> None:
    files = [file for dataset in KEPT for file in (home / "data" / dataset).rglob("*.parquet")]
    assert len(files) >= 6
    for file in files:
        assert checksum_problem(file.read_bytes(), needed=True) is None
        assert pd.read_parquet(file).shape[1] > 0
        assert checksum_problem(file.read_bytes()[:-1], needed=True) is not None


def test_a_file_that_another_program_wrote_is_named_by_check_and_can_still_be_read(home: Path) -> None:
    file = home / "data" / "spot_fx" / "EURUSD.parquet"
    rates = pd.read_parquet(file)
    rates.to_parquet(file)
    result = run(home, "check")
    assert result.exit_code == 1 and "it has no checksum" in result.output
    store = Store(Home.open(home).data_url)
    pd.testing.assert_frame_equal(store.read("spot_fx", "EURUSD"), rates)
    store.write("spot_fx", "EURUSD", rates)
    assert run(home, "check").exit_code == 0
