"""Price history from a source, stored beside the bars that are there: everything is read and judged first, and stored then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import pandas as pd

from tradeflow_core.desk import Desk
from tradeflow_core.errors import TradeflowError
from tradeflow_core.ledger import contract_facts, record_contracts
from tradeflow_core.prices.bar_store import Closes, instants, not_stored, stored_closes
from tradeflow_core.prices.collect import Collected, store_bars
from tradeflow_core.prices.history_source import HistorySource, Offer
from tradeflow_core.prices.incoming import clean_bars
from tradeflow_core.prices.sampling import roll_rule_of

STORED, NOT_ENDED, ELSEWHERE = "stored already", "not ended yet", "in another file too"
"""Reasons for which bars of a source are left out."""


@dataclass
class Seeded:
    """What became of an offer: rows read, bars added (or that would be), rows left out by reason, why it was refused (empty: it was not)."""

    offer: Offer
    read: int = 0
    added: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    refused: str = ""
    notes: tuple[str, ...] = ()
    new: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)

    def skip(self, reason: str, kept: pd.DataFrame) -> None:
        """Only `kept` of its bars are left, for that reason."""
        if count := len(self.new) - len(kept):
            self.skipped[reason] = self.skipped.get(reason, 0) + count
        self.new = kept

    def refuse(self, why: str) -> None:
        """Nothing of it is stored."""
        self.refused, self.new = why, self.new.iloc[:0]


@dataclass(frozen=True, slots=True)
class Seeding:
    """What became of every offer, and whether the bars that are named as added were stored."""

    files: Sequence[Seeded]
    stored: bool

    @property
    def refused(self) -> list[Seeded]:
        """Those of which nothing was taken."""
        return [each for each in self.files if each.refused]


def seed_history(
    desk: Desk,
    source: HistorySource,
    *,
    trust: bool = False,
    dry_run: bool = False,
    skip_bad: bool = False,
    on_read: Callable[[Offer], None] = lambda _: None,
) -> Seeding:
    """Add the bars of a source to the store; stored bars stay, and a daily bar of a day that has one already is left out.

    Bars that have not ended, or that the settings drop, are left out too. Batches that are not plausible are refused unless `trust`, as are
    offers that cannot be read; then nothing at all is stored, unless `skip_bad`. `dry_run`: nothing is written. `on_read` is called for each.
    """
    files = []
    for offer in source.offers():
        on_read(offer)
        files.append(_read(desk, source, offer))
    instruments = sorted({each.offer.instrument for each in files if not each.refused})
    judged = {
        name: _judge(desk, name, [each for each in files if not each.refused and each.offer.instrument == name], trust=trust)
        for name in instruments
    }
    stored = not dry_run and (skip_bad or not any(each.refused for each in files))
    if stored:
        for name, report in judged.items():
            _store(desk, name, report)
    return Seeding(files, stored)


def _read(desk: Desk, source: HistorySource, offer: Offer) -> Seeded:
    seeded = Seeded(offer, refused=offer.problem)
    if offer.problem:
        return seeded
    try:
        desk.instrument(offer.instrument)
        history = source.history(offer)
    except TradeflowError as error:
        seeded.refused = str(error)
        return seeded
    seeded.read, seeded.skipped, seeded.notes, seeded.new = history.read, dict(history.skipped), history.notes, history.bars
    return seeded


def _judge(desk: Desk, instrument: str, files: Sequence[Seeded], *, trust: bool) -> Collected:
    """Leave out of the files of an instrument what must not be stored; returns the bars to store."""
    stored = stored_closes(desk, instrument)
    for each in files:
        _without_stored(desk, each, stored)
    for _, same in groupby(sorted(files, key=_batch), key=_batch):
        _each_bar_once(list(same))
    report = Collected(stored)
    if new := [each.new for each in files if len(each.new)]:
        store_bars(desk, instrument, pd.concat(new, ignore_index=True), report=report, check=not trust, write=False)
    for each in files:
        if why := report.refused.get(_batch(each)):
            each.refuse(f"{each.offer.name}: {why}")
        each.added = len(each.new)
    return report


def _batch(seeded: Seeded) -> tuple[int, str]:
    return seeded.offer.contract, seeded.offer.frequency


def _without_stored(desk: Desk, seeded: Seeded, stored: Sequence[Closes]) -> None:
    """Leave out what has not ended, what the settings drop, and what is stored."""
    seeded.skip(NOT_ENDED, seeded.new[seeded.new["end"] <= desk.now()])
    seeded.new, dropped = clean_bars(seeded.new, desk.settings.prices)
    seeded.skipped = {**seeded.skipped, **dropped}
    new = not_stored(seeded.new, stored)
    if seeded.offer.frequency == "D" and len(new):
        ends = [part.end[part.place(*_batch(seeded))] for part in stored]
        days = _days(np.concatenate([np.empty(0, "int64"), *ends]), desk.settings.time_zone)
        new = new[~np.isin(_days(instants(new["end"]), desk.settings.time_zone), days)]
    seeded.skip(STORED, new)


def _days(ends: np.ndarray, zone: str) -> np.ndarray:
    """The days in `zone` of instants in microseconds since 1970."""
    local = pd.DatetimeIndex(ends.view("M8[us]"), tz="UTC").tz_convert(zone).tz_localize(None)
    return local.normalize().asi8  # type: ignore[attr-defined, no-any-return]


def _each_bar_once(files: Sequence[Seeded]) -> None:
    """Of several files with one contract and frequency, a bar counts in the first; files that differ about it are refused."""
    seen = files[0].new
    for each in files[1:]:
        both = each.new.merge(seen[["start", "FINAL"]], on="start", how="left", suffixes=("", "_seen"))
        differs = (both["FINAL_seen"].notna() & (both["FINAL_seen"] != both["FINAL"])).to_numpy()
        if differs.any():
            row = both[differs].iloc[0]
            names = [other.offer.name for other in files]
            why = (
                f"{row['start']:%Y-%m-%d %H:%M} UTC is {row['FINAL']:g} in {each.offer.name} and {row['FINAL_seen']:g} in a file of the same "
                f"contract ({', '.join(names)}); keep the right one"
            )
            for other in files:
                other.refuse(why)
            return
        each.skip(ELSEWHERE, each.new[both["FINAL_seen"].isna().to_numpy()])
        seen = pd.concat([seen, each.new], ignore_index=True)


def _store(desk: Desk, instrument: str, report: Collected) -> None:
    """Store the bars that were judged, and record the contracts that are new."""
    if not len(report.accepted):
        return
    store_bars(desk, instrument, report.accepted, report=Collected(report.stored), check=False)
    rule = roll_rule_of(desk, instrument)
    with desk.ledger.begin() as tx:
        known = contract_facts(tx, instrument)
        contracts = [int(contract) for contract in report.accepted["contract"].unique() if contract not in known]
        facts: Mapping[int, tuple[object, bool]] = {
            contract: (rule.approximate_expiry(contract), False) for contract in contracts
        }
        if facts:
            record_contracts(tx, instrument, facts, now=desk.now())  # type: ignore[arg-type]
