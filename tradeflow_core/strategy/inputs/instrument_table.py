"""Facts of instruments from a table in memory."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tradeflow_core.errors import ConfigError
from tradeflow_core.instruments import Costs, Instrument, RollRule
from tradeflow_core.model import MONTH_LETTERS
from tradeflow_core.strategy.common.lazy import LazyMapping

TABLE_COLUMNS = ("Pointsize", "Currency")


def instruments_from_table(table: pd.DataFrame) -> Mapping[str, Instrument]:
    """Instruments by code from a table with the columns of the three CSV tables; absent costs are zero.

    Raises ConfigError naming missing columns; a row with an unusable value raises when that instrument is asked for.
    """
    facts = table.set_index("Instrument") if "Instrument" in table.columns else table
    missing = [name for name in TABLE_COLUMNS if name not in facts.columns]
    if missing:
        raise ConfigError(f"instrument table: columns missing: {', '.join(missing)}")
    doubled = facts.index[facts.index.duplicated()]
    if len(doubled):
        raise ConfigError(f"instrument table: given twice: {', '.join(map(str, doubled.unique()))}")
    records = {str(instrument): row for instrument, row in zip(facts.index, facts.to_dict("records"), strict=True)}
    return LazyMapping(records, lambda instrument: _instrument(instrument, records[instrument]))


def _instrument(instrument: str, row: Mapping[object, object]) -> Instrument:
    point_size = _number(instrument, row, "Pointsize")
    currency = row.get("Currency")
    if not point_size > 0 or not isinstance(currency, str):
        raise ConfigError(f"instrument {instrument}: needs a Pointsize above 0 and a Currency; found {point_size} and {currency}")
    costs = Costs(
        spread_cost=_number(instrument, row, "SpreadCost"),
        per_block=_number(instrument, row, "PerBlock"),
        percentage=_number(instrument, row, "Percentage"),
        per_trade=_number(instrument, row, "PerTrade"),
    )
    return Instrument(
        code=instrument,
        description=_text(row, "Description"),
        asset_class=_text(row, "AssetClass"),
        region=_text(row, "Region"),
        currency=currency,
        point_size=point_size,
        costs=costs,
        roll_rule=_roll_rule(instrument, row),
    )


def _roll_rule(instrument: str, row: Mapping[object, object]) -> RollRule | None:
    hold = _text(row, "HoldRollCycle")
    if not hold or set(hold) - set(MONTH_LETTERS):
        return None
    roll, carry, expiry = (int(_number(instrument, row, name)) for name in ("RollOffsetDays", "CarryOffset", "ExpiryOffset"))
    return RollRule(hold, _text(row, "PricedRollCycle") or hold, roll, carry if carry in (-1, 1) else -1, expiry)


def _number(instrument: str, row: Mapping[object, object], name: str) -> float:
    value = row.get(name, 0.0)
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ConfigError(f"instrument {instrument}: {name} is {value!r}; give a number") from None
    return 0.0 if np.isnan(number) else number


def _text(row: Mapping[object, object], name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""
