"""Which instruments a strategy runs on."""

from __future__ import annotations

from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.strategy.config import StrategyConfig
from tradeflow_core.strategy.data import BacktestData
from tradeflow_core.strategy.grouping import is_grouped, leaves


def instrument_list(config: StrategyConfig, data: BacktestData) -> list[str]:
    """Codes, sorted: those with a weight, else those listed, else all with adjusted prices; less the excluded ones.

    Raises ConfigError where none is left, DataError naming those without prices.
    """
    if config.instrument_weights is not None:
        weights = config.instrument_weights
        wanted = set(leaves(weights)) if is_grouped(weights) else set(weights)
    elif config.instruments is not None:
        wanted = set(config.instruments)
    else:
        wanted = set(data.adjusted_prices)
    chosen = wanted - config.duplicate_instruments.excluded - set(config.exclude_instrument_lists.ignore_instruments)
    if not chosen:
        raise ConfigError(f"{config.source}: no instruments: give instrument_weights or instruments, or data that has some")
    for kind, table in (("adjusted", data.adjusted_prices), ("multiple", data.multiple_prices)):
        missing = sorted(chosen - set(table))
        if missing:
            raise DataError(f"no {kind} prices for {', '.join(missing)}: add them to the data, or exclude these instruments")
    return sorted(chosen)
