"""Repairing damaged price files: bars and rates are got again from a backup and from the broker, what follows from them is computed again.

A damaged file is kept beside the new one under another name. Nothing is replaced unless something was got again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, StateError, TradeflowError
from tradeflow_core.ledger import LedgerTrouble, contract_facts
from tradeflow_core.model import nearest
from tradeflow_core.prices import spot_fx
from tradeflow_core.prices.bar_store import BAR_TYPES, DATASET, KEY, Closes, in_order, no_bars, not_stored
from tradeflow_core.prices.collect import BEGINNING, Collected, fetch_bars, store_bars
from tradeflow_core.prices.pipeline import STAGES, run_stages
from tradeflow_core.store import Store
from tradeflow_core.store.frames import as_frame

MADE_FROM_BARS = ("multiple_prices", "adjusted_prices")


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair did, or would do, for an instrument or an FX code (`name`).

    `problems`: of its files; `from_backup`, `from_broker`: rows got again; `aside`: where the damaged files are kept; `not_done`: what could
    not be brought back, and why; `notes`: what else a person should know.
    """

    name: str
    problems: tuple[str, ...]
    from_backup: int = 0
    from_broker: int = 0
    aside: tuple[str, ...] = ()
    not_done: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def damaged_prices(desk: Desk, names: Sequence[str] = ()) -> dict[str, list[str]]:
    """What is wrong with the price files of instruments and of rates (FX codes; default: all), by name; without those that are sound.

    Raises ConfigError for a name of which nothing is stored.
    """
    datasets = (DATASET, *MADE_FROM_BARS, spot_fx.DATASET)
    stored = {name for dataset in datasets for _, name in desk.store.places(dataset)}
    for name in names:
        if name not in stored:
            raise ConfigError(
                f"no prices of {name!r} are stored{nearest(name, stored)}; name an instrument or a rate such as EURUSD"
            )
    problems = {
        name: [problem.rpartition("; ")[0] for dataset in datasets for problem in desk.store.damage(dataset, name).values()]
        for name in (names or sorted(stored))
    }
    return {name: found for name, found in problems.items() if found}


def repair_prices(
    desk: Desk, names: Sequence[str] = (), *, backup: Store | None = None, why: str, dry_run: bool = False
) -> list[Repair]:
    """Repair the damaged price files of instruments and rates (default: of all); one that cannot be repaired does not stop the others.

    `backup`: the data of a backup, asked before the broker. `dry_run`: only say what would be got again. An instrument whose chain of prices
    succeeds afterwards is unlocked. Raises ConfigError for an unknown name.
    """
    repairs = []
    for name, problems in damaged_prices(desk, names).items():
        is_rate = name in desk.store.names(spot_fx.DATASET)
        try:
            repair = (_repair_rates if is_rate else _repair_instrument)(desk, name, problems, backup=backup, dry_run=dry_run)
        except LedgerTrouble:
            raise
        except TradeflowError as error:
            repair = Repair(name, tuple(problems), not_done=(str(error),))
        if not dry_run:
            text = f"{repair.from_backup} rows from a backup, {repair.from_broker} from the broker ({why})"
            desk.alerts.send(f"repaired {name}", "; ".join([*problems, text, *repair.not_done]), desk.now())
        repairs.append(repair)
    if not dry_run and any(repair.name in desk.store.names(spot_fx.DATASET) for repair in repairs):
        spot_fx.update_rates(desk)  # it lifts the locks of the instruments that waited for them
    return repairs


def _repair_instrument(desk: Desk, instrument: str, problems: list[str], *, backup: Store | None, dry_run: bool) -> Repair:
    from_backup, from_broker = no_bars(), no_bars()
    aside, not_done, notes = list[str](), list[str](), list[str]()
    if damaged := desk.store.damage(DATASET, instrument):
        had = _keys_of(desk, damaged, KEY)
        sound = _sound_bars(desk, instrument, set(damaged))
        if backup is not None and backup.exists(DATASET, instrument):
            bars = backup.read(DATASET, instrument).astype(BAR_TYPES)
            from_backup = not_stored(in_order(bars), [Closes.of_bars(sound)])
        known = [Closes.of_bars(bars) for bars in (sound, from_backup)]
        from_broker, not_done = _bars_of_broker(desk, instrument, known)
        regained = in_order(pd.concat([from_backup, from_broker], ignore_index=True).astype(BAR_TYPES))
        if not len(regained) and (had is None or len(had)):
            raise StateError(
                f"{instrument}: neither a backup nor the broker has bars that were in the damaged files; nothing was changed: name a backup "
                "with --from FILE, or put the file back yourself"
            )
        got = pd.concat([sound, regained], ignore_index=True)[KEY].assign(frequency=lambda bars: bars["frequency"].astype("str"))
        not_done += _missing(had, got, "bars")
        notes += _unknown(had, len(regained), "bars")
        if not dry_run:
            aside = desk.store.replace_damaged(DATASET, instrument, regained)
    if not dry_run:
        for dataset in MADE_FROM_BARS:
            aside += [desk.store.put_aside(*place) for place in desk.store.damage(dataset, instrument)]
        try:
            run_stages(desk, instrument, STAGES)
        except LedgerTrouble:
            raise
        except TradeflowError as error:
            not_done.append(f"its prices could not be computed again, so it stays locked: {error}")
    return Repair(
        instrument,
        tuple(problems),
        from_backup=len(from_backup),
        from_broker=len(from_broker),
        aside=tuple(aside),
        not_done=tuple(not_done),
        notes=tuple(notes),
    )


