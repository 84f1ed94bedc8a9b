"""Rules of one's own: Python functions, named in a strategy file by their import path (`package.module.function`).

Such a function gets one instrument at a time: a Series for each data item, by business day, and the `other_args` by name. It
returns a Series of forecasts on those days or some of them, positive for long; a missing day has no forecast. With the
decorator `whole_table` it gets all instruments at once instead, as tables (business days x instruments), and returns such a
table, which is much faster. A file may name functions of those modules only that a person has allowed: `rule_modules` of the settings.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, TypeVar

from tradeflow_core.errors import ConfigError
from tradeflow_core.model import nearest

Rule = TypeVar("Rule", bound=Callable[..., Any])


def whole_table(rule: Rule) -> Rule:
    """Declares that a rule takes and returns tables of all instruments, each column by itself."""
    setattr(rule, "whole_table", True)  # noqa: B010
    return rule


def takes_whole_table(rule: Callable[..., Any]) -> bool:
    """True for rules declared so."""
    return bool(getattr(rule, "whole_table", False))


def imported_rule(path: str) -> Callable[..., Any]:
    """The function of an import path. Raises ConfigError where it cannot be imported, or is not a function."""
    module_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        remedy = "install it, or put its folder on PYTHONPATH"
        raise ConfigError(f"{path} cannot be imported: there is no module {error.name}; {remedy}") from error
    except Exception as error:
        raise ConfigError(f"{path} cannot be imported: {type(error).__name__} in {module_name}: {error}") from error
    function = getattr(module, name, None)
    if not callable(function):
        hint = nearest(name, [each for each, value in vars(module).items() if callable(value)])
        what = f"{name} is not a function" if hasattr(module, name) else f"{module_name} has no function {name}"
        raise ConfigError(f"{path} cannot be used as a rule: {what}{hint}")
    return function  # type: ignore[no-any-return]
