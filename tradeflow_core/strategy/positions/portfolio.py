"""Positions of the portfolio: subsystem positions x instrument weights x diversification multiplier x risk overlay."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd

from tradeflow_core.strategy.common.panel import Panel
from tradeflow_core.strategy.common.weight_smoothing import weights_at, weights_in_use
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.sections import PortfolioSection, TradingSection
from tradeflow_core.strategy.positions.accounts import Accounts, subsystem_accounts
from tradeflow_core.strategy.positions.instrument_weights import InstrumentWeights
from tradeflow_core.strategy.positions.portfolio_risk import RiskModel
from tradeflow_core.strategy.positions.sizing import Sizing


class Portfolio:
    """Instrument weights, multiplier, risk and notional (unrounded) positions."""

    def __init__(self, sizing: Sizing, section: PortfolioSection, trading: TradingSection | None = None) -> None:
        """`trading`: how each instrument would be traded alone, which estimates of weights learn from."""
        self.sizing, self.section, self.trading = sizing, section, trading
        self.instruments = sizing.raw_data.instruments
        self.risk = RiskModel(sizing, section)

    @cached_property
    def estimates(self) -> InstrumentWeights:
        """Where weights and multiplier come from."""
        return InstrumentWeights(self.instruments, self.without_weight, self._subsystem_accounts, section=self.section)

    def _subsystem_accounts(self) -> Accounts:
        if self.trading is None:
            raise ValueError("weights are estimated from profit and loss, which depends on buffers and costs: give `trading`")
        return subsystem_accounts(self.sizing, self.trading)

    @cached_property
    def without_weight(self) -> frozenset[str]:
        """Instruments that get no weight: those the strategy names, and those that never have a position (which
        STARTED_INSTRUMENTS corrects, see `weights`).

        Corrected (RESTRICTED_UNTRADED), also those in bad markets or under trading restrictions. Names that the strategy does not
        trade are ignored.
        """
        position = self.sizing.subsystem_position.array
        idle = (np.nan_to_num(position) == 0).all(axis=0) & (not self.section.corrects(Correction.STARTED_INSTRUMENTS))
        named = set(self.section.allocate_zero_instrument_weights_to_these_instruments)
        if self.section.corrects(Correction.RESTRICTED_UNTRADED):
            lists = self.section.exclude_instrument_lists
            named |= {*lists.bad_markets, *lists.trading_restrictions}
        return frozenset(instrument for place, instrument in enumerate(self.instruments) if idle[place] or instrument in named)

    @cached_property
    def days(self) -> slice:
        """Rows of the calendar from the first to the last with a row of any instrument's positions."""
        span = self.sizing.subsystem_position.span
        with_rows = ~span.empty
        return slice(int(span.first[with_rows].min()), int(span.last[with_rows].max()) + 1) if with_rows.any() else slice(0, 0)

    @cached_property
    def weights(self) -> pd.DataFrame:
        """Weights in use on every day of any instrument's positions; an instrument whose data has ended keeps its weight.

        One that has begun without ever wanting a contract has a weight, if it will want some later; corrected
        (STARTED_INSTRUMENTS), it has one from its first wish on, while any of its rules has a weight.
        """
        positions = self.sizing.subsystem_position.values.iloc[self.days]
        if self.section.corrects(Correction.STARTED_INSTRUMENTS):
            weighted = self.sizing.combined.weighted.values.iloc[self.days].ffill().to_numpy() > 0.0
            available = weighted & np.logical_or.accumulate(np.nan_to_num(positions.to_numpy()) != 0.0, axis=0)
        else:
            available = positions.ffill().notna().to_numpy()
        target = weights_at(self.estimates.table, pd.DatetimeIndex(positions.index))
        weights = weights_in_use(target, available, self.section.instrument_weight_ewma_span)
        return pd.DataFrame(weights, index=positions.index, columns=positions.columns)

    @cached_property
    def diversification_multiplier(self) -> pd.DataFrame:
        """The instrument diversification multiplier: one column, `idm`."""
        return pd.DataFrame({"idm": self.estimates.multiplier(self.weights)}, index=self.weights.index, dtype=float)

    @cached_property
    def share(self) -> Panel:
        """Weight x multiplier on the rows of the subsystem positions: what a subsystem position counts in the portfolio."""
        position = self.sizing.subsystem_position
        share = np.full(position.array.shape, np.nan)
        share[self.days] = self.weights.to_numpy() * self.diversification_multiplier.to_numpy()
        return position.like(share)

    @cached_property
    def position_before_overlay(self) -> Panel:
        """Contracts that the strategy would want whatever their risk."""
        return self.sizing.subsystem_position.like(self.sizing.subsystem_position.array * self.share.array)

    @cached_property
    def risk_overlay(self) -> pd.DataFrame:
        """Measures of risk of the positions before the overlay, and `risk_scalar` where the strategy has limits."""
        return self.risk.overlay(self.position_before_overlay, self.days)

    @property
    def risk_scalar(self) -> pd.Series:
        """The factor of the risk overlay on every day of the portfolio; 1 without an overlay."""
        if self.section.risk_overlay is None:
            return pd.Series(1.0, index=self.weights.index, name="risk_scalar")
        return self.risk_overlay["risk_scalar"]

    @cached_property
    def scaling(self) -> Panel:
        """The same on the rows of the positions."""
        position = self.position_before_overlay
        factor = np.full(position.array.shape, np.nan)
        factor[self.days] = self.risk_scalar.to_numpy()[:, None]
        return position.like(factor)

    @cached_property
    def notional_position(self) -> Panel:
        """Contracts that the strategy wants, unrounded and unbuffered."""
        position = self.position_before_overlay
        return position if self.section.risk_overlay is None else position.like(position.array * self.scaling.array)

    @cached_property
    def average_position(self) -> Panel:
        """Contracts of an average forecast in the portfolio, on the rows of the positions: what buffers are a part of.

        Corrected (OVERLAY_SCALES_BUFFERS), scaled by the risk overlay as the positions are.
        """
        average = self.sizing.average_position.at(self.share.span).ffill().array * self.share.array
        if self.section.corrects(Correction.OVERLAY_SCALES_BUFFERS):
            average = average * self.scaling.array
        return self.share.like(average)
