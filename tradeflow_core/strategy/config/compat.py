"""Where our figures differ from pysystemtrade's, and why: one named correction for each flaw.

A strategy chooses with the key `compat`:

- `pst`: figures as pysystemtrade's, flaws included (the default for its strategy files);
- `fixed`: every correction (the default of the packaged strategies);
- a list of names from `Correction`: those only, to study their effect.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal


class Correction(StrEnum):
    """A flaw of the reference done right. `EXPLANATIONS` says what each changes."""

    # Prices, returns, volatility, carry
    RETURNS_OVER_GAPS = "returns_over_gaps"
    PAUSED_MARKETS = "paused_markets"
    PREVIOUS_PRICE = "previous_price"
    NO_BACKFILL = "no_backfill"
    EQUAL_CONTRACTS_HAVE_NO_CARRY = "equal_contracts_have_no_carry"
    CARRY_BY_DATE = "carry_by_date"
    CARRY_AT_CLOSE = "carry_at_close"
    DECLARED_ASSET_CLASS = "declared_asset_class"
    DAILY_VALUES_AT_CLOSE = "daily_values_at_close"
    # Rules and forecasts
    FLAT_STAYS_FLAT = "flat_stays_flat"
    VOL_OF_CHANGES = "vol_of_changes"
    NEUTRAL_ATTENUATION = "neutral_attenuation"
    # Estimates
    CALENDAR_FITS = "calendar_fits"
    ROLLING_WINDOW = "rolling_window"
    CALENDAR_LENGTH = "calendar_length"
    MISSING_WEEKS = "missing_weeks"
    COSTS_KNOWN_THEN = "costs_known_then"
    COSTS_OVER_ALL_DAYS = "costs_over_all_days"
    COST_POOLING = "cost_pooling"
    FX_NEUTRAL_FORECAST_PANDL = "fx_neutral_forecast_pandl"
    EXACT_OPTIMISER = "exact_optimiser"
    LONE_ASSET = "lone_asset"
    CURRENT_WEIGHTS = "current_weights"
    # Positions
    POINT_RISK = "point_risk"
    RESTRICTED_UNTRADED = "restricted_untraded"
    STARTED_INSTRUMENTS = "started_instruments"
    OVERLAY_SCALES_BUFFERS = "overlay_scales_buffers"
    HALF_COMPOUNDING_ONCE = "half_compounding_once"
    CAREFUL_OPTIMISER = "careful_optimiser"
    # Accounts
    COMMISSION_ON_HELD_PRICE = "commission_on_held_price"
    WEIGHTED_PANDL_LAGGED_ONCE = "weighted_pandl_lagged_once"
    STATISTICS = "statistics"


EXPLANATIONS: dict[Correction, str] = {
    Correction.RETURNS_OVER_GAPS: "The change over days without price counts on the first day after them, instead of being lost.",
    Correction.PAUSED_MARKETS: (
        "On days without price a market has no new forecast and keeps its volatility, and it counts in no estimate, so that its pause "
        "changes nothing for the others."
    ),
    Correction.PREVIOUS_PRICE: "Percentage returns divide by the price of the day before, instead of the same day's.",
    Correction.NO_BACKFILL: "Volatility, scalars and contract values are never filled backwards in time.",
    Correction.EQUAL_CONTRACTS_HAVE_NO_CARRY: "A carry contract equal to the priced one has no carry, instead of an infinite one.",
    Correction.CARRY_BY_DATE: "The time between two contracts is counted in days, instead of twelfths of a year by month.",
    Correction.CARRY_AT_CLOSE: "A day's carry is its last figure, as its price is, instead of the mean over the day.",
    Correction.DECLARED_ASSET_CLASS: "Factors compare with the strategy's own instruments of the asset class, instead of all that have data.",
    Correction.DAILY_VALUES_AT_CLOSE: "Beside hourly forecasts a day's figure is known from its close on, instead of from midnight before it.",
    Correction.FLAT_STAYS_FLAT: "A forecast of exactly 0 means flat; the reference takes it as missing, and so keeps the last forecast for ever.",
    Correction.VOL_OF_CHANGES: "Rules on normalised prices and factors divide by the volatility of changes, instead of that of the level.",
    Correction.NEUTRAL_ATTENUATION: "Without a relative volatility a forecast is left as it is, instead of doubled.",
    Correction.CALENDAR_FITS: (
        "Estimates are made at the end of each calendar year, from what is known then, instead of at dates counted back from the last "
        "day of data."
    ),
    Correction.ROLLING_WINDOW: "Rolling estimates see their window of years only, instead of all the past.",
    Correction.CALENDAR_LENGTH: "The length of pooled data is that of the calendar, instead of the sum over instruments.",
    Correction.MISSING_WEEKS: "Weeks without data are missing, instead of weeks with a return of 0.",
    Correction.COSTS_KNOWN_THEN: (
        "Costs in estimates, cost ceilings, optimisation and compounding are those of the prices known then, instead of the last year's; "
        "reported profit and loss is still charged today's costs in proportion to volatility."
    ),
    Correction.COSTS_OVER_ALL_DAYS: "The average cost of an instrument counts all days, instead of those with a trade only.",
    Correction.COST_POOLING: "Pooled turnover prices each instrument's own cost per trade once, and holding costs are left as they are.",
    Correction.FX_NEUTRAL_FORECAST_PANDL: "Positions behind a rule's P&L are sized in base currency, so that pooled instruments weigh alike.",
    Correction.EXACT_OPTIMISER: "Weights are the exact optimum, instead of where a numerical search stopped.",
    Correction.LONE_ASSET: "A strategy of one instrument, or one rule, has a correlation: that with itself.",
    Correction.CURRENT_WEIGHTS: "A diversification multiplier follows the weights in use, instead of those at the start of the year.",
    Correction.POINT_RISK: "Positions are sized by volatility x point size x FX, which stays right for prices at or below 0.",
    Correction.RESTRICTED_UNTRADED: "Instruments in bad markets or under trading restrictions get no weight.",
    Correction.STARTED_INSTRUMENTS: (
        "An instrument counts in the portfolio from its first position on and while a rule is traded in it, instead of by whether it ever "
        "has a position."
    ),
    Correction.OVERLAY_SCALES_BUFFERS: "The risk overlay scales the buffer with the position.",
    Correction.HALF_COMPOUNDING_ONCE: "Half compounding applies its multiplier to a day's P&L once, instead of twice.",
    Correction.CAREFUL_OPTIMISER: "Dynamic optimisation counts whole contracts, keeps to all limits, and leaves alone what it has no figures for.",
    Correction.COMMISSION_ON_HELD_PRICE: "Commissions in percent are of the price of the contract held, instead of the back-adjusted price.",
    Correction.WEIGHTED_PANDL_LAGGED_ONCE: "P&L by rule is filled a day after the decision, instead of two.",
    Correction.STATISTICS: "Drawdown counts from the start of the account, and downside deviation from 0.",
}

Corrections = frozenset[Correction]
REFERENCE: Corrections = frozenset()
"""None of the corrections: the figures of the reference."""

ALL: Corrections = frozenset(Correction)

Solver = Literal["exact", "slsqp"]
"""How optimal weights are found: exactly, or by the numerical search of the reference."""
