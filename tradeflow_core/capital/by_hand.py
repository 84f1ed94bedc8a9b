"""What a person says about the account: what it would do to the capital is worked out and checked first, and recorded then.

Each function here makes a `CapitalChange` without recording it; `record_change` records it, if nothing else was recorded meanwhile.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal

from tradeflow_core.capital.books import Books, CapitalChange, CapitalNow, flow_in_words
from tradeflow_core.capital.jump import CapitalJump, ValueState
from tradeflow_core.capital.total import update_total_capital
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.ledger import MOST_MONEY, account_value_history, capital_events_of, record_capital_event
from tradeflow_core.model import CapitalEvent, CapitalEventKind

_AMOUNT = re.compile(r"[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d{1,2})?", re.ASCII)


def parse_amount(word: str, name: str = "AMOUNT") -> Decimal:
    """An amount of money in base currency: `25000`, `-10,000.50`. Raises ConfigError for anything else, and beyond what money can be."""
    text = word.strip()
    if not _AMOUNT.fullmatch(text):
        raise ConfigError(f"{name} {word!r} is no amount of money; write digits, such as 25000 or -10,000.50")
    amount = Decimal(text.replace(",", ""))
    if abs(amount) > MOST_MONEY:
        raise ConfigError(f"{name} {word!r} is more than {MOST_MONEY:,.0f}; there is no such account")
    return amount


def parse_when(desk: Desk, word: str) -> date | datetime:
    """A day, `2024-01-31`, or a time, `2024-01-31T14:30`, in the zone of the desk unless it names another. Raises ConfigError for anything else."""
    try:
        if len(word) == len("2024-01-31"):
            return date.fromisoformat(word)
        time = datetime.fromisoformat(word)
    except ValueError as error:
        raise ConfigError(f"{word!r} is no day or time; write it as 2024-01-31 or 2024-01-31T14:30") from error
    return (time if time.tzinfo else time.replace(tzinfo=desk.settings.zone)).astimezone(UTC)


def capital_now(desk: Desk) -> CapitalNow:
    """What the capital is. Raises StateError before the first account value."""
    return Books(desk).now()


def accept_value(desk: Desk, *, value: float | None = None) -> CapitalChange:
    """The newest account value, which jumped, is right: the change counts as profit or loss.

    `value`: the account value that is meant, to the nearest whole. Raises StateError where none waits, where another one does, and where
    the change is not the account's but that of a flow which does not fit.
    """
    books = Books(desk)
    jump = books.waiting(value)
    if not jump.acceptable:
        raise StateError(f"this cannot be accepted: {jump.message}")
    return books.change(f"accept {_of(jump)}", books.says(CapitalEventKind.ACCEPT, jump.value, jump.time))


def refuse_value(desk: Desk, *, value: float | None = None) -> CapitalChange:
    """The newest account value, which jumped, is wrong: it never counts, and the next one is compared with the last that did.

    If that is near the last one again, it counts as always; if it is as far away as this one, it waits for a person again. Raises StateError
    as `accept_value` does.
    """
    books = Books(desk)
    jump = books.waiting(value)
    warnings = []
    if not jump.acceptable:
        warnings.append(f"it is a flow that does not fit, rather than a wrong account value: {jump.message}")
    return books.change(f"refuse {_of(jump)}", books.says(CapitalEventKind.REFUSE, jump.value, jump.time), warnings=warnings)


def record_flow(
    desk: Desk, amount: Decimal, *, at: date | datetime | None = None, total: Decimal | None = None, force: bool = False
) -> CapitalChange:
    """Money was paid in (positive) or out (negative): the change of the account by so much is no profit.

    `at`: when it came or went, a time, or a day of the desk, of which the account value is taken that shows it best (default: the newest account
    value shows it). It has to explain what the account did then. Capital stays, unless `total` says what it is from now on; where a withdrawal
    leaves it clearly above the account value, that has to be said. `force` takes a flow that the account does not show clearly, but never one
    that would make a jump. Raises ConfigError or StateError for a flow that cannot be right.
    """
    books = Books(desk)
    if not amount:
        raise ConfigError("AMOUNT is 0; give what was paid in, or with a minus sign what was paid out")
    new = books.says(CapitalEventKind.FLOW, amount, books.time_of(amount, at))
    more = () if total is None else (books.says(CapitalEventKind.TOTAL, _positive(total, "--total"), books.newest, number=2),)
    books.require_fit(new, force=force)
    change = books.change(f"record {flow_in_words(new.amount)} at {new.time:%Y-%m-%d %H:%M} UTC", new, *more)
    if amount < 0 and total is None and not force and books.too_much(change.after):
        raise StateError(
            f"the capital would stay {change.after.capital:,.0f}, with an account of {change.after.backing:,.0f} only, and positions are sized "
            f"by the capital; say what it is from now on, for example `--total {change.after.backing:.0f}`, or keep it with --force"
        )
    books.require_backed(change, force=force)
    return change


def void_event(desk: Desk, number: int, *, force: bool = False) -> CapitalChange:
    """Take an earlier event back: capital is then what it would be without it.

    `force`: although that makes the capital clearly more than the account value. Raises StateError for an event that there is not, or that
    was taken back already.
    """
    books = Books(desk)
    old = books.event(number)
    change = books.change(f"take back {_named(old)}", books.says(CapitalEventKind.VOID, Decimal(0), old.time, voids=number))
    books.require_backed(change, force=force)
    return change


def correct_event(desk: Desk, number: int, amount: Decimal, *, force: bool = False) -> CapitalChange:
    """Replace the amount of an earlier flow, or of a figure that was set. Checks and errors are those of the event itself."""
    books = Books(desk)
    old = books.event(number)
    if old.kind in (CapitalEventKind.ACCEPT, CapitalEventKind.REFUSE, CapitalEventKind.VOID):
        raise StateError(f"{_named(old)} has no amount to correct; take it back with `tradeflow capital void {number}`")
    new = books.says(old.kind, amount if old.kind == CapitalEventKind.ACCUMULATED else _nonzero(amount), old.time, voids=number)
    if old.kind == CapitalEventKind.FLOW:
        books.require_fit(new, force=force)
    elif old.kind != CapitalEventKind.ACCUMULATED:
        _positive(amount, "AMOUNT")
    change = books.change(f"correct {_named(old)}: {amount:+,.2f}", new)
    books.require_backed(change, force=force)
    return change


def set_capital(
    desk: Desk,
    *,
    total: Decimal | None = None,
    maximum: Decimal | None = None,
    accumulated: Decimal | None = None,
    force: bool = False,
) -> CapitalChange:
    """Say what the capital is from the newest account value on: `total` (default: that account value), `maximum` (the high-water mark; default:
    the total), `accumulated` (profit so far; default: as it is). A jump that waits is settled by it, and is no profit or loss.

    `force`: although the total is clearly more than the account value. Raises ConfigError for figures that exclude each other, StateError
    where the newest account value was refused.
    """
    books = Books(desk)
    now = books.now()
    if now.state == ValueState.REFUSED:
        raise StateError("the newest account value was refused; set the capital when the next one has come")
    wanted = Decimal(f"{now.account:.2f}") if total is None else total
    if maximum is not None and maximum < _positive(wanted, "--total"):
        raise ConfigError(
            f"--maximum {maximum:,.2f} is below the total capital of {wanted:,.2f}; it is the highest that it ever was"
        )
    figures = {
        CapitalEventKind.TOTAL: _positive(wanted, "--total"),
        CapitalEventKind.MAXIMUM: maximum,
        CapitalEventKind.ACCUMULATED: accumulated,
    }
    said = [
        books.says(kind, amount, books.newest, number=number)
        for number, (kind, amount) in enumerate(figures.items(), start=1)
        if amount is not None
    ]
    warnings = [f"the change of {now.jump.profit:+,.0f} that waits is no profit or loss"] if now.jump else []
    change = books.change(f"set {', '.join(f'{event.kind} {event.amount:,.2f}' for event in said)}", *said, warnings=warnings)
    books.require_backed(change, force=force)
    return change


def record_change(desk: Desk, change: CapitalChange, *, who: str, why: str) -> list[int]:
    """Record what was worked out, store total capital anew, and return the ids of the events.

    Raises ConfigError without a reason, StateError where an account value or another event was recorded meanwhile.
    """
    if not why.strip():
        raise ConfigError("give the reason, which is kept in the ledger")
    with desk.ledger.begin() as tx:
        events = capital_events_of(tx)
        newest = account_value_history(tx, desk.account).index.max().to_pydatetime()
        if (max((event.id for event in events), default=0), newest) != change.known:
            raise StateError(
                "an account value or an event was recorded meanwhile: nothing was changed; look at it, then say it again"
            )
        numbers = [
            record_capital_event(
                tx, event.time, event.kind, amount=event.amount, voids=event.voids, now=desk.now(), who=who, why=why.strip()
            )
            for event in change.said
        ]
    update_total_capital(desk)
    return numbers


def _positive(amount: Decimal, name: str) -> Decimal:
    if amount <= 0:
        raise ConfigError(f"{name} {amount:,.2f}: give an amount above 0")
    return amount


def _nonzero(amount: Decimal) -> Decimal:
    if not amount:
        raise ConfigError("AMOUNT is 0; `tradeflow capital void EVENT` takes an event back")
    return amount


def _of(jump: CapitalJump) -> str:
    return f"the account value of {jump.value:,.0f} at {jump.time:%Y-%m-%d %H:%M} UTC ({jump.profit:+,.0f})"


def _named(event: CapitalEvent) -> str:
    amount = f" {event.amount:+,.2f}" if event.amount else ""
    return f"event {event.id}, {event.kind}{amount} of {event.time:%Y-%m-%d %H:%M} UTC"
