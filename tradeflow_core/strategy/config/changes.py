"""Changes to a strategy file from outside, by dotted keys: `buffer_size`, `trading_rules.carry.other_args.smooth_days`."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from tradeflow_core.errors import ConfigError

Changes = Mapping[str, Any]


def changed(tree: Mapping[str, Any], changes: Changes, source: str) -> dict[str, Any]:
    """A copy of a strategy's mapping with the values at dotted keys replaced; a value of None takes the key out.

    Raises ConfigError where a dotted key leads into something that is no mapping.
    """
    result = copy.deepcopy(dict(tree))
    for dotted, value in changes.items():
        *path, last = dotted.split(".")
        inner = result
        for place, key in enumerate(path, start=1):
            if inner.get(key) is None:
                inner[key] = {}
            inner = inner[key]
            if not isinstance(inner, dict):
                raise ConfigError(f"{source}: {dotted} cannot be set: {'.'.join(path[:place])} is {inner!r}, not a mapping")
        inner[last] = value
    return result


def parse_changes(texts: Iterable[str], option: str = "--set") -> dict[str, Any]:
    """Changes from texts such as `buffer_size=0.2`; values are YAML, so `null`, `true`, `[1, 2]` and `{a: 1}` are what they say.

    Raises ConfigError for a text without = or key, a value that is not YAML, and a key that is given twice.
    """
    changes: dict[str, Any] = {}
    for text in texts:
        key, value = _split(text, option)
        if key in changes:
            raise ConfigError(f"{option} {key} is given twice")
        changes[key] = _value(value, text, option)
    return changes


def parse_grid(texts: Iterable[str], option: str = "--set") -> list[dict[str, Any]]:
    """Every combination of texts such as `buffer_size=0.1,0.2`, the last key changing fastest. Brackets and braces keep commas together."""
    axes: dict[str, list[Any]] = {}
    for text in texts:
        key, values = _split(text, option)
        if key in axes:
            raise ConfigError(f"{option} {key} is given twice; put its values in one list, {key}=a,b,c")
        axes[key] = _value(f"[{values}]", text, option)
        if not axes[key]:
            raise ConfigError(f"{option} {text}: give at least one value")
    return [dict(zip(axes, point, strict=True)) for point in itertools.product(*axes.values())]


def _split(text: str, option: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not all(part.strip() for part in key.split(".")):
        raise ConfigError(f"{option} {text}: write key=value, such as buffer_size=0.2")
    return ".".join(part.strip() for part in key.split(".")), value


def _value(value: str, text: str, option: str) -> Any:
    try:
        return yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):  # ValueError: a date that does not exist
        raise ConfigError(
            f"{option} {text}: the value is not YAML, or a date that does not exist; put text with special characters in quotes"
        ) from None
