"""Which orders the paper exchange refuses, and why."""

from __future__ import annotations

import math
from datetime import datetime

from tradeflow_core.brokers.base import NoData, UnknownContract
from tradeflow_core.brokers.paper.book import FOREIGN
from tradeflow_core.brokers.paper.market import Market, has_expired
from tradeflow_core.model import Leg, OrderIntent, OrderType

ACCEPTED_TYPES = (OrderType.MARKET, OrderType.LIMIT, OrderType.LAST)
"""Types of orders that this exchange accepts."""


def refusal(market: Market, account: str, intent: OrderIntent, *, now: datetime) -> str:
    """Why the exchange of `account` refuses the order at `now`, or an empty text."""
    place = f"order {intent.client_ref} in {intent.instrument}"
    if not intent.client_ref or intent.client_ref.startswith(FOREIGN):
        return f"{place}: the reference is empty or begins with {FOREIGN!r}; give each order a reference of its own"
    if intent.account != account:
        return f"{place}: the account {intent.account} is not {account}"
    if intent.instrument not in market.instruments:
        return f"{place}: the instrument is not traded here"
    if not intent.legs or any(leg.quantity == 0 for leg in intent.legs):
        return f"{place}: a leg without quantity; give each leg a quantity that is not zero"
    if len({leg.contract for leg in intent.legs}) < len(intent.legs):
        return f"{place}: two legs in the same contract"
    for leg in intent.legs:
        if why := _refused_leg(market, intent, leg, now=now):
            return f"{place}: {why}"
    if intent.order_type not in ACCEPTED_TYPES:
        return f"{place}: orders of type {intent.order_type} are not accepted here; use {', '.join(ACCEPTED_TYPES)}"
    why = _refused_limit(intent)
    return f"{place}: {why}" if why else ""


def _refused_leg(market: Market, intent: OrderIntent, leg: Leg, *, now: datetime) -> str:
    try:
        spec = market.contract(intent.instrument, leg.contract, now)
        if intent.order_type is OrderType.LAST:
            market.mark(intent.instrument, leg.contract, now)
        elif has_expired(spec, now):
            return f"contract {leg.contract} expired on {spec.expiry}"
    except (UnknownContract, NoData) as error:
        return str(error)
    return ""


def _refused_limit(intent: OrderIntent) -> str:
    if intent.order_type is not OrderType.LIMIT:
        return ""
    if intent.limit_price is None or not math.isfinite(intent.limit_price):
        return "a limit order needs a limit price"
    if len(intent.legs) > 1 and (len(intent.legs) > 2 or sum(leg.quantity for leg in intent.legs) != 0):
        return "a limit price is defined for one leg, or for two of opposite and equal quantity"
    return ""
