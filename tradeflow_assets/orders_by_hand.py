"""Orders and executions by hand, as `tradeflow orders` mends them: each job changes one and shows what that does."""

import dagster as dg
from pydantic import Field

from tradeflow_assets.by_hand import ByForce, Said, mend
from tradeflow_core.capital import parse_amount
from tradeflow_core.desk import Desk
from tradeflow_core.execution import (
    Mended,
    balance_by_hand,
    cancel_by_hand,
    correct_by_hand,
    fill_by_hand,
    order_by_hand,
    parse_spread,
    parse_time,
    retry_by_hand,
    void_by_hand,
)
from tradeflow_core.model import parse_contract


class Ordered(Said):
    """An instrument order."""

    order: int = Field(description="its id, as `tradeflow orders list` and the table instrument_orders show it")


class Manual(ByForce):
    """An order by hand."""

    strategy: str = Field(description="the strategy for which it is")
    instrument: str = Field(description="instrument code, such as GOLD_micro")
    quantity: int = Field(description="contracts, negative to sell; 0 for a flat spread")
    contract: str = Field(default="", description="such as 202403; empty: as the state of the roll says")
    spread: str = Field(default="", description="two contracts together, such as 202403:-2,202406:2")
    limit: float | None = Field(
        default=None, description="at this price or better; of a spread: the price of the earlier contract less the later's"
    )
    force: bool = Field(default=False, description="although nothing of it may be traded now: it waits until it may")


class Trade(ByForce):
    """A trade that was made elsewhere."""

    strategy: str = Field(description="the strategy for which it is booked")
    instrument: str = Field(description="instrument code, such as GOLD_micro")
    contract: str = Field(description="such as 202403")
    quantity: int = Field(description="contracts, negative for sold ones")
    price: float = Field(description="the price of it")
    time: str = Field(default="", description="when: 2024-01-31T14:30, in the zone of the desk; empty: now")
    commission: str = Field(default="", description="what it cost, in the currency of the instrument")


class Unreported(ByForce):
    """A fill of one of our broker orders that the broker never reports."""

    reference: str = Field(description="our reference of the broker order, such as tf-0123456789abcdef")
    quantity: int = Field(description="contracts, negative for sold ones")
    price: float = Field(description="the price of it")
    contract: str = Field(default="", description="which leg of a spread, such as 202403")
    exec_id: str = Field(default="", description="the broker's own number of it, so that it does not count again")


class Correction(ByForce):
    """An execution that is wrong."""

    exec_id: str = Field(description="its number, as `tradeflow orders show` and the table fills show it")
    quantity: int | None = Field(default=None, description="what was traded, signed; 0: it is voided; empty: as it is booked")
    price: float | None = Field(default=None, description="at which price; empty: as it is booked")
    number: str = Field(default="", description="the broker's own number of the correction")


@dg.op(description="Cancel an instrument order: closed at once, and what works for it at the broker is cancelled there.")
def cancel_one_order(context: dg.OpExecutionContext, config: Ordered, desk: dg.ResourceParam[Desk]) -> None:
    mend(context, config, lambda: cancel_by_hand(desk, config.order, config.by))


@dg.op(description="Have a rejected order tried again at once.")
def retry_one_order(context: dg.OpExecutionContext, config: Ordered, desk: dg.ResourceParam[Desk]) -> None:
    mend(context, config, lambda: retry_by_hand(desk, config.order, config.by))


@dg.op(description="Put an order on the stack, for today or for the next session.")
def make_order(context: dg.OpExecutionContext, config: Manual, desk: dg.ResourceParam[Desk]) -> None:
    def make() -> Mended:
        return order_by_hand(
            desk,
            config.strategy,
            config.instrument,
            quantity=config.quantity,
            contract=parse_contract(config.contract) if config.contract else None,
            spread=parse_spread(config.spread) if config.spread else (),
            limit=config.limit,
            by=config.by,
        )

    mend(context, config, make)


@dg.op(description="Book a trade that was made elsewhere for a strategy; nothing is sent.")
def book_trade(context: dg.OpExecutionContext, config: Trade, desk: dg.ResourceParam[Desk]) -> None:
    def book() -> Mended:
        return balance_by_hand(
            desk,
            config.strategy,
            config.instrument,
            contract=parse_contract(config.contract),
            quantity=config.quantity,
            price=config.price,
            time=parse_time(desk, config.time) if config.time else None,
            commission=parse_amount(config.commission, "commission") if config.commission else None,
            by=config.by,
        )

    mend(context, config, book)


@dg.op(description="Book a fill that the broker will never report.")
def book_unreported(context: dg.OpExecutionContext, config: Unreported, desk: dg.ResourceParam[Desk]) -> None:
    def book() -> Mended:
        contract = parse_contract(config.contract) if config.contract else None
        exec_id = config.exec_id or None
        return fill_by_hand(
            desk, config.reference, quantity=config.quantity, price=config.price, contract=contract, exec_id=exec_id, by=config.by
        )

    mend(context, config, book)


@dg.op(description="Take an execution back, or book it anew with another quantity or price.")
def put_right(context: dg.OpExecutionContext, config: Correction, desk: dg.ResourceParam[Desk]) -> None:
    def put() -> Mended:
        number = config.number or None
        if config.quantity == 0:
            return void_by_hand(desk, config.exec_id, number=number, by=config.by)
        return correct_by_hand(desk, config.exec_id, quantity=config.quantity, price=config.price, number=number, by=config.by)

    mend(context, config, put)


@dg.job(name="cancel_order", description="End an instrument order by hand, here and at the broker; enter its id, who and why.")
def cancel_order_job() -> None:
    cancel_one_order()


@dg.job(name="retry_order", description="Have an order that the broker rejected tried again at once; enter its id, who and why.")
def retry_order_job() -> None:
    retry_one_order()


@dg.job(name="manual_order", description="Order by hand for a strategy, within all limits; enter what, who and why.")
def manual_order_job() -> None:
    make_order()


@dg.job(
    name="balance_trade", description="Book a trade that was made elsewhere for a strategy; nothing is sent; enter who and why."
)
def balance_trade_job() -> None:
    book_trade()


@dg.job(name="book_fill", description="Book a fill of one of our orders that the broker never reports; enter who and why.")
def book_fill_job() -> None:
    book_unreported()


@dg.job(name="correct_execution", description="Void an execution that is wrong, or correct it; enter who and why.")
def correct_execution_job() -> None:
    put_right()


def definitions() -> dg.Definitions:
    """Everything of this group."""
    return dg.Definitions(
        jobs=[cancel_order_job, retry_order_job, manual_order_job, balance_trade_job, book_fill_job, correct_execution_job]
    )
