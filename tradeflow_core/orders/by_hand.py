"""Controls that a person changes: locks, overrides, limits. What each change does is said before and after it, and can be tried first."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.ledger import (
    ANY,
    Control,
    clear_override,
    control_history,
    live_broker_orders,
    lock_instrument,
    positions_by_strategy,
    set_override,
    set_position_limit,
    set_trade_limit,
    trade_limits_in_force,
    unlock_instrument,
)
from tradeflow_core.model import LockOwner, Override, OverrideKind, nearest
from tradeflow_core.orders.trial import require_reason, trial

NONE = "none"
"""The word for no limit."""

TOGETHER = "all strategies together"
"""Whose limit it is that has the strategy `ANY`."""

LOCKS_AGAIN = {
    LockOwner.PRICES: "the next price update locks it again while its prices are bad",
    LockOwner.RATES: "the next step `spot_fx` locks it again while the file of a rate is damaged",
    LockOwner.STALE: "the next step `rolls` locks it again while `stale_instruments` of tradeflow.toml names it",
    LockOwner.EXECUTION: "the stack handler locks it again while the trouble with its orders lasts",
    LockOwner.UNKNOWN_ORDER: "the order is still unknown: look at the broker, then `tradeflow orders settle`",
    LockOwner.RECONCILIATION: "the next comparison with the broker locks it again while the positions differ",
}
"""What becomes of a lock of the system that a person lifts."""


@dataclass(frozen=True, slots=True)
class ControlChange:
    """What a change by a person does. `about`: what it is about; `before`, `after`: what was and is in force, with the reason; empty for
    nothing. `warnings`: what the person should know."""

    about: str
    before: str
    after: str
    warnings: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything in force is different."""
        return self.before != self.after


def lock_by_hand(desk: Desk, instrument: str, *, who: str, why: str, dry_run: bool = False) -> ControlChange:
    """Lock an instrument under the owner `person`: it is not traded until somebody lifts that. `dry_run`: only say what would change.

    Raises ConfigError for an unknown instrument or a missing reason.
    """
    code = desk.instrument(instrument).code
    require_reason(why)
    with trial(desk, dry_run=dry_run) as tx:
        before = _locks(tx, code)
        lock_instrument(tx, code, LockOwner.PERSON, now=desk.now(), why=why, who=who)
        working = [order.client_ref for order in live_broker_orders(tx, desk.account) if order.instrument == code]
        warnings = [f"{len(working)} of its orders are at the broker and may still be filled"] if working else []
        return ControlChange(f"locks of {code}", _words(before), _words(_locks(tx, code)), tuple(warnings))


def unlock_by_hand(
    desk: Desk, instrument: str, owner: str | None = LockOwner.PERSON, *, who: str, why: str, dry_run: bool = False
) -> ControlChange:
    """Lift the lock of `owner`, or (None) of every owner. A check whose lock is lifted locks again while its cause lasts.

    Raises ConfigError for an unknown instrument or a missing reason, StateError where only other owners hold the instrument.
    """
    require_reason(why)
    with trial(desk, dry_run=dry_run) as tx:
        before = _locks(tx, instrument)
        code = instrument if before else desk.instrument(instrument).code
        lifted = [each for each in before if owner in (None, each)]
        if before and not lifted:
            raise StateError(
                f"{code} has no lock of the owner {str(owner)!r}; it is locked by {_words(before)}. Name that owner to lift its lock"
            )
        for each in lifted:
            unlock_instrument(tx, code, each, now=desk.now(), why=why, who=who)
        after = _locks(tx, code)
        warnings = [f"lock of {each}: {LOCKS_AGAIN[LockOwner(each)]}" for each in lifted if each in set(LOCKS_AGAIN)]
        warnings += [f"it stays locked by {_words(after)}"] if after else []
        return ControlChange(f"locks of {code}", _words(before), _words(after), tuple(warnings))


def override_by_hand(
    desk: Desk, strategy: str, instrument: str, *, override: Override | None, who: str, why: str, dry_run: bool = False
) -> ControlChange:
    """Put an override in force, or (None) end it, for exactly this strategy and instrument (`ANY`: every one).

    Raises ConfigError for an unknown strategy or instrument or a missing reason, StateError for a fraction outside 0 to 1.
    """
    require_reason(why)
    key = {"strategy": strategy, "instrument": instrument}
    with trial(desk, dry_run=dry_run) as tx:
        before = _in_force(tx, Control.OVERRIDE, key)
        _require_known(desk, key, known=override is None and bool(before))
        if override is None:
            clear_override(tx, strategy, instrument, now=desk.now(), who=who, why=why)
        else:
            set_override(tx, strategy, instrument, override=replace(override, why=why), now=desk.now(), who=who)
        everything = override is not None and strategy == instrument == ANY
        warnings = ("it holds for every strategy and every instrument",) if everything else ()
        return ControlChange(
            f"override of {strategy or 'every strategy'} in {instrument or 'every instrument'}",
            before,
            _in_force(tx, Control.OVERRIDE, key),
            warnings,
        )


