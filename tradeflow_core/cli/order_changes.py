"""What a person changes of orders and executions: the commands of `tradeflow orders` that write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tradeflow_core import capital, execution
from tradeflow_core.cli.common import PRICE, WHOLE
from tradeflow_core.cli.mending import NEGATIVE, force_option, mending
from tradeflow_core.model import parse_contract

if TYPE_CHECKING:
    from tradeflow_core.desk import Desk
    from tradeflow_core.execution import ByHand, Mended

exec_id_option = click.option(
    "--exec-id", help="The broker's own number of it, so that it does not count again when it is reported."
)


@click.command()
@click.argument("order", type=WHOLE)
@mending
def cancel(desk: Desk, order: int, *, by: ByHand) -> Mended:
    """Cancel the instrument order ORDER: it is closed at once, and what works for it at the broker is cancelled there.

    A running stack handler cancels it at the broker with its next pass; where none runs, this command does, and says so. What is filled
    before that is booked all the same.

    \b
    tradeflow orders list
    tradeflow orders cancel 12 --why "the news of this morning"
    """
    return execution.cancel_by_hand(desk, order, by)


@click.command()
@click.argument("order", type=WHOLE)
@mending
def retry(desk: Desk, order: int, *, by: ByHand) -> Mended:
    """Have ORDER, which the broker has rejected, tried again at once instead of after its waiting time.

    \b
    tradeflow orders retry 12 --why "the broker has lifted its margin rule"
    """
    return execution.retry_by_hand(desk, order, by)


@click.command(context_settings=NEGATIVE)
@click.argument("strategy")
@click.argument("instrument")
@click.argument("quantity", type=WHOLE)
@click.option("--contract", help="Trade this contract, such as 202403.  [default: as the state of the roll says]")
@click.option("--spread", help="Trade two contracts together: NEAR:QUANTITY,FAR:QUANTITY, such as 202403:-2,202406:2.")
@click.option(
    "--limit", type=PRICE, help="At this price or better; of a spread: the price of the earlier contract less the later's."
)
@force_option
@mending
def manual(
    desk: Desk,
    strategy: str,
    instrument: str,
    *,
    quantity: int,
    contract: str | None,
    spread: str | None,
    limit: float | None,
    by: ByHand,
) -> Mended:
    """Order QUANTITY contracts (negative: sell) of INSTRUMENT for STRATEGY by hand; the stack handler works it within all limits.

    It ends with the day. An order of which locks, overrides and limits let nothing through now is refused, or with --force waits for them.
    STRATEGY may be one that was removed from the settings and still holds something.

    \b
    tradeflow orders manual trend_carry CORN 2 --why "hedge"
    tradeflow orders manual trend_carry CORN -1 --contract 202407 --limit 420 --why "out of the far one"
    tradeflow orders manual trend_carry CORN 0 --spread 202403:-2,202405:2 --why "roll early"
    """
    return execution.order_by_hand(
        desk,
        strategy,
        instrument,
        quantity=quantity,
        contract=None if contract is None else parse_contract(contract),
        spread=() if spread is None else execution.parse_spread(spread),
        limit=limit,
        by=by,
    )


@click.command(context_settings=NEGATIVE)
@click.argument("strategy")
@click.argument("instrument")
@click.argument("contract")
@click.argument("quantity", type=WHOLE)
@click.argument("price", type=PRICE)
@click.option("--time", help="When it was traded: 2024-01-31T14:30, in the zone of the desk.  [default: now]")
@click.option("--commission", help="What it cost, in the currency of the instrument.")
@force_option
@mending
def balance(
    desk: Desk,
    strategy: str,
    instrument: str,
    *,
    contract: str,
    quantity: int,
    price: float,
    time: str | None,
    commission: str | None,
    by: ByHand,
) -> Mended:
    """Book a trade that was made elsewhere: QUANTITY (negative: sold) of CONTRACT at PRICE, for STRATEGY. Nothing is sent.

    Shows positions here before and after beside the broker's, and is refused where they agree now and would not then. What the broker
    reports by itself needs no booking: `tradeflow positions assign` gives that to a strategy.

    \b
    tradeflow orders balance trend_carry CORN 202403 2 412.5 --why "traded by telephone"
    tradeflow orders balance trend_carry CORN 202403 -2 412.5 --time 2024-01-08T11:05 --commission 5.60 --why "the same back"
    """
    return execution.balance_by_hand(
        desk,
        strategy,
        instrument,
        contract=parse_contract(contract),
        quantity=quantity,
        price=price,
        time=None if time is None else execution.parse_time(desk, time),
        commission=None if commission is None else capital.parse_amount(commission, "--commission"),
        by=by,
    )


@click.command(context_settings=NEGATIVE)
@click.argument("reference")
@click.argument("quantity", type=WHOLE)
@click.argument("price", type=PRICE)
@click.option("--contract", "--leg", "contract", help="Which leg of a spread: its contract, such as 202403.")
@exec_id_option
@force_option
@mending
def fill(
    desk: Desk,
    reference: str,
    *,
    quantity: int,
    price: float,
    contract: str | None,
    exec_id: str | None,
    by: ByHand,
) -> Mended:
    """Book a fill of the broker order REFERENCE that the broker will never report: QUANTITY (negative: sold) at PRICE.

    Brokers report executions of the last day or so; look there first. Refused where positions agree with the broker's already, and where the
    broker reports executions that are not booked yet.

    \b
    tradeflow orders show 12         has the references of its broker orders
    tradeflow orders fill tf-0123456789abcdef -2 412.5 --exec-id 0000e1a7.01 --why "seen in the broker's statement"
    """
    return execution.fill_by_hand(
        desk,
        reference,
        quantity=quantity,
        price=price,
        contract=None if contract is None else parse_contract(contract),
        exec_id=exec_id,
        by=by,
    )


@click.command()
@click.argument("execution_number", metavar="EXEC_ID")
@exec_id_option
@force_option
@mending
def void(desk: Desk, execution_number: str, *, exec_id: str | None, by: ByHand) -> Mended:
    """Take the execution EXEC_ID back, from its orders and from positions: a bust, or something booked by mistake.

    \b
    tradeflow orders void hand-0123456789abcdef --why "booked twice"
    """
    return execution.void_by_hand(desk, execution_number, number=exec_id, by=by)


@click.command()
@click.argument("execution_number", metavar="EXEC_ID")
@click.option("--quantity", type=WHOLE, help="What was traded, signed.  [default: as it is booked]")
@click.option("--price", type=PRICE, help="At which price.  [default: as it is booked]")
@exec_id_option
@force_option
@mending
def correct(
    desk: Desk,
    execution_number: str,
    *,
    quantity: int | None,
    price: float | None,
    exec_id: str | None,
    by: ByHand,
) -> Mended:
    """Book the execution EXEC_ID anew with another quantity or price; both stay to be seen.

    \b
    tradeflow orders correct 0000e1a7.01 --price 412.25 --why "the broker's statement says so"
    """
    return execution.correct_by_hand(
        desk,
        execution_number,
        quantity=quantity,
        price=price,
        number=exec_id,
        by=by,
    )


COMMANDS: tuple[click.Command, ...] = (cancel, manual, balance, fill, void, correct, retry)
"""The commands of `tradeflow orders` that change something."""
