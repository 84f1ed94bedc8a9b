"""Seeding a replay: making a home whose market is a tape.

The home begins with what was known when its first day began: bars that had ended, rolls that had happened, rates that were published.
After that everything comes from the tape through the broker interface, and only once it has happened.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.home import LEDGER_WORD_FILE, SETTINGS_FILE, Home, ReplaySettings, environment_home
from tradeflow_core.ledger import current_rolls
from tradeflow_core.model import CLOSING_HOUR
from tradeflow_core.replay.adopt import copy_history, copy_tables, record_rolls_and_contracts
from tradeflow_core.store import Tape

ACCOUNT = "REPLAY-1"
STRATEGY = "static_trend_carry"
DAY_START = time(0, 5)
"""After the close of the day before, at 23:00, and before the first session of the day."""
SESSION_END = time(CLOSING_HOUR, 30)
"""After the close of the day, at which orders are filled that no intraday bar has filled."""
TICK_MINUTES = 60
"""The tape's bars are hourly: looking more often shows nothing new."""
NO_SPIKE_LIMIT = 1e9
"""So high that no price is refused as a spike: the prices of a tape were checked when it was recorded, and nobody is there to confirm them now."""
SEEDED_FILE = "replay.json"
"""Written into the home when its seeding is complete."""


def replay_home(tape: Tape, start: date, end: date, *, desk_home: Path | None = None) -> Path:
    """The default home of a replay: `replays/TAPE-START-END` in `var`, or beside the home that TRADEFLOW_HOME names."""
    desk_home = desk_home or environment_home()
    root = desk_home if desk_home.name == "var" else desk_home.parent
    return root / "replays" / f"{tape.path.name}-{start}-{end}"


def seed_replay(
    home_path: Path,
    tape: Tape,
    start: date,
    *,
    end: date,
    instruments: Sequence[str] | None = None,
    capital: Decimal | int = 5_000_000,
    base: str = "USD",
    fill_at: str = "next close",
) -> Home:
    """A home that replays `tape` from the business day `start` to `end`; one that was seeded with the same arguments is opened as it is.

    `instruments`: codes; default: all of the tape that have prices at the start (the others are listed in the home's `replay.json`).
    `fill_at`: as the setting `replay.fill_at`.
    Seeding that was interrupted is done again. Raises ConfigError for an empty period, for instruments without prices at the start, and
    where the folder holds something else.
    """
    home_path = Path(home_path).absolute()
    playable, left_out = _with_prices(tape, start, end, requested=instruments)
    values = _settings(tape, start, end, instruments=playable, capital=Decimal(capital), base=base, fill_at=fill_at)
    if (home_path / SETTINGS_FILE).exists():
        home = Home.open(home_path)
        _require_same(home, values)
    else:
        _require_free(home_path)
        (home_path / "clock.json").unlink(missing_ok=True)
        copy_tables(tape, home_path)
        home = Home.create(home_path, values, _first_instant(tape.zone, start))
    if not (home_path / SEEDED_FILE).exists():
        _seed(home, tape)
        text = json.dumps({"tape": str(tape.path), "left_out": left_out}, indent=1)
        (home_path / SEEDED_FILE).write_text(text, encoding="utf-8")
    return home


def _first_instant(zone: str, start: date) -> datetime:
    return datetime.combine(start, DAY_START, ZoneInfo(zone)).astimezone(UTC)


def _with_prices(tape: Tape, start: date, end: date, *, requested: Sequence[str] | None) -> tuple[list[str], dict[str, str]]:
    """The instruments that have prices at the start, and the reasons for those left out."""
    if end < start or start.weekday() >= 5:
        raise ConfigError(f"a replay from {start} to {end}: begin on a Monday to Friday, and end on it or later")
    if unknown := sorted(set(requested or ()) - set(tape.codes)):
        raise ConfigError(f"{', '.join(unknown)} is not on the tape {tape.path}, which has {', '.join(tape.codes)}")
    start_time, left_out = _first_instant(tape.zone, start), {}
    candidates = sorted(set(requested or tape.codes))
    for instrument in candidates:
        first, last = tape.first_and_last(instrument)
        if first > start_time:
            left_out[instrument] = f"its first price is of {first.date()}, after the start"
        elif last < start_time:
            left_out[instrument] = f"its last price is of {last.date()}, before the start"
    if left_out and (requested is not None or len(left_out) == len(candidates)):
        reasons = "; ".join(f"{instrument}: {why}" for instrument, why in left_out.items())
        raise ConfigError(f"no replay from {start} on: {reasons}; leave them out, or choose another period")
    return [instrument for instrument in candidates if instrument not in left_out], left_out


