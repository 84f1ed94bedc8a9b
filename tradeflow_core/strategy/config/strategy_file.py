"""Strategy files: YAML over the packaged defaults, ours or pysystemtrade's, with errors that name file, line and key."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tradeflow_core.errors import ConfigError
from tradeflow_core.model import nearest, nearest_names
from tradeflow_core.strategy.config.changes import Changes, changed
from tradeflow_core.strategy.config.data_items import check_item_for_volatility
from tradeflow_core.strategy.config.reference_names import (
    DATA_ITEMS,
    ESTIMATES,
    IGNORED_IN_ESTIMATES,
    IGNORED_KEYS,
    RULE_FUNCTIONS,
    VOLATILITY_FUNCTIONS,
    by_ending,
    is_theirs,
    rule_name,
)
from tradeflow_core.strategy.config.rule_checks import check_rule
from tradeflow_core.strategy.config.strategy_config import StrategyConfig
from tradeflow_core.strategy.rules import is_allowed, require_allowed

Tree = dict[str, Any]
Place = Callable[[str], str]
LARGEST = 2**20
"""Bytes of a strategy file."""
MOST_VALUES = 100_000
"""Values of a strategy file, each counted as often as it is named."""
PACKAGE = resources.files("tradeflow_core.strategy")


def load_strategy(path: str | Path, changes: Changes | None = None, *, rule_modules: Collection[str] = ()) -> StrategyConfig:
    """The strategy of a YAML file, laid over the defaults; mappings merge key by key, anything else replaces.

    A file that names another one in `base_config` (beside it, or a packaged strategy) is laid over that: each of its
    top-level keys replaces the other's whole.

    `changes`: values by dotted key that take the place of the file's own, such as `{"buffer_size": 0.2}`. `rule_modules`: the modules
    whose functions the file may name as rules; any other is refused, since naming a function is running it. Takes our own files
    and pysystemtrade's unchanged. Raises ConfigError naming file, line and key for YAML that does not parse, a key that is
    unknown or given twice, a value that is wrong, and settings that this engine cannot honour.
    """
    file = Path(path)
    tree, lines = _read(file, ())
    if changes:
        tops = {key.partition(".")[0] for key in changes}
        tree, lines = changed(tree, changes, str(file)), {key: line for key, line in lines.items() if key not in tops}
    return _build(tree, lines, str(file), rule_modules=rule_modules)


def _read(file: Path, above: tuple[Path, ...]) -> tuple[Tree, dict[str, int]]:
    """The keys of a file and of those it is based on, and the lines of its own; `above`: the files that lead to it."""
    try:
        if file.is_file() and file.stat().st_size > LARGEST:
            raise ConfigError(f"strategy file {file} has more than {LARGEST:,} bytes: that is no strategy; name another file")
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"strategy file {file} cannot be read: {error}") from None
    tree, lines = _parse(text, str(file))
    name = tree.pop("base_config", None)
    if name is None:
        return tree, lines
    base = packaged_strategies().get(str(name)) or file.parent / str(name)
    if base.resolve() in (file_above.resolve() for file_above in (*above, file)):
        raise ConfigError(
            f"{file}, line {lines['base_config']}: base_config {name} leads back to this file: remove one of the two"
        )
    return {**_read(base, (*above, file))[0], **tree}, lines


def strategy_from_dict(tree: Tree, source: str = "dictionary") -> StrategyConfig:
    """The same from a mapping in memory, with the keys of a strategy file. It may name any function: the caller's own program wrote it."""
    return _build(tree, {}, source, rule_modules=None)


def packaged_strategies() -> dict[str, Path]:
    """The strategies that come with the package, by name."""
    folder = Path(str(PACKAGE / "strategies"))
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def _build(given: Tree, lines: dict[str, int], source: str, *, rule_modules: Collection[str] | None) -> StrategyConfig:
    def place(path: str) -> str:
        while path and path not in lines:
            path = path.rpartition(".")[0]
        return f"{source}, line {lines[path]}" if path else source

    tree = _without_nulls(given)
    for key in tree:
        if not _is_known(key):
            hint = nearest(str(key), _valid_keys()) or f"; valid keys are {', '.join(_valid_keys())}"
            raise ConfigError(f"{place(key)}: unknown key {key}{hint}")
    ours = {key: value for key, value in tree.items() if key in StrategyConfig.model_fields}
    defaults, _ = _parse((PACKAGE / "defaults.yaml").read_text(encoding="utf-8"), "defaults.yaml")
    merged = _layer(_translated(ours), defaults)
    _require_known(merged.get("trading_rules"), rule_modules, place)
    if rule_modules is not None:
        _require_allowed(merged.get("trading_rules"), rule_modules, place)
    try:
        config = StrategyConfig.model_validate({**merged, "source": source})
    except ValidationError as error:
        raise ConfigError("\n".join(_explained(mistake, place) for mistake in error.errors())) from None
    _check_items(config, place)
    return config