def limit_position_by_hand(
    desk: Desk, strategy: str, instrument: str, *, contracts: int | None, who: str, why: str, dry_run: bool = False
) -> ControlChange:
    """Set or (None) end a position limit; `ANY` as the strategy: for all strategies together.

    Raises ConfigError for an unknown strategy or instrument or a missing reason, StateError for a negative limit.
    """
    require_reason(why)
    key = {"strategy": strategy, "instrument": instrument}
    with trial(desk, dry_run=dry_run) as tx:
        before = _in_force(tx, Control.POSITION_LIMIT, key)
        _require_known(desk, key, known=contracts is None and bool(before))
        set_position_limit(tx, strategy, instrument, contracts=contracts, now=desk.now(), who=who, why=why)
        position = held(tx, desk.account, strategy, instrument=instrument)
        beyond = contracts is not None and abs(position) > contracts
        warnings = (f"the position is {position}: the next orders reduce it to {contracts}",) if beyond else ()
        name = f"position limit of {strategy or TOGETHER} in {instrument}"
        return ControlChange(name, before, _in_force(tx, Control.POSITION_LIMIT, key), warnings)


def limit_trades_by_hand(
    desk: Desk, strategy: str, instrument: str, *, days: int, contracts: int | None, who: str, why: str, dry_run: bool = False
) -> ControlChange:
    """Set or (None) end the trade limit of so many days; `ANY` as the strategy: for all strategies together.

    Raises ConfigError for an unknown strategy or instrument or a missing reason, StateError for a limit that makes no sense.
    """
    require_reason(why)
    key = {"strategy": strategy, "instrument": instrument, "days": days}
    with trial(desk, dry_run=dry_run) as tx:
        before = _in_force(tx, Control.TRADE_LIMIT, key)
        _require_known(desk, key, known=contracts is None and bool(before))
        set_trade_limit(tx, strategy, instrument, days=days, contracts=contracts, now=desk.now(), who=who, why=why)
        limits = trade_limits_in_force(tx, desk.account, now=desk.now(), instruments=[instrument])
        used = next((each.used for each in limits if (each.strategy, each.days) == (strategy, days) and not each.left), None)
        warnings = (f"{used} contracts were traded in {days} days: nothing may be traded until that is less",) if used else ()
        name = f"trade limit of {strategy or TOGETHER} in {instrument} in {days} days"
        return ControlChange(name, before, _in_force(tx, Control.TRADE_LIMIT, key), warnings)


def parse_override(word: str) -> Override:
    """The override that a word names: a fraction from 0 to 1, `reduce_only` or `no_trading`. Raises ConfigError for another word."""
    kinds = {"reduce_only": (OverrideKind.REDUCE_ONLY, 1.0), "no_trading": (OverrideKind.NO_TRADING, 0.0)}
    if word in kinds:
        return Override(*kinds[word])
    with suppress(ValueError):
        if 0.0 <= (fraction := float(word)) <= 1.0:
            return Override(OverrideKind.FRACTION, fraction)
    raise ConfigError(f"override {word!r}{nearest(word, kinds)}: write a fraction from 0 to 1, reduce_only or no_trading")


MOST_DIGITS = 9
"""Digits of a limit in contracts."""


def parse_contracts(word: str) -> int | None:
    """The number of contracts that a word names, None for `none`. Raises ConfigError for another word or a negative number."""
    if word.lower() == NONE:
        return None
    if not word.isascii() or not word.isdigit():
        raise ConfigError(f"{word!r} is no limit: write a number of contracts, 0 or more, or {NONE} for no limit")
    if len(word) > MOST_DIGITS:
        raise ConfigError(f"{word} contracts are no limit at all: write fewer, or {NONE} for no limit")
    return int(word)


def held(view: Connection, account: str, strategy: str, *, instrument: str) -> int:
    """Contracts of an instrument that a strategy holds, for `ANY` all strategies together."""
    positions = positions_by_strategy(view, account).items()
    return sum(quantity for (holder, code), quantity in positions if code == instrument and strategy in (ANY, holder))


def control_words(control: Control, row: dict[str, Any]) -> str:
    """What a row of an override or limit says, without its reason: `0.5`, `reduce_only`, `12 contracts`."""
    if control is Control.OVERRIDE:
        return f"{row['fraction']:g}" if row["kind"] == OverrideKind.FRACTION else str(row["kind"])
    return f"{row['contracts']} contracts"


def _require_known(desk: Desk, key: dict[str, Any], *, known: bool) -> None:
    """Raise ConfigError for an instrument or strategy that this home does not know, unless one is in force that is to be ended."""
    if known:
        return
    if key["instrument"] != ANY:
        desk.instrument(key["instrument"])
    strategies = desk.settings.strategies
    if key["strategy"] not in (ANY, *strategies):
        hint = nearest(key["strategy"], strategies)
        raise ConfigError(f"no strategy {key['strategy']!r} in this home{hint}; it has {', '.join(strategies)}")


def _locks(view: Connection, instrument: str) -> dict[str, str]:
    """The reasons of the locks of an instrument by owner."""
    rows = control_history(view, Control.LOCK, instrument=instrument, in_force=True)
    return {row["owner"]: row["why"] for row in sorted(rows, key=lambda row: str(row["owner"]))}


def _words(locks: dict[str, str]) -> str:
    return "; ".join(f"{owner}: {why}" for owner, why in locks.items())


def _in_force(view: Connection, control: Control, key: dict[str, Any]) -> str:
    """What is in force for a key, with the reason; empty for nothing."""
    rows = control_history(view, control, in_force=True)
    row = next((row for row in rows if all(row[name] == value for name, value in key.items())), None)
    return f"{control_words(control, row)} ({row['why']})" if row else ""
