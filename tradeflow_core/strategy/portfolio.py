"""Positions of the portfolio: subsystem positions x instrument weights x diversification multiplier."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd

from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy.compat import Correction
from tradeflow_core.strategy.config import StrategyConfig
from tradeflow_core.strategy.grouping import grouped_weights, is_grouped
from tradeflow_core.strategy.panel import Floats, Panel
from tradeflow_core.strategy.sizing import Sizing
from tradeflow_core.strategy.weight_smoothing import weights_in_use


class Portfolio:
    """Instrument weights, multiplier and notional (unrounded) positions."""

    def __init__(self, sizing: Sizing, codes: list[str], config: StrategyConfig) -> None:
        self.sizing, self.codes, self.config = sizing, codes, config

    @cached_property
    def without_weight(self) -> frozenset[str]:
        """Instruments that get nothing: told so, or never with a position.

        Corrected (RESTRICTED_UNTRADED), also those in bad markets or under trading restrictions.
        """
        position = self.sizing.subsystem_position.array
        idle = (np.nan_to_num(position) == 0).all(axis=0)
        named = set(self.config.allocate_zero_instrument_weights_to_these_instruments)
        if self.config.corrects(Correction.RESTRICTED_UNTRADED):
            lists = self.config.exclude_instrument_lists
            named |= {*lists.bad_markets, *lists.trading_restrictions}
        return frozenset(code for place, code in enumerate(self.codes) if idle[place] or code in named)

    @cached_property
    def given_weights(self) -> Floats:
        """Fixed weights by instrument; equal where the strategy gives none."""
        weights = self.config.instrument_weights
        if weights is None:
            trading = [code for code in self.codes if code not in self.without_weight]
            weights = dict.fromkeys(trading, 1.0 / max(len(trading), 1))
        elif is_grouped(weights):
            ignored = frozenset(self.config.exclude_instrument_lists.ignore_instruments)
            weights = grouped_weights(weights, ignored | self.config.duplicate_instruments.excluded)
        wrong = [code for code, weight in weights.items() if not isinstance(weight, int | float) or isinstance(weight, bool)]
        if wrong:
            raise ConfigError(f"{self.config.source}: instrument_weights: not a number for {', '.join(map(str, wrong))}")
        return np.array([0.0 if code in self.without_weight else float(weights[code]) for code in self.codes])

    @cached_property
    def _days(self) -> tuple[int, int]:
        span = self.sizing.subsystem_position.span
        with_rows = ~span.empty
        return (int(span.first[with_rows].min()), int(span.last[with_rows].max())) if with_rows.any() else (0, -1)

    @cached_property
    def weights(self) -> pd.DataFrame:
        """Weights in use on every day of any instrument's positions; an instrument whose data has ended keeps its weight."""
        first, last = self._days
        positions = self.sizing.subsystem_position.values.iloc[first : last + 1]
        available = positions.ffill().notna().to_numpy()
        target = np.broadcast_to(self.given_weights, available.shape)
        weights = weights_in_use(target, available, self.config.instrument_weight_ewma_span)
        return pd.DataFrame(weights, index=positions.index, columns=positions.columns)

    @cached_property
    def diversification_multiplier(self) -> pd.DataFrame:
        """The instrument diversification multiplier: one column, `idm`."""
        return pd.DataFrame({"idm": self.config.instrument_div_multiplier}, index=self.weights.index, dtype=float)

    @cached_property
    def share(self) -> Panel:
        """Weight x multiplier on the rows of the subsystem positions: what a subsystem position counts in the portfolio."""
        first, last = self._days
        position = self.sizing.subsystem_position
        share = np.full(position.array.shape, np.nan)
        share[first : last + 1] = self.weights.to_numpy() * self.diversification_multiplier.to_numpy()
        return position.like(share)

    @cached_property
    def notional_position(self) -> Panel:
        """Contracts that the strategy wants, unrounded and unbuffered."""
        return self.sizing.subsystem_position.like(self.sizing.subsystem_position.array * self.share.array)
