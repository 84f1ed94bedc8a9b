"""Exchange rates out of stored series against the dollar."""

from __future__ import annotations

import logging
from datetime import date

import numpy as np
import pandas as pd
import pytest

from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.series import cross_rate


def rates(*values: float, start: str) -> pd.Series:
    return pd.Series(values, index=pd.date_range(start, periods=len(values), tz="UTC"), dtype=float)


STORED = {"GBPUSD": rates(1.2, 1.25, start="2024-01-01"), "EURUSD": rates(1.0, 1.1, start="2024-01-02")}


def test_a_rate_against_the_dollar_is_the_stored_one_and_the_other_way_round_its_inverse() -> None:
    assert cross_rate(STORED, "GBPUSD").tolist() == [1.2, 1.25]
    np.testing.assert_allclose(cross_rate(STORED, "USDGBP"), [1 / 1.2, 1 / 1.25])


def test_a_cross_rate_fills_both_sides_forward_and_begins_when_both_have_begun() -> None:
    cross = cross_rate(STORED, "GBPEUR")
    np.testing.assert_allclose(cross.to_numpy(), [np.nan, 1.25 / 1.0, 1.25 / 1.1])
    assert cross.index.is_monotonic_increasing


def test_a_currency_is_worth_one_of_itself_on_every_business_day() -> None:
    ones = cross_rate(STORED, "GBPGBP", today=date(2024, 1, 7))
    assert (ones == 1.0).all()
    assert (ones.index[0], ones.index[-1]) == (pd.Timestamp("1970-01-01", tz="UTC"), pd.Timestamp("2024-01-05", tz="UTC"))
    assert cross_rate(STORED, "USDUSD").index[-1] == pd.Timestamp("2024-01-03", tz="UTC")
    with pytest.raises(DataError, match="no day"):
        cross_rate({}, "USDUSD")


def test_a_missing_source_is_a_warning_and_an_empty_series(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert cross_rate(STORED, "JPYGBP").empty
    assert "JPYUSD" in caplog.text


@pytest.mark.parametrize("code", ["GBP", "gbpusd", "GBP/USD", "", None])
def test_a_malformed_code_is_refused(code: str) -> None:
    with pytest.raises(ConfigError, match="six"):
        cross_rate(STORED, code)