def _parse(text: str, source: str) -> tuple[Tree, dict[str, int]]:
    """The mapping of a YAML text, and the lines of its keys: `key` for those at the top, `key.key` for those one level below."""
    try:
        node = yaml.compose(text, yaml.SafeLoader)
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{source}, line 1: a strategy file is a mapping of keys to values")
        _refuse_endless(node, source)
        _refuse_doubled_keys(node, source)
        below = {path: line for key, value in node.value for path, line in _lines(value, f"{key.value}.").items()}
        return yaml.safe_load(text), {**_lines(node), **below}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{source}{line}: not valid YAML: {error.problem or error.context}") from None
    except RecursionError:
        raise ConfigError(
            f"{source}: its values lie within each other too deeply, or refer to themselves; write them out"
        ) from None
    except (yaml.YAMLError, ValueError, TypeError) as error:  # ValueError: a date that does not exist; TypeError: a list as a key
        raise ConfigError(f"{source}: not valid YAML: {error}") from None


def _lines(node: yaml.Node, prefix: str = "") -> dict[str, int]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {f"{prefix}{key.value}": key.start_mark.line + 1 for key, _ in node.value}


def _refuse_endless(node: yaml.Node, source: str) -> None:
    """Refuse values that refer to themselves, or to each other so often that they would fill the memory: each is walked as often as it is named."""
    waiting, walked = [node], 0
    while waiting:
        below = waiting.pop()
        walked += 1
        if walked > MOST_VALUES:
            line = below.start_mark.line + 1
            raise ConfigError(
                f"{source}, line {line}: more than {MOST_VALUES:,} values; an anchor (&) that is named too often (*), or within itself: write it out"
            )
        if isinstance(below, yaml.MappingNode):
            waiting += [part for pair in below.value for part in pair]
        elif isinstance(below, yaml.SequenceNode):
            waiting += below.value


