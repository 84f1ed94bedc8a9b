"""A strategy file is read whole or refused with the place of its mistake."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.conftest import SHARED, needs_shared
from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy import StrategyConfig, load_strategy, packaged_strategies, strategy_from_dict
from tradeflow_core.strategy.config.compat import EXPLANATIONS, Correction
from tradeflow_core.strategy.config.reference_names import rule_name
from tradeflow_core.strategy.rules import RULES as RULES_BY_NAME

RULES = """\
trading_rules:
  trend:
    function: ewmac
    data: [daily_price, daily_returns_volatility]
    other_args: {Lfast: 8, Lslow: 32}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "strategy.yaml"


def load(file: Path, text: str) -> StrategyConfig:
    file.write_text(text)
    return load_strategy(file)


def refusal(file: Path, text: str) -> str:
    with pytest.raises(ConfigError) as refused:
        load(file, text)
    assert str(file) in str(refused.value)
    return str(refused.value)


def test_settings_that_are_not_given_have_their_defaults(file: Path) -> None:
    config = load(file, RULES)
    assert (config.percentage_vol_target, config.buffer_size, config.forecast_cap) == (16.0, 0.1, 20.0)
    assert config.compat == "pst"


def test_mappings_are_merged_key_by_key_and_a_null_is_the_default(file: Path) -> None:
    config = load(file, RULES + "volatility_calculation: {days: 60}\nbuffer_size:\n")
    assert config.volatility_calculation.days == 60
    assert config.volatility_calculation.slow_vol_years == 10
    assert config.buffer_size == 0.1


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_valid_one(file: Path) -> None:
    message = refusal(file, RULES + "bufer_size: 0.1\n")
    assert "line 6" in message
    assert "bufer_size" in message
    assert "nearest: buffer_size" in message


def test_broken_yaml_is_refused_with_its_line(file: Path) -> None:
    assert "line 7" in refusal(file, RULES + "a: 1\n b: 2\n")


def test_a_key_given_twice_is_refused(file: Path) -> None:
    message = refusal(file, RULES + "buffer_size: 0.1\nforecast_cap: 20\nbuffer_size: 0.2\n")
    assert "buffer_size" in message
    assert "line 8" in message
    assert "line 6" in message


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words"])
def test_a_file_that_is_not_a_mapping_is_refused(file: Path, text: str) -> None:
    assert "mapping" in refusal(file, text)


def test_a_file_that_does_not_exist_is_named(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"strategy\.yaml cannot be read"):
        load_strategy(file)


def test_a_strategy_without_rules_is_refused(file: Path) -> None:
    assert "trading_rules is missing" in refusal(file, "buffer_size: 0.1\n")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("percentage_vol_target: -5", "percentage_vol_target"),
        ("percentage_vol_target: much", "percentage_vol_target"),
        ("buffer_method: sometimes", "buffer_method"),
        ("base_currency: dollars", "base_currency"),
        ("forecast_floor: 30", "forecast_floor"),
        ("volatility_calculation: {func: guess}", "estimators are mixed_vol"),
        ("volatility_calculation: {dais: 3}", "volatility_calculation.dais"),
    ],
)
def test_a_wrong_value_is_named(file: Path, line: str, named: str) -> None:
    assert named in refusal(file, RULES + line + "\n")


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("function: ewmac", "function: ewmack", "ewmack is not a trading rule"),
        ("Lfast: 8", "Lquick: 8", "no argument Lquick; it takes Lfast, Lslow"),
        ("daily_price,", "dayly_price,", "nearest: daily_price"),
    ],
)
def test_a_mistake_in_a_rule_is_named(file: Path, old: str, new: str, *, named: str) -> None:
    message = refusal(file, RULES.replace(old, new))
    assert named in message
    assert "trend" in message


def test_a_flag_may_be_written_as_text(file: Path) -> None:
    assert load(file, RULES + "use_forecast_scale_estimates: 'True'\n").use_forecast_scale_estimates
    assert not load(file, RULES + "use_forecast_scale_estimates: f\n").use_forecast_scale_estimates
    assert "use_SR_costs" in refusal(file, RULES + "use_SR_costs: perhaps\n")


def test_part_of_an_estimate_keeps_the_other_defaults(file: Path) -> None:
    text = RULES + "instrument_weight_estimate: {method: shrinkage, func: some.function}\n"
    assert load(file, text).instrument_weight_estimate.method == "shrinkage"
    assert load(file, text).instrument_weight_estimate.rollyears == 20


def test_an_unknown_setting_of_an_estimate_is_named(file: Path) -> None:
    assert "instrument_weight_estimate.metod" in refusal(file, RULES + "instrument_weight_estimate: {metod: shrinkage}\n")
    assert "risk_overlay.max_risk_fraction_normal_risk" in refusal(file, RULES + "risk_overlay: {max_risk_leverage: 20}\n")


def test_single_corrections_may_be_chosen(file: Path) -> None:
    config = load(file, RULES + "compat: [flat_stays_flat]\n")
    assert config.corrections == {Correction.FLAT_STAYS_FLAT}
    assert load(file, RULES + "compat: fixed\n").corrections == frozenset(Correction) == frozenset(EXPLANATIONS)
    assert "compat" in refusal(file, RULES + "compat: [flat_stay_flat]\n")


