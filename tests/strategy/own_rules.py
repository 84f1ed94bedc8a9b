"""Trading rules as a user writes them, good and bad; strategy files in tests name them by import path."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tradeflow_core.strategy import whole_table

NOT_A_FUNCTION = 3


def trend(price: pd.Series, vol: pd.Series, Lfast: int = 8, *, Lslow: int = 32) -> pd.Series:
    """One instrument at a time."""
    return (price.ewm(span=Lfast).mean() - price.ewm(span=Lslow).mean()) / vol.ffill()


@whole_table
def quick_trend(price: pd.DataFrame, vol: pd.DataFrame, Lfast: int = 8, *, Lslow: int = 32) -> pd.DataFrame:
    """All instruments at once."""
    return (price.ewm(span=Lfast).mean() - price.ewm(span=Lslow).mean()) / vol.ffill()


def known_days_only(price: pd.Series) -> pd.Series:
    """No forecast on days without price."""
    return price.dropna().diff()


def by_facts(price: pd.Series, rolls: float, code: str) -> pd.Series:
    """Uses what never changes about an instrument."""
    return price * 0.0 + rolls + (100.0 if code == "B" else 0.0)


def spoils_its_data(price: pd.Series) -> pd.Series:
    """Writes into what it was given."""
    price[:] = 1.0
    return price


@whole_table
def spoils_its_table(price: pd.DataFrame) -> pd.DataFrame:
    """Writes into what it was given."""
    price[:] = 1.0
    return price


def anything(*data: pd.Series, **arguments: float) -> pd.Series:
    """Takes whatever comes."""
    return data[0] * len(data) + sum(arguments.values())


def raises(price: pd.Series) -> pd.Series:
    """Fails for one instrument."""
    if price.name == "B":
        raise ZeroDivisionError("no luck")
    return price


def an_array(price: pd.Series) -> np.ndarray:
    return price.to_numpy()


def a_number(price: pd.Series) -> float:
    return float(price.iloc[-1])


def words(price: pd.Series) -> pd.Series:
    return price.astype(str)


def truths(price: pd.Series) -> pd.Series:
    return price > 0


def weekly(price: pd.Series) -> pd.Series:
    return price.resample("W").last()


def without_dates(price: pd.Series) -> pd.Series:
    return price.reset_index(drop=True)


def twice_a_day(price: pd.Series) -> pd.Series:
    return pd.concat([price, price])


@whole_table
def a_row_short(price: pd.DataFrame) -> pd.DataFrame:
    return price.iloc[1:]


@whole_table
def a_column_short(price: pd.DataFrame) -> pd.DataFrame:
    return price.iloc[:, 1:]


@whole_table
def a_column(price: pd.DataFrame) -> pd.Series:
    return price.iloc[:, 0]
