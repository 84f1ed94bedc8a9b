"""Seeding a replay: a tape becomes the market of a home of its own.

The home begins with what was known when its first day began: bars that had ended, rolls that had happened, rates that were out. From
there on everything comes through the broker interface from the tape, never more than had happened by then.
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
from tradeflow_core.home import SETTINGS_FILE, Home, ReplaySettings, environment_home
from tradeflow_core.ledger import current_rolls
from tradeflow_core.replay.adopt import copy_history, copy_tables, record_past
from tradeflow_core.store import Tape

ACCOUNT = "REPLAY-1"
STRATEGY = "static_trend_carry"
DAY_START = time(0, 5)
"""After the close of the day before has ended at 23:00, and before the first session of the day."""
SESSION_END = time(22, 0)
TICK_MINUTES = 60
"""The tape's bars are hourly: looking more often shows nothing new."""
NO_SPIKE = 1e9
"""Limit of the spike checks in a replay: what the tape holds was checked and accepted when it was recorded, and nobody is there to do it again."""
SEEDED = "replay.json"
"""Written into the home when its seeding is complete."""


def replay_home(tape: Tape, start: date, end: date, *, desk_home: Path | None = None) -> Path:
    """Where a replay lives when nobody says otherwise: `replays/TAPE-START-END` in `var`, or beside the home that TRADEFLOW_HOME names."""
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
) -> Home:
    """A home that replays `tape` from the business day `start` to `end`; one that was seeded with the same arguments is opened as it is.

    `instruments`: codes, default all of the tape that have prices then (those left out are in the home's `replay.json`). Seeding that was
    interrupted is done again. Raises ConfigError for an empty period, for instruments without prices then, and where the folder holds
    something else.
    """
    home_path = Path(home_path).absolute()
    codes, left_out = _playable(tape, start, end, wanted=instruments)
    values = _settings(tape, start, end, codes=codes, capital=Decimal(capital), base=base)
    if (home_path / SETTINGS_FILE).exists():
        home = Home.open(home_path)
        _require_same(home, values)
    else:
        _require_free(home_path)
        (home_path / "clock.json").unlink(missing_ok=True)
        copy_tables(tape, home_path)
        home = Home.create(home_path, values, _first_instant(tape.zone, start))
    if not (home_path / SEEDED).exists():
        _seed(home, tape)
        text = json.dumps({"tape": str(tape.path), "left_out": left_out}, indent=1)
        (home_path / SEEDED).write_text(text, encoding="utf-8")
    return home


def _first_instant(zone: str, start: date) -> datetime:
    return datetime.combine(start, DAY_START, ZoneInfo(zone)).astimezone(UTC)


def _playable(tape: Tape, start: date, end: date, *, wanted: Sequence[str] | None) -> tuple[list[str], dict[str, str]]:
    if end < start or start.weekday() >= 5:
        raise ConfigError(f"a replay from {start} to {end}: begin on a Monday to Friday, and end on it or later")
    if unknown := sorted(set(wanted or ()) - set(tape.codes)):
        raise ConfigError(f"{', '.join(unknown)} is not on the tape {tape.path}, which has {', '.join(tape.codes)}")
    instant, left_out = _first_instant(tape.zone, start), {}
    codes = sorted(set(wanted or tape.codes))
    for code in codes:
        first, last = tape.first_and_last(code)
        if first > instant:
            left_out[code] = f"its first price is of {first.date()}, after the start"
        elif last < instant:
            left_out[code] = f"its last price is of {last.date()}, before the start"
    if left_out and (wanted is not None or len(left_out) == len(codes)):
        reasons = "; ".join(f"{code}: {why}" for code, why in left_out.items())
        raise ConfigError(f"no replay from {start} on: {reasons}; leave them out, or choose another period")
    return [code for code in codes if code not in left_out], left_out


def _settings(tape: Tape, start: date, end: date, *, codes: Sequence[str], capital: Decimal, base: str) -> dict[str, Any]:
    return {
        "market": "replay",
        "account": ACCOUNT,
        "base_currency": base,
        "capital": str(capital),
        "time_zone": tape.zone,
        "universe": list(codes),
        "strategies": {STRATEGY: {"config": STRATEGY, "weight": 1.0}},
        "replay": {"tape": str(tape.path), "start": start.isoformat(), "end": end.isoformat()},
        "rolls": {"decide": "tape"},
        "prices": {"max_price_spike": NO_SPIKE},
        "day": {
            "start": DAY_START.isoformat(timespec="minutes"),
            "session_end": SESSION_END.isoformat(timespec="minutes"),
            "tick_minutes": TICK_MINUTES,
        },
    }


def _require_same(home: Home, values: dict[str, Any]) -> None:
    """The home must be the replay that is asked for."""
    settings, replay = home.settings, home.settings.replay
    found = {
        "market": settings.market,
        "tape": replay and replay.tape,
        "start": replay and replay.start.isoformat(),
        "end": replay and replay.end.isoformat(),
        "instruments": list(settings.universe),
        "capital": settings.capital,
        "base currency": settings.base_currency,
    }
    asked = values["replay"] | {
        "market": "replay",
        "instruments": values["universe"],
        "capital": Decimal(values["capital"]),
        "base currency": values["base_currency"],
    }
    if different := [f"{name} {found[name]} there, {asked[name]} asked for" for name in found if found[name] != asked[name]]:
        raise ConfigError(f"{home.path} holds another home: {'; '.join(different)}; choose another folder, or remove that one")


def _require_free(path: Path) -> None:
    """The folder is new, or holds nothing but the beginning of a home."""
    begun = {"config", "data", "market", "dagster", "logs", "reports", "clock.json"}
    if path.exists() and (
        strange := sorted(child.name for child in path.iterdir() if child.name not in begun and child.name[0] != ".")
    ):
        raise ConfigError(f"{path} holds {', '.join(strange[:3])}, which is no part of a home; choose another folder")


def _seed(home: Home, tape: Tape) -> None:
    """Everything that was known at the home's present instant. Files first, the ledger in one transaction."""
    desk = Desk(home)
    try:
        now = desk.now()
        with desk.ledger.read() as view:
            recorded = bool(current_rolls(view))
        if missing := sorted(set(home.currencies) - set(tape.currencies)):
            raise ConfigError(
                f"the tape {tape.path} has no rates of {', '.join(missing)}; choose another base currency or other instruments"
            )
        copy_history(tape, desk.store, home.universe, currencies=home.currencies, until=now)
        if not recorded:
            with desk.ledger.begin() as tx:
                record_past(tx, tape, home.universe, until=now, now=now)
    finally:
        desk.close()


def replay_of(home: Home) -> ReplaySettings:
    """What this home replays. Raises StateError for a home that is not a seeded replay."""
    if home.settings.market != "replay" or home.settings.replay is None or not (home.path / SEEDED).exists():
        raise StateError(f"{home.path} is not a seeded replay; make one with `tradeflow replay`")
    return home.settings.replay


def left_out_of(home: Home) -> dict[str, str]:
    """The instruments of the tape that the replay had to leave out, with the reason."""
    left_out: dict[str, str] = json.loads((home.path / SEEDED).read_text(encoding="utf-8"))["left_out"]
    return left_out
