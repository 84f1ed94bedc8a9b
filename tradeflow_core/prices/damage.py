"""A damaged price file stays with its instrument: it is locked with reason and remedy, and the others go on."""

from __future__ import annotations

from collections.abc import Iterable

from tradeflow_core.desk import Desk
from tradeflow_core.ledger import instruments_locked_by, lock_instrument, unlock_instrument
from tradeflow_core.model import LockOwner


def lock_damaged(desk: Desk, instrument: str, error: Exception) -> None:
    """Lock an instrument of which a price file is damaged, until a run of its prices succeeds; an alert is sent when that is new."""
    _lock(desk, instrument, LockOwner.PRICES, why=str(error))


def rates_needed(desk: Desk, instrument: str) -> set[str]:
    """FX codes of the rates by which amounts of an instrument become base currency."""
    currencies, base = desk.instrument(instrument).currencies, desk.settings.base_currency
    return set() if set(currencies) == {base} else {f"{each}USD" for each in (*currencies, base) if each != "USD"}


def lock_without_rates(desk: Desk, damaged: dict[str, str]) -> None:
    """Lock the instruments that need a damaged rate, given with the reason by FX code, and unlock those that need none of them any more."""
    with desk.ledger.read() as view:
        locked = instruments_locked_by(view, LockOwner.RATES)
    for instrument in desk.universe:
        bad = sorted(rates_needed(desk, instrument) & damaged.keys())
        if bad:
            _lock(desk, instrument, LockOwner.RATES, why=damaged[bad[0]])
    _unlock(desk, [code for code in locked if code not in desk.universe or not rates_needed(desk, code) & damaged.keys()])


def _lock(desk: Desk, instrument: str, owner: LockOwner, *, why: str) -> None:
    with desk.ledger.begin() as tx:
        is_new = lock_instrument(tx, instrument, owner, now=desk.now(), why=why)
    if is_new:
        desk.alerts.send(f"locked {instrument}", f"{instrument}: {why}", desk.now())


def _unlock(desk: Desk, instruments: Iterable[str]) -> None:
    for instrument in instruments:
        with desk.ledger.begin() as tx:
            unlock_instrument(tx, instrument, LockOwner.RATES, now=desk.now(), why="its rates are good again")