def _settings(
    tape: Tape, start: date, end: date, *, instruments: Sequence[str], capital: Decimal, base: str, fill_at: str
) -> dict[str, Any]:
    return {
        "market": "replay",
        "account": ACCOUNT,
        "base_currency": base,
        "capital": str(capital),
        "time_zone": tape.zone,
        "universe": list(instruments),
        "strategies": {STRATEGY: {"config": STRATEGY, "weight": 1.0}},
        "replay": {"tape": str(tape.path), "start": start.isoformat(), "end": end.isoformat(), "fill_at": fill_at},
        "rolls": {"decide": "tape"},
        "prices": {"max_price_spike": NO_SPIKE_LIMIT},
        "day": {
            "start": DAY_START.isoformat(timespec="minutes"),
            "session_end": SESSION_END.isoformat(timespec="minutes"),
            "tick_minutes": TICK_MINUTES,
        },
    }


def _require_same(home: Home, values: dict[str, Any]) -> None:
    """Raise ConfigError if the home is not the replay with these settings."""
    settings, replay = home.settings, home.settings.replay
    actual = {
        "market": settings.market,
        "tape": replay and replay.tape,
        "start": replay and replay.start.isoformat(),
        "end": replay and replay.end.isoformat(),
        "fill_at": replay and replay.fill_at,
        "instruments": list(settings.universe),
        "capital": settings.capital,
        "base currency": settings.base_currency,
    }
    requested = values["replay"] | {
        "market": "replay",
        "instruments": values["universe"],
        "capital": Decimal(values["capital"]),
        "base currency": values["base_currency"],
    }
    if different := [f"{name} is {actual[name]}, not {requested[name]}" for name in actual if actual[name] != requested[name]]:
        raise ConfigError(f"{home.path} holds another home: {'; '.join(different)}; choose another folder, or remove that one")


def _require_free(path: Path) -> None:
    """Raise ConfigError unless the folder is new, or holds only a home whose seeding was interrupted."""
    parts_of_home = {"config", "data", "market", "dagster", "logs", "reports", "clock.json", LEDGER_WORD_FILE}
    if path.exists() and (
        other_files := sorted(child.name for child in path.iterdir() if child.name not in parts_of_home and child.name[0] != ".")
    ):
        raise ConfigError(f"{path} holds {', '.join(other_files[:3])}, which is no part of a home; choose another folder")


def _seed(home: Home, tape: Tape) -> None:
    """Write everything that was known at the home's present time: the files first, then the ledger in one transaction."""
    desk = Desk(home)
    try:
        now = desk.now()
        with desk.ledger.read() as view:
            has_rolls = bool(current_rolls(view))
        earlier = {currency for code in home.universe for _, currency in home.instruments[code].earlier_currencies}
        currencies = sorted({*home.currencies, *earlier} - {"USD"})
        if missing := sorted(set(currencies) - set(tape.currencies)):
            raise ConfigError(
                f"the tape {tape.path} has no rates of {', '.join(missing)}; choose another base currency or other instruments"
            )
        copy_history(tape, desk.store, home.universe, currencies=currencies, until=now)
        if not has_rolls:
            with desk.ledger.begin() as tx:
                record_rolls_and_contracts(tx, tape, home.universe, until=now, now=now)
    finally:
        desk.close()


def replay_settings(home: Home) -> ReplaySettings:
    """The tape and the period that this home replays. Raises StateError for a home that is not a seeded replay."""
    if home.settings.market != "replay" or home.settings.replay is None or not (home.path / SEEDED_FILE).exists():
        raise StateError(f"{home.path} is not a seeded replay; make one with `tradeflow replay`")
    return home.settings.replay


def left_out_instruments(home: Home) -> dict[str, str]:
    """The instruments of the tape that have no prices at the start of the replay, with the reason."""
    left_out: dict[str, str] = json.loads((home.path / SEEDED_FILE).read_text(encoding="utf-8"))["left_out"]
    return left_out