def test_names_of_pysystemtrade_are_ours(file: Path) -> None:
    text = RULES.replace("ewmac\n", "systems.provided.rules.ewmac.ewmac\n")
    text = text.replace("[daily_price, daily_returns_volatility]", "[rawdata.get_daily_prices, rawdata.daily_returns_volatility]")
    assert load(file, text).trading_rules == load(file, RULES).trading_rules


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("systems.provided.rules.ewmac.ewmac", "ewmac"),
        ("systems.provided.rules.ewmac.carry2", "carry"),
        ("systems.provided.futures_chapter15.rules.ewmac", "ewmac"),
        ("systems.provided.futures_chapter15.rules.ewmac_calc_vol", "ewmac_calc_vol"),
        ("systems.provided.futures_chapter15.rules.carry2", "carry"),
        ("systems.provided.example.rules.ewmac_forecast_with_defaults", "ewmac_calc_vol"),
        ("systems.provided.moretradingrules.morerules.short_bias", "short_bias"),
        ("systems.provided.moretradingrules.morerules.breakout", "breakout"),
        ("systems.somewhere.else.relative_momentum", "relative_momentum"),
        ("ewmac.ewmac", "ewmac"),
        ("mine.ewmac", "mine.ewmac"),
        ("my_systems.rules.ewmac", "my_systems.rules.ewmac"),
    ],
)
def test_older_files_name_a_rule_by_another_path(path: str, rule: str) -> None:
    assert rule_name(path) == rule


@needs_shared("reference", "functions.csv")
def test_every_path_that_is_known_of_a_rule_is_one_of_our_rules() -> None:
    with (SHARED / "reference" / "functions.csv").open() as lines:
        paths = [row["function"] for row in csv.DictReader(lines) if row["function"].startswith("systems.")]
    assert len(paths) > 20 and {path: rule_name(path) for path in paths if rule_name(path) not in RULES_BY_NAME} == {}


def test_a_function_of_pysystemtrade_that_is_unknown_is_told_once_with_the_nearest_ones(file: Path) -> None:
    rules = "".join(
        f"  {name}:\n    function: systems.provided.older.{function}\n    data: [daily_price]\n"
        for name, function in (("slow", "ewmac_calc"), ("fast", "ewmac_calc"), ("other", "zigzag"))
    )
    told = refusal(file, f"trading_rules:\n{rules}").splitlines()
    assert len(told) == 2
    assert (
        "line 2: trading_rules.slow, trading_rules.fast: systems.provided.older.ewmac_calc is no rule of pysystemtrade" in told[0]
    )
    assert "(nearest: ewmac_calc_vol, ewmac" in told[0] and "trading_rules.other: systems.provided.older.zigzag" in told[1]
    with pytest.raises(ConfigError, match=r"systems\.provided\.older\.zigzag is no rule of pysystemtrade"):
        strategy_from_dict({"trading_rules": {"other": {"function": "systems.provided.older.zigzag"}}})


def test_a_package_that_bears_the_name_of_theirs_is_the_users_where_it_was_allowed(file: Path) -> None:
    text = "trading_rules:\n  mine: {function: systems.mine.zigzag, data: [daily_price]}\n"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"systems\.mine\.zigzag cannot be imported"):
        load_strategy(file, rule_modules=["systems.mine"])


def test_keys_that_matter_only_elsewhere_are_ignored(file: Path) -> None:
    assert load(file, RULES + "rule_groups: {all: [trend]}\nmongo_host: somewhere\n") == load(file, RULES)


@pytest.mark.parametrize("name", packaged_strategies())
def test_every_packaged_strategy_loads_with_known_flaws_corrected(name: str) -> None:
    assert load_strategy(packaged_strategies()[name]).compat == "fixed"


def test_there_is_a_packaged_trend_and_carry_strategy() -> None:
    assert "static_trend_carry" in packaged_strategies()


@needs_shared("golden", "pst_defaults.yaml")
def test_the_defaults_of_pysystemtrade_are_all_accepted(file: Path) -> None:
    config = load(file, RULES + (SHARED / "golden" / "pst_defaults.yaml").read_text())
    ours = load(file, RULES)
    different = {name for name in StrategyConfig.model_fields if getattr(config, name) != getattr(ours, name)}
    assert different <= {"long_only_instruments", "duplicate_instruments", "exclude_instrument_lists"}


def test_a_strategy_may_be_based_on_another(file: Path) -> None:
    (file.parent / "base.yaml").write_text(RULES + "buffer_size: 0.2\nforecast_cap: 15\n")
    config = load(file, "base_config: base.yaml\nforecast_cap: 25\n")
    assert (config.buffer_size, config.forecast_cap) == (0.2, 25)
    assert load(file, "base_config: static_trend_carry\n").trading_rules


def test_strategies_that_are_based_on_each_other_are_refused(file: Path) -> None:
    (file.parent / "base.yaml").write_text(f"base_config: {file.name}\n")
    with pytest.raises(ConfigError, match=r"base\.yaml, line 1: base_config strategy\.yaml leads back"):
        load(file, "base_config: base.yaml\n")
    with pytest.raises(ConfigError, match=r"absent\.yaml cannot be read"):
        load(file, "base_config: absent.yaml\n")