def _refuse_doubled_keys(node: yaml.Node, source: str) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[Hashable, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen and isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{source}, line {line}: key {key.value} is given twice; first on line {seen[key.value]}")
            if isinstance(key, yaml.ScalarNode):
                seen[key.value] = line
            _refuse_doubled_keys(value, source)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_doubled_keys(item, source)


def _valid_keys() -> list[str]:
    return [key for key in StrategyConfig.model_fields if key != "source"]


def _is_known(key: Any) -> bool:
    return key in _valid_keys() or key in IGNORED_KEYS


def _without_nulls(tree: Tree) -> Tree:
    """A key without value counts as absent."""
    return {key: _without_nulls(value) if isinstance(value, dict) else value for key, value in tree.items() if value is not None}


def _layer(upper: Tree, lower: Tree) -> Tree:
    mappings = [key for key in upper if isinstance(upper[key], dict) and isinstance(lower.get(key), dict)]
    return {**lower, **upper, **{key: _layer(upper[key], lower[key]) for key in mappings}}


def _translated(tree: Tree) -> Tree:
    """Our names for pysystemtrade's functions and data items."""
    result = dict(tree)
    if isinstance(tree.get("trading_rules"), dict):
        result["trading_rules"] = {name: _translated_rule(rule) for name, rule in tree["trading_rules"].items()}
    vol = tree.get("volatility_calculation")
    if isinstance(vol, dict):
        items = {name.removeprefix("rawdata."): ours for name, ours in DATA_ITEMS.items()}
        names = {"func": VOLATILITY_FUNCTIONS, "name_returns_attr_in_rawdata": items}
        translated = {key: by_ending(str(vol[key]), names[key]) for key in names if key in vol}
        result["volatility_calculation"] = {**vol, **translated}
    for section in ESTIMATES:
        if isinstance(tree.get(section), dict):
            result[section] = _without_ignored(tree[section])
    multiplier = tree.get("capital_multiplier")
    if isinstance(multiplier, dict) and "func" in multiplier:
        result["capital_multiplier"] = {**multiplier, "func": str(multiplier["func"]).rsplit(".", 1)[-1]}
    return result


def _without_ignored(section: Tree) -> Tree:
    """An estimate's settings without those that have no effect in pysystemtrade either, such as the function that is always used."""
    kept = {key: value for key, value in section.items() if key not in IGNORED_IN_ESTIMATES}
    return {key: _without_ignored(value) if isinstance(value, dict) else value for key, value in kept.items()}


def _translated_rule(rule: Any) -> Any:
    if isinstance(rule, str):
        rule = {"function": rule}
    elif isinstance(rule, list | tuple):
        rule = dict(zip(("function", "data", "other_args"), rule, strict=False))
    if not isinstance(rule, dict):
        return rule
    result = dict(rule)
    if isinstance(rule.get("function"), str):
        result["function"] = rule_name(rule["function"])
    items = [rule["data"]] if isinstance(rule.get("data"), str) else rule.get("data")
    if isinstance(items, list | tuple):
        result["data"] = [DATA_ITEMS.get(item, item) if isinstance(item, str) else item for item in items]
    return result


def _explained(error: Any, place: Place) -> str:
    path = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return f"{place(path)}: {path} is missing"
    if error["type"] == "extra_forbidden":
        return f"{place(path)}: unknown key {path}"
    message = error["msg"].removeprefix("Value error, ")
    given = "" if error["type"] == "value_error" else f"; found {error['input']!r}"
    return f"{place(path)}: {path}: {message}{given}" if path else f"{place(path)}: {message}"


def _require_known(rules: Any, modules: Collection[str] | None, place: Place) -> None:
    """Raises ConfigError for functions in packages of pysystemtrade that are no rule here, each once with all rules that name it; unless a
    package of that name is the user's own: one of these modules, or with None one that can be imported."""
    unknown: dict[str, list[str]] = {}
    for name, rule in rules.items() if isinstance(rules, dict) else ():
        function = str(rule.get("function")) if isinstance(rule, dict) else ""
        if not is_theirs(function):
            continue
        if is_allowed(function, modules) if modules is not None else find_spec(function.partition(".")[0]):
            continue
        unknown.setdefault(function, []).append(f"trading_rules.{name}")
    if unknown:
        raise ConfigError(
            "\n".join(f"{place(paths[0])}: {_unknown_rule(function, paths)}" for function, paths in unknown.items())
        )


def _unknown_rule(function: str, paths: Collection[str]) -> str:
    close = nearest_names(function.rpartition(".")[2], RULE_FUNCTIONS, count=3)
    known = f"nearest: {', '.join(close)}" if close else f"rules are {', '.join(RULE_FUNCTIONS)}"
    remedy = "name one that is known, or a function of your own by its import path, module.function"
    return f"{', '.join(paths)}: {function} is no rule of pysystemtrade that is known here ({known}); {remedy}"


def _require_allowed(rules: Any, modules: Collection[str], place: Place) -> None:
    """Raises ConfigError for a rule whose function lies in none of these modules: before the model, which imports it, is made."""
    for name, rule in rules.items() if isinstance(rules, dict) else ():
        function = rule.get("function") if isinstance(rule, dict) else None
        try:
            require_allowed(str(function), modules)
        except ConfigError as error:
            raise ConfigError(f"{place(f'trading_rules.{name}')}: trading_rules.{name}: {error}") from None


def _check_items(config: StrategyConfig, place: Place) -> None:
    try:
        check_item_for_volatility(config.volatility_calculation.name_returns_attr_in_rawdata)
    except ConfigError as error:
        key = "volatility_calculation.name_returns_attr_in_rawdata"
        raise ConfigError(f"{place(key)}: {key}: {error}") from None
    for name, rule in config.trading_rules.items():
        try:
            check_rule(rule)
        except ConfigError as error:
            raise ConfigError(f"{place(f'trading_rules.{name}')}: trading_rules.{name}: {error}") from None
