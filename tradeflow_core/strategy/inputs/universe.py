"""Which instruments a strategy runs on."""

from __future__ import annotations

from collections.abc import Iterable

from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.model import nearest
from tradeflow_core.strategy.common.grouping import is_grouped, leaves
from tradeflow_core.strategy.config.sections import UniverseSection
from tradeflow_core.strategy.config.strategy_config import StrategyConfig
from tradeflow_core.strategy.inputs.data import BacktestData


def instrument_list(config: UniverseSection, data: BacktestData) -> list[str]:
    """Codes, sorted: those with a weight, else those listed, else all with adjusted prices; less the excluded ones.

    Raises ConfigError where none is left, DataError naming those without prices.
    """
    chosen = _wanted(config, data)
    if not chosen:
        raise ConfigError(f"{config.source}: no instruments: give instrument_weights or instruments, or data that has some")
    for kind, table in (("adjusted", data.adjusted_prices), ("multiple", data.multiple_prices)):
        missing = sorted(chosen - set(table))
        if missing:
            raise DataError(f"no {kind} prices for {', '.join(missing)}: add them to the data, or exclude these instruments")
    return sorted(chosen)


def only_instruments(config: StrategyConfig, data: BacktestData, instruments: Iterable[str]) -> StrategyConfig:
    """The strategy on some of its instruments; their weights keep their proportions.

    Raises ConfigError, naming the nearest, for an instrument that it does not trade.
    """
    wanted, chosen = _wanted(config, data), set(instruments)
    for instrument in sorted(chosen - wanted):
        hint = nearest(instrument, sorted(wanted)) or f"; it trades {', '.join(sorted(wanted))}"
        raise ConfigError(f"{config.source}: the strategy has no instrument {instrument}{hint}")
    if config.instrument_weights is None:
        return config.model_copy(update={"instruments": tuple(sorted(chosen))})
    lists = config.exclude_instrument_lists
    ignored = tuple(sorted({*lists.ignore_instruments, *(wanted - chosen)}))
    return config.model_copy(update={"exclude_instrument_lists": lists.model_copy(update={"ignore_instruments": ignored})})


def _wanted(config: UniverseSection, data: BacktestData) -> set[str]:
    """Codes that the strategy asks for, less the excluded ones, whether there are prices or not."""
    if config.instrument_weights is not None:
        weights = config.instrument_weights
        wanted = set(leaves(weights)) if is_grouped(weights) else set(weights)
    elif config.instruments is not None:
        wanted = set(config.instruments)
    else:
        wanted = set(data.adjusted_prices)
    return wanted - config.duplicate_instruments.excluded - set(config.exclude_instrument_lists.ignore_instruments)
