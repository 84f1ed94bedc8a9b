"""Made-up weekly returns, and a comparison that counts missing values as figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def weekly(seed: int, rows: int, columns: int, *, gaps: float = 0.1, start: str = "2000-01-02") -> pd.DataFrame:
    """Correlated weekly returns; columns start one after the other and have gaps."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((rows, 1))
    values = rng.standard_normal((rows, columns)) + 0.7 * common + 0.05
    values[rng.random(values.shape) < gaps] = np.nan
    values[np.arange(rows)[:, None] < rng.integers(0, rows // 2, columns)] = np.nan
    return pd.DataFrame(values, index=pd.date_range(start, periods=rows, freq="W"), columns=[f"c{n}" for n in range(columns)])


def same(ours: Any, theirs: Any, tolerance: float = 1e-10) -> None:
    np.testing.assert_allclose(np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float), rtol=0, atol=tolerance)


def daily_pandl(seed: int) -> pd.DataFrame:
    """Daily P&L of three assets, with days of exactly 0 and days without figure."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        rng.standard_normal((900, 3)) * [1, 2, 5] + 0.05, index=pd.bdate_range("2000-01-03", periods=900), columns=list("abc")
    )
    return table.mask(rng.random(table.shape) < 0.1, 0.0).mask(rng.random(table.shape) < 0.05)
