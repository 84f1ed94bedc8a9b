"""The story of an order, drawn as a tree with a table of what happened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.tree import Tree

from tradeflow_core.cli.common import console, print_table
from tradeflow_core.model import contract_label
from tradeflow_core.reports import fill_words, legs_words

if TYPE_CHECKING:
    from tradeflow_core.ledger import BookedFill
    from tradeflow_core.model import BrokerOrder, ContractOrder, InstrumentOrder
    from tradeflow_core.reports import ContractStory, OrderStory

STYLES = {
    "open": "cyan",
    "completed": "green",
    "filled": "green",
    "cancelled": "yellow",
    "rejected": "red",
    "unknown": "red",
}
"""Colours of statuses."""


def print_story(story: OrderStory) -> None:
    """The tree of an order and all below it, what holds it back, and what happened in order of time."""
    tree = Tree(_instrument_words(story.order))
    for contract in story.contract_orders:
        _add(tree, contract)
    console.print(tree, soft_wrap=True)
    if story.held_back:
        console.print(f"held back: {escape(story.held_back)}", soft_wrap=True)
    print_table("What happened (times are UTC)", story.timeline(), limit=1000)


def _add(tree: Tree, story: ContractStory) -> None:
    branch = tree.add(_contract_words(story.order))
    for sent in story.broker_orders:
        twig = branch.add(_broker_words(sent.order))
        for fill in sent.fills:
            twig.add(_fill_words(fill))


def _instrument_words(order: InstrumentOrder) -> str:
    limit = "" if order.limit_price is None else f", at {order.limit_price:g} or better"
    decided = ""
    if order.reference_price is not None and order.reference_contract is not None:
        at = f", {order.reference_time:%Y-%m-%d %H:%M} UTC" if order.reference_time else ""
        decided = f"; decided at {order.reference_price:g} ({contract_label(order.reference_contract)}{at})"
    return (
        f"[bold]order {order.id}[/bold] of {escape(order.strategy)} for {order.day}: {order.quantity:+d} {escape(order.instrument)} "
        f"({order.order_type}{limit}), {order.filled:+d} filled, {_status(order.status)}{decided}"
    )


def _contract_words(order: ContractOrder) -> str:
    limit = "" if order.limit_price is None else f" at {order.limit_price:g} or better"
    filled = "/".join(f"{leg.filled:+d}" for leg in order.legs)
    shares = ", ".join(f"{share.quantity:+d} for {escape(share.strategy)}" for share in order.shares)
    shared = f", together: {shares}" if len(order.shares) > 1 else ""
    follows = f", follows contract order {order.follows}" if order.follows else ""
    return (
        f"contract order {order.id}: {legs_words(order.legs)}{limit}, {filled} filled, {_status(order.status)}{shared}{follows}"
    )


def _broker_words(order: BrokerOrder) -> str:
    filled = "/".join(f"{leg.filled:+d}" for leg in order.legs)
    number = f", number {escape(order.broker_id)} there" if order.broker_id else ""
    reason = f" ({escape(order.reason)})" if order.reason else ""
    return (
        f"broker order {order.client_ref}: {legs_words(order.legs)}, {filled} filled, {_status(order.status)}{reason}; "
        f"sent {order.sent_at:%H:%M:%S} UTC{_quoted(order.bid, order.ask)}{number}"
    )


def _fill_words(fill: BookedFill) -> str:
    return "; ".join(_parts(fill))


def _parts(fill: BookedFill) -> Iterator[str]:
    words = f"execution {escape(fill.exec_id)} {fill.time:%H:%M:%S} UTC: {escape(fill_words(fill))}"
    yield (
        f"[strike]{words}[/strike]{_quoted(fill.bid, fill.ask)}" if fill.replaced_by else f"{words}{_quoted(fill.bid, fill.ask)}"
    )
    if fill.replaced_by:
        yield f"[yellow]in its place: {escape(fill.replaced_by)}[/yellow]"
    elif fill.quantity and fill.commission is None:
        yield "commission not told yet"
    elif fill.quantity:
        yield f"commission {fill.commission:.2f} {fill.currency}" + (
            f", told {fill.commission_at:%Y-%m-%d %H:%M} UTC" if fill.commission_at else ""
        )


def _quoted(bid: float | None, ask: float | None) -> str:
    return "" if bid is None or ask is None else f", quoted {bid:g} / {ask:g}"


def _status(status: str) -> str:
    style = STYLES.get(str(status), "bold")
    return f"[{style}]{status}[/{style}]"
