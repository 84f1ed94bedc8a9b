"""Whether a quote is good enough to trade on."""

from __future__ import annotations

from datetime import datetime, timedelta

from tradeflow_core.brokers import Quote
from tradeflow_core.home import ExecutionSettings


def quote_problem(quote: Quote, settings: ExecutionSettings, *, spread_cost: float, now: datetime) -> str:
    """Why a quote is not traded on, or an empty text: too old, crossed, or far wider than usual.

    `spread_cost`: half of the usual spread in price points; 0 where it is unknown, then the width is not judged. `now`: UTC.
    """
    name = f"quote of {quote.contract}"
    if now - quote.time > timedelta(seconds=settings.max_quote_age_seconds):
        return f"{name} is {(now - quote.time).total_seconds():.0f} s old (limit {settings.max_quote_age_seconds} s)"
    if quote.bid > quote.ask:
        return f"{name} is crossed: bid {quote.bid}, ask {quote.ask}"
    usual = 2 * spread_cost
    if usual > 0 and quote.ask - quote.bid > settings.max_spread_ratio * usual:
        return f"{name} is too wide: {quote.ask - quote.bid:g} points, usually {usual:g}"
    return ""


def known_price_problem(quote: Quote, decided_at: datetime | None) -> str:
    """Why the order waits for another price, or an empty text: the newest one was known when it was decided (UTC).

    Only a replay has quotes so old: a fill at them would be at a price that the decision knew.
    """
    if quote.priced_at is None or decided_at is None or quote.priced_at > decided_at:
        return ""
    return f"the newest price of {quote.contract}, of {quote.priced_at:%Y-%m-%d %H:%M} UTC, was known when the order was decided"


def price_problem(quote: Quote, reference: float, settings: ExecutionSettings) -> str:
    """Why the price is not traded on, or an empty text: it is too far from the `reference` price that the order was decided on."""
    distance = abs(quote.mid - reference)
    if distance > settings.max_price_change * abs(reference):
        return (
            f"price of {quote.contract} is {quote.mid:g}, the order was decided at {reference:g} "
            f"(max_price_change {settings.max_price_change:.0%})"
        )
    return ""
