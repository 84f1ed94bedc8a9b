"""Whether a desk can carry a business day: all its settings, tables and strategy files are looked at before the clock moves or a price is stored."""

from __future__ import annotations

from datetime import date, timedelta

from tradeflow_core import nightly
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.home import SETTINGS_FILE, keep_room
from tradeflow_core.ledger import last_step_day

LONGEST_GAP = timedelta(days=366)
"""By how much the clock may be ahead of the last day on which anything was done."""


def require_ready(desk: Desk) -> None:
    """Raise ConfigError or StateError, naming file and key, where a day would fail for what a person has written. Refused, it has changed nothing.

    Looked at: the universe and its currencies, sessions and market, the strategy files, the store, the clock, and what may not change since
    the market was made (account, currency, capital, seed, first day, point size of what was traded).
    """
    settings_file = desk.home.path / SETTINGS_FILE
    if not desk.universe:
        raise ConfigError(
            f"{settings_file}: stale_instruments: no instrument of the universe is left to trade; take some out of it"
        )
    _ = desk.home.currencies, desk.home.sessions
    try:
        desk.store.root.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{settings_file}: data: {desk.store.root} cannot be written ({error}); choose another folder"
        ) from error
    _require_currencies(desk)
    for strategy in desk.settings.strategies:
        nightly.written_strategy(desk, strategy)
    _require_clock(desk)
    _ = desk.broker
    keep_room(desk.home.path)


def _require_currencies(desk: Desk) -> None:
    """Amounts of today are in the present currency of an instrument, and its past needs the rates of its earlier ones."""
    for instrument in map(desk.instrument, desk.universe):
        for last, currency in instrument.earlier_currencies:
            if desk.today() <= last:
                raise ConfigError(
                    f"instruments.csv: {instrument.code} is in {currency} until {last}, and today is {desk.today()}; write {currency} as its "
                    "currency until then, close its positions, and write the change on the day after"
                )
            if currency != "USD" and not desk.store.exists("fx", f"{currency}USD"):
                raise ConfigError(
                    f"instruments.csv: {instrument.code} was in {currency} until {last}, and there are no rates of {currency}; import them with "
                    "the prices of that time, or remove EarlierCurrencies"
                )


def _require_clock(desk: Desk) -> None:
    settings = desk.settings
    if settings.time_is_real:
        return
    first = settings.replay.start if settings.replay is not None and settings.market == "replay" else settings.simulated.first_day
    with desk.ledger.read() as view:
        last: date = max(first, last_step_day(view) or first)
    if desk.today() > last + LONGEST_GAP:
        raise StateError(
            f"the simulated clock {desk.home.path / 'clock.json'} stands at {desk.now():%Y-%m-%d %H:%M} UTC, and the last day on which this home "
            f'did anything is {last}; write a time of that day into it, as in {{"now": "{last}T21:00:00+00:00"}}'
        )
