"""Trading rules: functions from prices to a raw forecast.

A rule takes tables (business days x instruments) or single series and returns the same shape, positive for long; each is
linear in price divided by volatility, so that a forecast means the same everywhere. `RULES` are the names that a strategy
file may use, beside import paths of one's own functions (see `custom`); a keyword argument of a function is a key of
`other_args` there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from tradeflow_core.errors import ConfigError
from tradeflow_core.model import nearest
from tradeflow_core.strategy.rules.carry import carry, relative_carry
from tradeflow_core.strategy.rules.constant import long_bias, short_bias
from tradeflow_core.strategy.rules.custom import imported_rule, takes_whole_table, whole_table
from tradeflow_core.strategy.rules.factor import conditioned_factor_trading_rule, factor_trading_rule
from tradeflow_core.strategy.rules.relative import cross_sectional_mean_reversion, relative_momentum
from tradeflow_core.strategy.rules.trend import accel, breakout, ewmac, ewmac_calc_vol, ewmac_with_defaults, mr_wings

RULES: dict[str, Callable[..., Any]] = {
    rule.__name__: rule
    for rule in (
        ewmac,
        ewmac_calc_vol,
        ewmac_with_defaults,
        breakout,
        accel,
        mr_wings,
        carry,
        relative_carry,
        cross_sectional_mean_reversion,
        relative_momentum,
        factor_trading_rule,
        conditioned_factor_trading_rule,
        long_bias,
        short_bias,
    )
}


def is_allowed(name: str, modules: Collection[str]) -> bool:
    """Whether a function of one's own lies in one of these modules."""
    module = name.rpartition(".")[0]
    return any(module == allowed or module.startswith(f"{allowed}.") for allowed in modules)


def require_allowed(name: str, modules: Collection[str]) -> None:
    """Raises ConfigError for a function of one's own that lies in none of these modules. Nothing is imported to find that out."""
    module = name.rpartition(".")[0]
    if name in RULES or "." not in name or is_allowed(name, modules):
        return
    raise ConfigError(
        f"{name} was not run: a strategy file may name functions of modules that were allowed only; if you trust it, "
        f'add "{module}" to rule_modules in tradeflow.toml, or give --rules {module} (from Python: rule_modules=["{module}"])'
    )


def rule_function(name: str) -> Callable[..., Any]:
    """The function of a rule: one of `RULES`, or one's own by its import path. Raises ConfigError where there is none."""
    if name in RULES:
        return RULES[name]
    if "." in name:
        return imported_rule(name)
    hint = nearest(name, RULES) or f"; rules are {', '.join(RULES)}"
    raise ConfigError(f"{name} is not a trading rule{hint}; name a function of your own by its import path, module.function")


__all__ = ["RULES", "is_allowed", "require_allowed", "rule_function", "takes_whole_table", "whole_table"]
