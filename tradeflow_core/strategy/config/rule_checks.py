"""Whether the function, the data and the arguments of a trading rule go together."""

from __future__ import annotations

import inspect
from inspect import Parameter

from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy.config.data_items import DAILY_ITEMS, FACTS, STAMPED_ITEMS, check_daily_item
from tradeflow_core.strategy.config.nested import RuleConfig
from tradeflow_core.strategy.rules import RULES, rule_function

BY_PLACE = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
GIVEN_BY_ENGINE = frozenset({"own_vol", "judge_short"})
"""Parameters of our own rules that a strategy file does not set."""


def check_rule(rule: RuleConfig) -> None:
    """Raises ConfigError where a rule's function, data and arguments do not go together."""
    by_stamp = [item for item in rule.data if item in STAMPED_ITEMS]
    for place, item in enumerate(rule.data, start=1):
        arguments = rule.arguments_of_item(place)
        if item not in FACTS and item not in by_stamp:
            check_daily_item(item, arguments)
        elif arguments:
            raise ConfigError(f"data item {item} has no argument {next(iter(arguments))}; it takes none")
    daily = [item for item in rule.data if item in DAILY_ITEMS]
    if by_stamp and daily:
        raise ConfigError(
            f"{by_stamp[0]} has stamps of its own and {daily[0]} is daily: a rule takes either hourly or daily items"
        )
    if not daily and not by_stamp:
        raise ConfigError(f"{rule.function} needs a daily item among its data, such as daily_price")
    _check_parameters(rule)


def _check_parameters(rule: RuleConfig) -> None:
    try:
        parameters = inspect.signature(rule_function(rule.function)).parameters
    except (TypeError, ValueError):
        raise ConfigError(f"{rule.function} does not say which arguments it takes; wrap it in a plain function") from None
    kinds = {parameter.kind for parameter in parameters.values()}
    by_place = [name for name, parameter in parameters.items() if parameter.kind in BY_PLACE]
    named = {name: parameter for name, parameter in parameters.items() if parameter.kind in (*BY_PLACE, Parameter.KEYWORD_ONLY)}
    required = [name for name, parameter in named.items() if parameter.default is Parameter.empty]
    given = len(rule.data)
    most = len(required) if rule.function in RULES else len(by_place)
    if given > most and Parameter.VAR_POSITIONAL not in kinds:
        takes = ", ".join(by_place[:most])
        raise ConfigError(f"{rule.function} takes {most} data items ({takes}), and {given} are given: {', '.join(rule.data)}")
    by_name = [name for name, parameter in named.items() if parameter.kind is not Parameter.POSITIONAL_ONLY]
    accepted = [name for name in by_name if name not in by_place[:given] and name not in GIVEN_BY_ENGINE]
    for argument in rule.arguments:
        if argument not in accepted and Parameter.VAR_KEYWORD not in kinds:
            raise ConfigError(f"{rule.function} has no argument {argument}; it takes {', '.join(accepted) or 'none'}")
    lacking = [name for name in required if name not in by_place[:given] and name not in rule.arguments]
    if lacking:
        raise ConfigError(f"{rule.function} needs {', '.join(lacking)} too: name more data items, or give it in other_args")
