"""What a backtest could not do fully, instrument by instrument, and why: so that nobody reads too much into its figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tradeflow_core.instruments import Instrument, load_instruments
from tradeflow_core.plausibility import doubtful_facts, doubtful_history, doubtful_rates, rates_beside_futures
from tradeflow_core.strategy.backtest import Backtest

SHORT_HISTORY = 750
"""Daily prices, about three years: a rule of a year's speed has then seen three of its own periods."""

STALE_DAYS = 10
"""Business days without news: two weeks, longer than any holiday of an exchange."""

MANY_GAPS = 0.1
"""Share of business days without price; holidays alone are about 0.04."""

HIGH_COST = 0.01
"""Cost of a trade in units of annual risk above which an instrument is too dear (Carver, Systematic Trading, chapter 12)."""


@dataclass(frozen=True)
class Shortcoming:
    """One instrument and what is to be known about it; `kind` in a few words, `detail` a sentence."""

    instrument: str
    kind: str
    detail: str


def shortcomings(backtest: Backtest, cost_per_trade: pd.Series) -> list[Shortcoming]:
    """Everything worth knowing before trusting the figures, in the order of the instruments.

    What is not plausible in their prices, rates and tables; instruments that never had a position and why, short histories (below 750 daily
    prices), prices that end early, stand still or have many gaps, restrictions, costs that are unknown or high (above 0.01 of the annual
    risk a trade: Carver, Systematic Trading, chapter 12), days without FX rate, and rates that end early. `cost_per_trade`: in units of
    annual risk, by instrument.
    """
    packaged = load_instruments()
    notes = []
    for place, instrument in enumerate(backtest.instruments):
        facts = [
            *_of_files(backtest, instrument),
            *_of_plausibility(backtest, instrument, packaged.get(instrument)),
            *_of_prices(backtest, place),
            *_of_costs(backtest, instrument, float(cost_per_trade[instrument])),
            *_of_trading(backtest, place),
        ]
        notes += [Shortcoming(instrument, kind, detail) for kind, detail in facts]
    return notes


def _of_files(backtest: Backtest, instrument: str) -> list[tuple[str, str]]:
    """What the reader of its files noted, those of its rates included; costs have their own sentences."""
    pairs = {f"{currency}USD" for currency in (*backtest.data.instrument(instrument).currencies, backtest.config.base_currency)}
    return [
        (note.kind, note.detail)
        for note in backtest.data.notes
        if note.about in {instrument, *pairs} and note.kind != "no spread"
    ]


def _of_plausibility(backtest: Backtest, instrument: str, known: Instrument | None) -> list[tuple[str, str]]:
    """What its prices, its rates and its lines in the tables cannot well be."""
    data = backtest.data
    facts, multiple = data.instrument(instrument), data.multiple_prices[instrument]
    findings = doubtful_history(multiple, data.adjusted_prices[instrument])
    for currency in sorted({*facts.currencies, backtest.config.base_currency} - {"USD"}):
        if set(facts.currencies) != {backtest.config.base_currency} and (rates := data.fx.get(f"{currency}USD")) is not None:
            findings += doubtful_rates(currency, rates)
            for other in backtest.instruments:
                if data.instrument(other).is_on_currency(currency):
                    findings += rates_beside_futures(currency, rates, data.multiple_prices[other]["PRICE"])
    return [*((finding.kind, finding.detail) for finding in findings), *doubtful_facts(facts, multiple["PRICE"], known)]


def _of_prices(backtest: Backtest, place: int) -> list[tuple[str, str]]:
    panel = backtest.raw_data.daily_price
    rows = np.flatnonzero(~np.isnan(panel.array[:, place]))
    if not len(rows):
        return [("no prices", "There is no daily price since the start date.")]
    notes = []
    if len(rows) < SHORT_HISTORY:
        notes.append(("short history", f"{len(rows):,} daily prices, since {_date(panel.index[rows[0]])}."))
    prices = panel.array[rows, place]
    moves = np.flatnonzero(np.diff(prices))
    still = len(rows) - 1 - (int(moves[-1]) + 1 if len(moves) else 0)
    if still > STALE_DAYS:
        notes.append(
            (
                "price stands still",
                f"Its last {still + 1:,} daily prices, since {_date(panel.index[rows[-1 - still]])}, are all the same.",
            )
        )
    behind = len(panel.index) - 1 - int(rows[-1])
    if behind > STALE_DAYS:
        notes.append(
            ("prices end early", f"The last price is of {_date(panel.index[rows[-1]])}, {behind:,} business days before the end.")
        )
    missing = 1.0 - len(rows) / (rows[-1] - rows[0] + 1)
    if missing > MANY_GAPS:
        notes.append(("gaps", f"No price on {missing:.0%} of the business days between its first and last one."))
    return notes


def _of_costs(backtest: Backtest, instrument: str, per_trade: float) -> list[tuple[str, str]]:
    costs = backtest.data.instrument(instrument).costs
    has_commission = costs.per_block or costs.per_trade or costs.percentage
    if not (costs.spread_cost or has_commission):
        return [("no costs", "Neither spread nor commission is known: its net figures are gross.")]
    notes = []
    if not costs.spread_cost:
        notes.append(("no spread", "Its spread is not known: its costs are too low."))
    if not has_commission:
        notes.append(("no commission", "Its commission is not known: its costs are too low."))
    if per_trade > HIGH_COST:
        notes.append(
            (
                "high costs",
                f"A trade costs {per_trade:.2g} of its annual risk, more than {HIGH_COST}: check its spread, or leave it out.",
            )
        )
    return notes


def _of_trading(backtest: Backtest, place: int) -> list[tuple[str, str]]:
    instrument = backtest.instruments[place]
    lists = backtest.config.exclude_instrument_lists
    notes = [
        ("restricted", f"It is listed under {name}.")
        for name in ("bad_markets", "trading_restrictions")
        if instrument in getattr(lists, name)
    ]
    rows = backtest.accounts.positions.own_rows(place)
    rate = backtest.accounts.fx[rows, place]
    if np.isnan(rate).any():
        notes.append(
            (
                "no FX rate",
                f"On {int(np.isnan(rate).sum()):,} days it has no position, and its profit and loss cannot be converted.",
            )
        )
    series = backtest.raw_data.fx(instrument, backtest.config.base_currency)
    days = backtest.accounts.positions.index[rows]
    if series is not None and len(series) and len(days):
        last = pd.Timestamp(series.index[-1])
        behind = int(np.count_nonzero(days > last))
        if behind > STALE_DAYS:
            notes.append(("FX rate ends early", f"Its last rate, of {_date(last)}, is used for {behind:,} days after it."))
    why = _never_traded(backtest, place)
    return [*notes, ("never traded", why)] if why else notes


def _never_traded(backtest: Backtest, place: int) -> str:
    held = backtest.accounts.held.array[:, place]
    if np.any(np.nan_to_num(held) != 0):
        return ""
    subsystem = backtest.sizing.subsystem_position.array[:, place]
    wanted = backtest.portfolio.notional_position.array[:, place]
    if np.isnan(subsystem).all():
        return "It has too little history for a forecast and a volatility."
    if np.nanmax(np.abs(subsystem)) == 0:
        return "Its forecast was never different from 0."
    largest = np.nanmax(np.abs(wanted), initial=0.0)
    if largest == 0:
        return "Its weight in the portfolio is 0."
    return f"It never wanted more than {largest:.2f} contracts: the capital is too small for it."


def _date(stamp: pd.Timestamp) -> str:
    return f"{stamp:%-d %b %Y}"