def _bars_of_broker(desk: Desk, instrument: str, known: list[Closes]) -> tuple[pd.DataFrame, list[str]]:
    """The bars of the broker that are not known yet, intraday ones since there were any, and why others were refused."""
    with desk.ledger.read() as view:
        contracts = list(contract_facts(view, instrument))
    fetched = [
        fetch_bars(desk, instrument, known, contracts=contracts, frequencies=(frequency,), full_refresh=True, start=start).bars
        for frequency, start in (("D", None), (desk.settings.prices.intraday_frequency, _intraday_since(desk, instrument)))
    ]
    report = store_bars(desk, instrument, pd.concat(fetched, ignore_index=True), report=Collected(known), write=False)
    refused = [f"{text}; check with `tradeflow prices check {instrument}`" for text in report.refused.values()]
    return report.accepted, refused


def _intraday_since(desk: Desk, instrument: str) -> datetime:
    """Since when there were intraday bars: the first price that another one follows within less than a day. Where multiple and adjusted prices
    are damaged, too, that is when the intraday bars of a new instrument begin."""
    for dataset in MADE_FROM_BARS:
        with suppress(StateError):
            stamps = pd.DatetimeIndex(desk.store.read(dataset, instrument, ()).index)
            if len(followed := stamps[:-1][stamps[1:] - stamps[:-1] < pd.Timedelta(hours=20)]):
                return followed[0].to_pydatetime()
    return desk.now() - timedelta(days=desk.settings.prices.intraday_history_days)


def _sound_bars(desk: Desk, instrument: str, damaged: set[tuple[str, str]]) -> pd.DataFrame:
    places = [place for place in desk.store.places(DATASET, instrument) if place not in damaged]
    frames = [as_frame(desk.store.files.read(*place)).astype(BAR_TYPES) for place in places]
    return in_order(pd.concat([no_bars(), *frames], ignore_index=True).astype(BAR_TYPES))


def _repair_rates(desk: Desk, code: str, problems: list[str], *, backup: Store | None, dry_run: bool) -> Repair:
    had = _keys_of(desk, desk.store.damage(spot_fx.DATASET, code), ["time"])
    kept = backup.read(spot_fx.DATASET, code)["rate"] if backup is not None and backup.exists(spot_fx.DATASET, code) else None
    fetched = spot_fx.rates_since(desk, code.removesuffix("USD"), BEGINNING)
    if kept is not None:
        fetched = fetched[~fetched.index.isin(kept.index)]
    rates = (fetched if kept is None else pd.concat([kept, fetched])).sort_index()
    if rates.empty:
        raise StateError(
            f"{code}: neither a backup nor the broker has rates; nothing was changed: name a backup with --from FILE"
        )
    aside = [] if dry_run else desk.store.replace_damaged(spot_fx.DATASET, code, rates.to_frame())
    return Repair(
        code,
        tuple(problems),
        from_backup=0 if kept is None else len(kept),
        from_broker=len(fetched),
        aside=tuple(aside),
        not_done=tuple(_missing(had, rates.index.to_frame(), "rates")),
        notes=tuple(_unknown(had, len(rates), "rates")),
    )


def _keys_of(desk: Desk, damaged: dict[tuple[str, str], str], keys: list[str]) -> pd.DataFrame | None:
    """Which rows the damaged files had; None where one does not say it any more."""
    try:
        frames = [as_frame(desk.store.files.read(*place, keys, salvage=True).select(keys)) for place in damaged]
        return pd.concat([frame.reset_index(drop=keys[0] in frame) for frame in frames], ignore_index=True)[keys]
    except StateError:
        return None


def _missing(had: pd.DataFrame | None, got: pd.DataFrame, what: str) -> list[str]:
    """What to say where rows of the damaged files were not got again."""
    if had is None:
        return []
    lost = len(had) - len(had.astype(got.dtypes.to_dict()).merge(got.drop_duplicates()))
    return [f"{lost:,} of {len(had):,} {what} could not be got again; a backup may have them (--from FILE)"] if lost else []


def _unknown(had: pd.DataFrame | None, regained: int, what: str) -> list[str]:
    """What to say where nobody knows which rows there were."""
    return [f"{regained:,} {what} were got again; how many the damaged files had cannot be read any more"] if had is None else []
