"""Bars of the broker, checked and converted to bars of the store, or refused as a whole.

Unsorted bars are sorted; a bar that has not ended is left out; bars without volume, with a price of zero or a negative price are dropped as the
settings say. Refused, with everything that was fetched together with them, are: two bars with the same start, a price that is not a finite
number, a time without zone, text that is not a number, a bar that ends before it starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from tradeflow_core.brokers import BAR_COLUMNS
from tradeflow_core.errors import DataError
from tradeflow_core.home import PriceSettings
from tradeflow_core.model import contract_label
from tradeflow_core.prices.bar_store import BAR_TYPES, DAILY, FREQUENCY_NAMES, PRICE_COLUMNS, frequency_codes, in_order, instants

_COLUMNS = pd.Index(BAR_COLUMNS)

NO_VOLUME, ZERO_PRICE, NEGATIVE_PRICE = "without volume", "with a price of zero", "with a negative price"
"""Reasons for which bars are dropped, in this order."""

Batch = tuple[int, str, pd.DataFrame]
"""Contract, frequency, and their bars as the broker sent them."""


def typed_bars(batches: Sequence[Batch], instrument: str) -> pd.DataFrame:
    """All bars of one or more batches in the columns and types of the store.

    Raises DataError, naming the batch, for a missing column, a time without time zone, or text that is not a number.
    """
    for contract, frequency, bars in batches:
        batch_name = _batch_name(instrument, contract, frequency)
        if missing := [name for name in ("start", "end", "FINAL") if name not in bars]:
            raise DataError(f"{batch_name}: no column {', '.join(missing)}; nothing was stored")
        if naive := [name for name in ("start", "end") if not isinstance(bars[name].dtype, pd.DatetimeTZDtype)]:
            raise DataError(f"{batch_name}: {naive[0]} has no time zone; nothing was stored")
    frames = [bars if bars.columns.equals(_COLUMNS) else bars.reindex(columns=BAR_COLUMNS) for *_, bars in batches]
    lengths = [len(bars) for bars in frames]
    table = pd.concat(frames, ignore_index=True)
    table["contract"] = np.repeat([contract for contract, *_ in batches], lengths)
    codes = np.array([FREQUENCY_NAMES.index(frequency) for _, frequency, _ in batches], dtype="int8")
    table["frequency"] = pd.Categorical.from_codes(np.repeat(codes, lengths), dtype=BAR_TYPES["frequency"])
    if table.dtypes.to_dict() == BAR_TYPES:
        return table
    try:
        return table.astype(BAR_TYPES)
    except (TypeError, ValueError) as error:
        if len(batches) > 1:
            for batch in batches:  # one at a time, so that the error names the right one
                typed_bars([batch], instrument)
        batch_name = _batch_name(instrument, *batches[0][:2])
        raise DataError(f"{batch_name}: a price or volume is not a number ({error}); nothing was stored") from error


def _batch_name(instrument: str, contract: int, frequency: str) -> str:
    return f"{instrument} {contract_label(contract)} {frequency} bars from the broker"


def check_bars(bars: pd.DataFrame, instrument: str, now: datetime) -> pd.DataFrame:
    """The bars that have ended by `now`, in order of contract, frequency and start, checked: prices are finite, each start occurs once.

    Raises DataError naming the first wrong bar. VOLUME, OPEN, HIGH and LOW may be missing (NaN).
    """
    frame = in_order(bars)
    starts, ends = instants(frame["start"]), instants(frame["end"])
    codes, contracts = frequency_codes(frame), frame["contract"].to_numpy()
    same = (starts[1:] == starts[:-1]) & (codes[1:] == codes[:-1]) & (contracts[1:] == contracts[:-1])
    for wrong, problem in (
        (~np.isfinite(frame["FINAL"].to_numpy()), "FINAL is not a finite number"),
        (np.isinf([frame[name].to_numpy() for name in PRICE_COLUMNS]).any(axis=0), "a price is infinite"),
        (np.concatenate(([False], same))[: len(frame)], "the start occurs twice"),
        (ends < starts, "it ends before it starts"),
    ):
        if wrong.any():
            bad = frame[wrong].iloc[0]
            raise DataError(
                f"{instrument} {contract_label(int(bad['contract']))} {bad['frequency']} bar of {bad['start']:%Y-%m-%d %H:%M} UTC "
                f"from the broker: {problem}; nothing was stored"
            )
    ended = (frame["end"] <= now).to_numpy()
    return frame if ended.all() else frame[ended]


def clean_bars(bars: pd.DataFrame, rules: PriceSettings) -> tuple[pd.DataFrame, dict[str, int]]:
    """The bars without those that the settings drop, and how many were dropped by reason: no volume, a price of zero, a negative price."""
    daily, volume, final = frequency_codes(bars) == DAILY, bars["VOLUME"].to_numpy(), bars["FINAL"].to_numpy()
    no_volume_matters = np.where(daily, rules.drop_zero_volume_daily, rules.drop_zero_volume_intraday)
    kept = np.ones(len(bars), dtype=bool)
    dropped = {}
    for reason, wrong in (
        (NO_VOLUME, (volume == 0) & no_volume_matters),
        (ZERO_PRICE, (final == 0) & rules.drop_zero_prices),
        (NEGATIVE_PRICE, (final < 0) & rules.drop_negative_prices),
    ):
        if count := int((kept & wrong).sum()):
            dropped[reason] = count
            kept &= ~wrong
    return bars[kept] if dropped else bars, dropped
