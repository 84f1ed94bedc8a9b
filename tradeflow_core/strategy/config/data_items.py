"""The data items that trading rules, factors and volatility are made of: which there are, and which arguments they take.

The names are those that a strategy file uses; `inputs.RawData` has a property or a method of the same name for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from tradeflow_core.errors import ConfigError
from tradeflow_core.model import nearest

DemeanMethod = Literal[
    "average_factor_value_for_instrument",
    "current_average_factor_values_over_all_assets",
    "historic_average_factor_value_all_assets",
    "average_factor_value_in_asset_class_for_instrument",
]
DEMEAN_METHODS: tuple[str, ...] = get_args(DemeanMethod)
DEFAULT_FACTOR = "skew"

PRICES_AND_RETURNS = ("daily_price", "daily_returns", "daily_denominator_price", "daily_percentage_returns")
"""Daily items that volatility can be taken of."""

DAILY_ITEMS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(PRICES_AND_RETURNS, ()),
    "daily_returns_volatility": (),
    "annualised_returns_volatility": (),
    "daily_percentage_volatility": (),
    "daily_annualised_roll": (),
    "raw_carry": (),
    "smoothed_carry": ("smooth_days",),
    "median_carry_for_asset_class": (),
    "daily_vol_normalised_returns": (),
    "cumulative_daily_vol_normalised_returns": (),
    "normalised_price_for_asset_class": (),
    "skew": ("lookback_days",),
    "neg_skew": ("lookback_days",),
    "kurtosis": ("lookback_days",),
    "factor_value": ("factor_name",),
    "demeaned_factor_value": ("factor_name", "demean_method"),
}
"""Daily items, panels of all instruments, with the names of their arguments. Those with a `factor_name` also take the arguments
of that factor."""

STAMPED_ITEMS = ("adjusted", "hourly_price", "hourly_returns", "raw_futures_roll", "roll_differentials", "annualised_roll")
"""Items at the stamps of the prices themselves: series by instrument, without arguments."""

FACTS = ("instrument_code", "rolls_per_year")
"""Items that do not change: one value by instrument, without arguments."""


def check_daily_item(name: str, arguments: Mapping[str, Any]) -> None:
    """Raises ConfigError where there is no daily item of that name, or it does not take these arguments."""
    if name not in DAILY_ITEMS:
        hint = nearest(name, [*DAILY_ITEMS, *STAMPED_ITEMS, *FACTS]) or f"; items are {', '.join(DAILY_ITEMS)}"
        raise ConfigError(f"there is no data item {name}{hint}")
    accepted = DAILY_ITEMS[name]
    method = arguments.get("demean_method")
    if "demean_method" in accepted and method is not None and method not in DEMEAN_METHODS:
        raise ConfigError(f"demean_method {method} is unknown; methods are {', '.join(DEMEAN_METHODS)}")
    others = {argument: value for argument, value in arguments.items() if argument not in accepted}
    if "factor_name" in accepted:
        check_daily_item(str(arguments.get("factor_name", DEFAULT_FACTOR)), others)
    elif others:
        raise ConfigError(f"data item {name} has no argument {next(iter(others))}; it takes {', '.join(accepted) or 'none'}")


def check_item_for_volatility(name: str) -> None:
    """Raises ConfigError for an item that is not a price or a return, which volatility cannot be taken of."""
    if name not in PRICES_AND_RETURNS:
        raise ConfigError(f"volatility cannot be taken of {name}; name one of {', '.join(PRICES_AND_RETURNS)}")
