"""Trading rules: what they say of simple price paths."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy.common.volatility import level_vol, mixed_vol, robust_vol
from tradeflow_core.strategy.rules import RULES


def series(path: Callable[[np.ndarray], np.ndarray], days: int = 600) -> pd.Series:
    return pd.Series(path(np.arange(days, dtype=float)), index=pd.bdate_range("2020-01-01", periods=days))


def test_a_rising_price_is_a_long_trend_and_a_falling_one_short() -> None:
    vol = series(np.ones_like)
    assert RULES["ewmac"](series(lambda day: 100 + day), vol).iloc[-1] > 0
    assert RULES["ewmac"](series(lambda day: 1000 - day), vol).iloc[-1] < 0


def test_breakout_is_twenty_at_the_top_of_the_range() -> None:
    top = RULES["breakout"](series(lambda day: 100 + day), lookback=40, smooth=1)
    assert top.iloc[-1] == pytest.approx(20.0)


def test_breakout_of_a_price_that_never_moved_says_nothing() -> None:
    assert RULES["breakout"](series(lambda day: 0 * day + 100), lookback=40).isna().all()


def test_breakout_must_be_smoothed_over_less_than_its_window() -> None:
    with pytest.raises(ConfigError, match="smooth 10 must be shorter than lookback 10"):
        RULES["breakout"](series(np.ones_like), lookback=10, smooth=10)


def test_a_market_that_is_its_whole_class_has_no_relative_carry() -> None:
    carry = series(np.sin)
    assert (RULES["relative_carry"](carry, carry) == 0.0).all()


def noise(days: int = 600, seed: int = 1) -> pd.Series:
    return pd.Series(np.random.default_rng(seed).normal(0, 1, days), index=pd.bdate_range("2020-01-01", periods=days))


@pytest.mark.parametrize("rule", ["ewmac", "accel", "mr_wings"])
@pytest.mark.parametrize("scale", [0.001, 7.0])
def test_a_rule_on_price_and_volatility_does_not_depend_on_the_size_of_the_price(rule: str, scale: float) -> None:
    price = noise().cumsum() + 500.0
    vol = noise(seed=2).abs() + 1.0
    pd.testing.assert_series_equal(RULES[rule](price * scale, vol * scale), RULES[rule](price, vol))


@pytest.mark.parametrize("shift", [-600.0, 5000.0])
def test_trend_and_breakout_do_not_depend_on_the_level_of_an_adjusted_price(shift: float) -> None:
    price, vol = noise().cumsum() + 500.0, noise(seed=2).abs() + 1.0
    pd.testing.assert_series_equal(RULES["ewmac"](price + shift, vol), RULES["ewmac"](price, vol), atol=1e-9)
    pd.testing.assert_series_equal(RULES["breakout"](price + shift, 40), RULES["breakout"](price, 40), atol=1e-9)


def test_breakout_stays_within_twenty() -> None:
    assert RULES["breakout"](noise().cumsum(), 20).abs().max() <= 20.0


def test_breakout_judges_a_series_shorter_than_its_window_only_if_told_so() -> None:
    short = series(lambda day: 100 + day, days=4)
    assert RULES["breakout"](short, 10).notna().iloc[-1]
    assert RULES["breakout"](short, 10, judge_short=False).isna().all()


def test_wings_are_flat_inside_and_against_the_trend_outside() -> None:
    vol = series(np.ones_like)
    price = noise().cumsum()
    price.iloc[400:410] += np.linspace(0, 60, 10)
    price.iloc[410:] += 60.0
    wings = RULES["mr_wings"](price, vol)
    assert (wings.iloc[100:400] == 0.0).mean() > 0.95
    assert wings.iloc[405:412].min() < 0


def test_a_level_is_a_volatility_of_its_own_only_in_the_reference() -> None:
    path = noise().cumsum() + 500.0
    own = RULES["ewmac_calc_vol"](path, 16, 64)
    pd.testing.assert_series_equal(own, RULES["ewmac"](path, robust_vol(path), 16, 64))
    changes = RULES["ewmac_calc_vol"](path, 16, 64, vol_of_changes=True)
    pd.testing.assert_series_equal(changes, RULES["ewmac"](path, robust_vol(path.diff()), 16, 64))


def test_the_volatility_of_changes_is_known_for_a_price_of_every_other_day() -> None:
    sparse = noise().cumsum().where(np.arange(600) % 2 == 0)
    assert level_vol(sparse, of_changes=True).iloc[-1] == pytest.approx(np.sqrt(2), rel=0.5)


def test_a_condition_turns_a_factor_round_and_keeps_its_last_sign_where_it_is_missing() -> None:
    factor, condition = noise(), series(lambda day: np.where(day < 300, 1.0, -1.0))
    plain = RULES["factor_trading_rule"](factor, smooth=1)
    turned = RULES["conditioned_factor_trading_rule"](factor, condition.where(np.arange(600) % 7 > 0), smooth=1)
    pd.testing.assert_series_equal(turned.iloc[310:], -plain.iloc[310:])
    pd.testing.assert_series_equal(turned.iloc[20:300], plain.iloc[20:300])


def test_a_factor_on_a_neutral_condition_is_flat() -> None:
    flat = RULES["conditioned_factor_trading_rule"](noise(), 0.0 * noise(), smooth=1)
    assert (flat.dropna() == 0.0).all()


def test_longs_and_shorts_by_decree_cover_every_day() -> None:
    assert (RULES["long_bias"](noise()) == 10.0).all()
    assert (RULES["short_bias"](noise()) == -10.0).all()


def test_volatility_filled_backwards_is_known_from_the_first_day_on() -> None:
    assert mixed_vol(noise(), backfill=True).notna().all()
    assert mixed_vol(noise(), backfill=False).isna().sum() == 9
    assert robust_vol(noise(), backfill=True).notna().all()


def test_robust_volatility_does_not_fall_below_its_floor() -> None:
    changes = noise() * np.linspace(1.0, 0.1, 600)
    floored, plain = robust_vol(changes), robust_vol(changes, vol_floor=False)
    assert (floored.dropna() >= plain.dropna()).all()
    assert (floored > plain).sum() > 20
