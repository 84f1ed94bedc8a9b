"""Names of pysystemtrade's strategy files and what they are here, so that those files load unchanged."""

from __future__ import annotations

RULE_FUNCTIONS = {
    "ewmac": "ewmac",
    "ewmac_calc_vol": "ewmac_calc_vol",
    "ewmac_forecast_with_defaults": "ewmac_calc_vol",
    "ewmac_forecast_with_defaults_no_vol": "ewmac_with_defaults",
    "breakout": "breakout",
    "accel": "accel",
    "mr_wings": "mr_wings",
    "carry": "carry",
    "carry2": "carry",
    "relative_carry": "relative_carry",
    "cross_sectional_mean_reversion": "cross_sectional_mean_reversion",
    "relative_momentum": "relative_momentum",
    "factor_trading_rule": "factor_trading_rule",
    "conditioned_factor_trading_rule": "conditioned_factor_trading_rule",
    "long_bias": "long_bias",
    "short_bias": "short_bias",
}
"""Rules by the names of their functions. The modules around them have moved more than once, and older files name the older ones."""

THEIR_PACKAGES = ("systems", "syscore", "sysquant")
"""Where those functions are, and were."""

THEIR_MODULES = ("ewmac", "breakout", "accel", "mr_wings", "carry", "cs_mr", "rel_mom", "factors", "long_bias", "short_bias")
"""Modules of rules that a file may name without their package."""

DATA_ITEMS = {
    "data.daily_prices": "daily_price",
    "rawdata.get_daily_prices": "daily_price",
    "rawdata.get_natural_frequency_prices": "adjusted",
    "rawdata.get_hourly_prices": "hourly_price",
    "rawdata.hourly_returns": "hourly_returns",
    "rawdata.daily_returns": "daily_returns",
    "rawdata.daily_returns_volatility": "daily_returns_volatility",
    "rawdata.annualised_returns_volatility": "annualised_returns_volatility",
    "rawdata.daily_denominator_price": "daily_denominator_price",
    "rawdata.get_daily_percentage_returns": "daily_percentage_returns",
    "rawdata.get_daily_percentage_volatility": "daily_percentage_volatility",
    "rawdata.get_daily_vol_normalised_returns": "daily_vol_normalised_returns",
    "rawdata.get_cumulative_daily_vol_normalised_returns": "cumulative_daily_vol_normalised_returns",
    "rawdata.normalised_price_for_asset_class": "normalised_price_for_asset_class",
    "rawdata.raw_futures_roll": "raw_futures_roll",
    "rawdata.roll_differentials": "roll_differentials",
    "rawdata.annualised_roll": "annualised_roll",
    "rawdata.daily_annualised_roll": "daily_annualised_roll",
    "rawdata.raw_carry": "raw_carry",
    "rawdata.smoothed_carry": "smoothed_carry",
    "rawdata.median_carry_for_asset_class": "median_carry_for_asset_class",
    "rawdata.skew": "skew",
    "rawdata.neg_skew": "neg_skew",
    "rawdata.kurtosis": "kurtosis",
    "rawdata.get_factor_value_for_instrument": "factor_value",
    "rawdata.get_demeanded_factor_value": "demeaned_factor_value",
    "rawdata.rolls_per_year": "rolls_per_year",
    "rawdata.instrument_code": "instrument_code",
}

VOLATILITY_FUNCTIONS = {
    "mixed_vol_calc": "mixed_vol",
    "robust_vol_calc": "robust_vol",
    "simple_ewvol_calc": "simple_ewvol",
    "simple_vol_calc": "simple_vol",
}

ESTIMATES = (
    "forecast_scalar_estimate",
    "forecast_weight_estimate",
    "forecast_correlation_estimate",
    "forecast_div_mult_estimate",
    "instrument_weight_estimate",
    "instrument_correlation_estimate",
    "instrument_div_mult_estimate",
    "instrument_returns_correlation",
)

# Read by nothing there: the function is always the same, the others belong to methods that are gone.
IGNORED_IN_ESTIMATES = frozenset({"func", "n_threads", "ew", "monte_runs", "shrinkage_mean", "data_method"})

# Known there, without effect on a backtest: groupings for reports, and settings of production.
IGNORED_KEYS = frozenset(
    {
        "rule_groups",
        "style_groups",
        "countries",
        "asset_classes",
        "instruments_with_threshold",
        "description",
        "n_threads",
        "strategy_capital_allocation",
        "backtest_store_directory",
        "csv_backup_directory",
        "mongo_dump_directory",
        "echo_directory",
        "ib_ipaddress",
        "ib_port",
        "ib_idoffset",
        "broker_account",
        "broker_factory_func",
        "mongo_host",
        "mongo_db",
        "mongo_port",
        "parquet_store",
        "echo_extension",
        "max_price_spike",
        "GMT_offset_hours",
        "ignore_future_prices",
        "ignore_prices_with_zero_volumes_intraday",
        "ignore_prices_with_zero_volumes_daily",
        "ignore_zero_prices",
        "ignore_negative_prices",
        "intraday_frequency",
        "production_capital_method",
        "stale_instruments",
        "stale_strategies",
        "roll_status_auto_update",
        "execution_algos",
        "strategy_list",
    }
)


def rule_name(function: str) -> str:
    """Our name for a rule of pysystemtrade, by its present path or an older one; any other function, such as one's own, unchanged."""
    module, _, name = function.rpartition(".")
    return RULE_FUNCTIONS.get(name, function) if is_theirs(function) or module in THEIR_MODULES else function


def is_theirs(function: str) -> bool:
    """Whether a path leads into a package of pysystemtrade."""
    return "." in function and function.partition(".")[0] in THEIR_PACKAGES


def by_ending(name: str, table: dict[str, str]) -> str:
    """Our name for a dotted name whose ending is in `table`; any other name unchanged."""
    parts = name.split(".")
    for start in range(len(parts)):
        ending = ".".join(parts[start:])
        if ending in table:
            return table[ending]
    return name
