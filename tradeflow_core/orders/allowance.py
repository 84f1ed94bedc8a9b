"""What may be traded: the one place that asks every control of an instrument, when orders are made and again before one is sent.

A stop, a lock, an override, position limits of a strategy and of the whole instrument, and trade limits, as `standing.py` reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tradeflow_core.model import ROLLS, ContractOrder, Leg, Override, OverrideKind, Share
from tradeflow_core.orders.sizing import apply_override, apply_position_limits, cut_to_caps, cut_to_total
from tradeflow_core.orders.standing import AtWork, Standing

OFFERED_LESS = "the market offers fewer contracts than are left"


@dataclass(frozen=True, slots=True)
class Allowance:
    """The quantities of the legs that may be traded, and why they are less than what was asked (empty if they are not)."""

    quantities: tuple[int, ...]
    why: str = ""


def allowed_change(standing: Standing, trade: int) -> tuple[int, str]:
    """The change of the strategy's position that override and position limits leave of `trade`, and the reason where it is another one.

    A position beyond its limit is brought back, so that a trade of 0 may become a reduction. Stop and lock are not asked.
    """
    overridden = apply_override(standing.position, trade, standing.override)
    allowed = apply_position_limits(
        standing.position,
        standing.instrument_position,
        overridden,
        strategy_limit=standing.strategy_limit,
        instrument_limit=standing.instrument_limit,
        own_on_the_way=standing.own_on_the_way,
        all_on_the_way=standing.all_on_the_way,
    )
    if allowed == trade:
        return trade, ""
    if overridden != trade:
        return allowed, f"override {standing.override.kind} ({standing.override.why})"
    return allowed, "position limit"


def allowed_now(standing: Standing, strategy: str, legs: Sequence[Leg], *, sizes: Sequence[int]) -> Allowance:
    """The quantities of `legs` (what remains of them) that may be sent now. `sizes`: contracts on offer for each leg.

    A spread whose legs add up to nothing, or the roll of a position, leaves the position in the instrument as it is: only stop, lock, an
    override that forbids all trading and trade limits hold it back. Another spread must be within all limits in full. Trade limits count
    every leg.
    """
    wanted = tuple(leg.remaining for leg in legs)
    nothing = (0,) * len(wanted)
    if standing.stop:
        return Allowance(nothing, f"trading is stopped ({standing.stop})")
    if standing.lock:
        return Allowance(nothing, f"locked ({standing.lock})")
    if standing.override.kind is OverrideKind.NO_TRADING:
        return Allowance(nothing, f"override {standing.override.kind} ({standing.override.why})")
    quantities, why = wanted, ""
    if len(wanted) == 1:
        change, why = _change_now(standing, strategy, wanted[0])
        quantities = (change,)
    elif strategy != ROLLS and sum(leg.quantity for leg in legs) != 0:
        net = sum(wanted)
        change, why = _change_now(standing, strategy, net)
        if change != net:
            return Allowance(nothing, why)
    if standing.tradeable is not None and sum(map(abs, quantities)) > standing.tradeable:
        quantities, why = cut_to_total(quantities, standing.tradeable), "trade limit"
    if any(quantities) and (offered := cut_to_caps(quantities, tuple(sizes))) != quantities:
        quantities, why = offered, OFFERED_LESS if any(offered) else "no size quoted"
    return Allowance(quantities, why)


def allowed_for(at_work: AtWork, order: ContractOrder, sizes: Sequence[int]) -> Allowance:
    """The quantities of the legs of a contract order that may be sent now, for everybody it works for. `sizes`: contracts on offer.

    Where it works for several instrument orders, as much of it as every one of them allows for its share.
    """
    if len(order.shares) == 1:
        standing = at_work.standing(order.strategies[0], order.instrument)
        return allowed_now(standing, order.strategies[0], order.legs, sizes=sizes)
    (leg,) = order.legs
    tightest = Allowance((leg.remaining,))
    for share in order.shares:
        standing = at_work.standing(share.strategy, order.instrument)
        own = allowed_now(standing, share.strategy, [_leg_of(share, leg)], sizes=[abs(leg.remaining)])
        total = abs(own.quantities[0] * leg.quantity) // abs(share.quantity)
        if total < abs(tightest.quantities[0]):
            tightest = Allowance((total if leg.remaining > 0 else -total,), f"{share.strategy}: {own.why}")
    offered = cut_to_caps(tightest.quantities, tuple(sizes))
    return tightest if offered == tightest.quantities else Allowance(offered, OFFERED_LESS if any(offered) else "no size quoted")


def _leg_of(share: Share, leg: Leg) -> Leg:
    return Leg(leg.contract, share.quantity, share.filled)


def _change_now(standing: Standing, strategy: str, trade: int) -> tuple[int, str]:
    """As `allowed_change`, but never more than `trade` nor against it: an order is only ever cut."""
    change, why = allowed_change(_at_work(standing, strategy), trade)
    cut = max(0, min(trade, change)) if trade > 0 else min(0, max(trade, change))
    return cut, why if cut != trade else ""


def _at_work(standing: Standing, strategy: str) -> Standing:
    """The standing with what still holds for an order that was made within its controls.

    A fraction was applied to the optimal position when the order was made; one of zero lets the order only reduce. A roll has no position of
    its own.
    """
    if strategy == ROLLS:
        return replace(standing, position=0, override=Override(), strategy_limit=None)
    if standing.override.closes or standing.reduce_only:
        override = Override(OverrideKind.REDUCE_ONLY, 1.0, standing.override.why)
        return replace(standing, position=_left_to_reduce(standing), override=override)
    return replace(standing, override=Override())


def _left_to_reduce(standing: Standing) -> int:
    """The part of the strategy's position that its orders on the way do not close already."""
    if standing.position > 0:
        return max(standing.position + standing.own_on_the_way.selling, 0)
    return min(standing.position + standing.own_on_the_way.buying, 0)
