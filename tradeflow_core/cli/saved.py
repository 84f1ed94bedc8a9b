"""Saved backtests: any stage of any day, and why positions changed from one day to another."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
import pandas as pd
from rich.markup import escape
from upath import UPath

from tradeflow_core.cli.common import (
    DAY,
    console,
    json_option,
    open_desk,
    print_json,
    print_table,
)
from tradeflow_core.errors import ConfigError
from tradeflow_core.model import contract_label, nearest
from tradeflow_core.nightly import (
    CAP,
    FACTORS,
    MANIFEST,
    MULTIPLIER,
    WORDS,
    Explanation,
    Manifest,
    SavedRun,
    explain,
    open_run,
    saved_days,
)

SMALL = 0.05
"""Contracts: smaller changes are counted, not listed one by one."""


@click.command()
@click.argument("strategy")
@click.option("--day", type=DAY, help="The business day of the run (default: the newest).")
@click.option("--stage", help="The stage to show (default: list the stages).")
@click.option("--instrument", help="Only this instrument.")
@click.option("--rule", help="Only this rule, where the stage is by rule.")
@click.option("--rows", type=click.IntRange(1, 100_000), default=10, show_default=True, help="How many of the last days.")
@json_option
@click.pass_obj
def show(
    home: Path | None,
    strategy: str,
    day: datetime | None,
    *,
    stage: str | None,
    instrument: str | None,
    rule: str | None,
    rows: int,
    as_json: bool,
) -> None:
    """Show any stage of a saved run of STRATEGY, one of this home, or the folder of `tradeflow backtest run --out`.

    Without --stage: the days and stages that are kept, and the latest positions.

    \b
    tradeflow backtest show trend_carry --stage combined_forecast --instrument CORN
    tradeflow backtest show trend_carry --day 2024-01-09 --stage capped_forecast --instrument CORN --rows 5
    """
    run, days = _find_run(home, strategy, day.date() if day else None, quiet=as_json)
    if stage is None:
        if instrument or rule:
            raise ConfigError(
                "--instrument and --rule need a --stage; `tradeflow backtest show " + strategy + "` lists the stages"
            )
        _overview(run, days, as_json=as_json)
        return
    table = run.stage(stage, instrument, rule).tail(rows)
    if as_json:
        print_json({**_manifest_fields(run.manifest), "stage": stage, "rows": _records(table)})
        return
    shown = _readable(table)
    wide = shown.shape[1] > 14
    print_table(
        f"{stage}, {run.name}" + (f", {instrument}" if instrument else ""),
        shown.T.rename_axis("instrument").reset_index() if wide else shown.reset_index(),
        "no figures on these days",
        decimals=4,
        limit=1000,
        plain_names=True,
    )


@click.command()
@click.argument("strategy")
@click.argument("day1", type=DAY, required=False)
@click.argument("day2", type=DAY, required=False)
@click.option("--instrument", help="Only this instrument, with its rules.")
@json_option
@click.pass_obj
def compare(
    home: Path | None, strategy: str, day1: datetime | None, *, day2: datetime | None, instrument: str | None, as_json: bool
) -> None:
    """Explain why the positions of STRATEGY changed from DAY1 to DAY2 (default: the last two days that are kept; with DAY1 only, up to the newest).

    The change of each position is split into the parts that come from forecast, volatility, FX, capital, weights and multipliers:
    contracts that add up to the change. With --instrument, also into the parts that come from each rule.
    """
    desk = open_desk(home, quiet=as_json)
    days = saved_days(desk.store, strategy)
    if len(days) == 1 and day2 is None:
        raise ConfigError(f"only one run of {strategy} is kept, of {days[0]}; two are needed to compare")
    first = open_run(desk.store, strategy, day1.date() if day1 else days[-2] if days else None)
    second = open_run(desk.store, strategy, day2.date() if day2 else None)
    explanation = explain(first, second)
    if instrument and instrument not in explanation.positions.index:
        raise ConfigError(f"{strategy} has no instrument {instrument}{nearest(instrument, explanation.positions.index)}")
    instruments = [instrument] if instrument else list(explanation.positions.index)
    if as_json:
        print_json(_comparison(explanation, instruments))
    else:
        _print_comparison(explanation, instruments, detailed=instrument is not None)


def _find_run(home: Path | None, strategy: str, day: date | None, *, quiet: bool) -> tuple[SavedRun, list[date]]:
    """The saved run of that strategy and day (or folder), and the days that are kept."""
    if (Path(strategy) / MANIFEST).exists():
        return SavedRun.open(UPath(strategy)), []
    desk = open_desk(home, quiet=quiet)
    return open_run(desk.store, strategy, day), saved_days(desk.store, strategy)


def _manifest_fields(manifest: Manifest) -> dict[str, object]:
    names = ("strategy", "day", "time", "capital", "currency", "compat", "first", "last", "versions")
    return {name: getattr(manifest, name) for name in names}


def _overview(run: SavedRun, days: list[date], *, as_json: bool) -> None:
    manifest = run.manifest
    if as_json:
        listed = {"days": days, "stages": manifest.stages, "instruments": manifest.instruments, "rules": manifest.rules}
        print_json({**_manifest_fields(manifest), **listed, "positions": run.optimal.reset_index()})
        return
    console.print(
        f"[bold]{escape(run.name)}[/bold]: capital {manifest.capital:,.0f} {manifest.currency}, {len(manifest.instruments)} instruments, "
        f"made {manifest.time:%Y-%m-%d %H:%M} UTC by tradeflow {manifest.versions.get('tradeflow', '')}; "
        f"rows of {manifest.first} to {manifest.last}",
        soft_wrap=True,
    )
    positions = run.optimal.drop(columns="point_size").reset_index()
    positions["reference_date"] = [f"{day:%Y-%m-%d}" if pd.notna(day) else "" for day in positions["reference_date"]]
    positions["reference_contract"] = [
        contract_label(int(contract)) if contract else "" for contract in positions["reference_contract"]
    ]
    print_table("Optimal positions", positions, limit=1000)
    console.print(f"stages: {', '.join(manifest.stages)}", soft_wrap=True)
    console.print(f"rules: {', '.join(manifest.rules)}", soft_wrap=True)
    if days:
        console.print(f"days: {', '.join(map(str, days))}", soft_wrap=True)


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    """The table for display: stamps as text, and one name for each column."""
    single = table.columns.nlevels > 1 and table.columns.get_level_values(0).nunique() == 1
    names = [" ".join(map(str, name[1:] if single else name)) if isinstance(name, tuple) else str(name) for name in table.columns]
    return table.set_axis(names, axis=1).set_axis(pd.Index(_stamps(table), name="date"), axis=0)


def _stamps(table: pd.DataFrame) -> list[str]:
    """The index as text: days, with the time unless all are midnights."""
    index = pd.DatetimeIndex(table.index)
    return list(index.strftime("%Y-%m-%d" if (index == index.normalize()).all() else "%Y-%m-%dT%H:%M"))


def _records(table: pd.DataFrame) -> list[dict[str, object]]:
    """A record for each day, with a figure for each column; columns of two levels are nested."""
    records: list[dict[str, object]] = []
    for stamp, row in zip(_stamps(table), table.to_numpy(float), strict=True):
        figures: dict[str, Any] = {"date": stamp}
        for name, value in zip(table.columns, row, strict=True):
            if isinstance(name, tuple):
                figures.setdefault(str(name[0]), {})[str(name[1])] = value
            else:
                figures[str(name)] = value
        records.append(figures)
    return records


def _comparison(explanation: Explanation, instruments: list[str]) -> dict[str, object]:
    positions = explanation.positions.loc[instruments]
    rules = explanation.rules[explanation.rules.index.get_level_values("instrument").isin(instruments)]
    return {
        "before": _manifest_fields(explanation.before.manifest),
        "after": _manifest_fields(explanation.after.manifest),
        "settings": explanation.settings.reset_index(),
        "positions": positions.reset_index().assign(sentence=[explanation.sentence(instrument) for instrument in instruments]),
        "rules": rules.reset_index(),
    }


def _print_comparison(explanation: Explanation, instruments: list[str], *, detailed: bool) -> None:
    before, after = explanation.before.manifest, explanation.after.manifest
    console.print(
        f"[bold]{escape(after.strategy)}[/bold] from {before.day} to {after.day}: capital {before.capital:,.0f} -> {after.capital:,.0f} "
        f"{after.currency}",
        soft_wrap=True,
    )
    for row in explanation.settings.reset_index().itertuples():
        console.print(f"setting {escape(str(row.key))}: {escape(str(row.before))} -> {escape(str(row.after))}", soft_wrap=True)
    table = explanation.positions.loc[instruments]
    shown_factors = [name for name in FACTORS if (table[name].abs() >= 0.005).any() or name in ("forecast", "volatility")]
    held = [_before_and_after(row.held_before, row.held_after, 0) for row in table.itertuples()]
    figures = _without_tiny(table[["before", "after", "change", *shown_factors]]).rename(columns=WORDS).assign(held=held)
    print_table("Notional positions, what changed them, and whole contracts held", figures.reset_index(), limit=1000)
    listed = [instrument for instrument in instruments if detailed or abs(table["change"][instrument]) >= SMALL]
    for instrument in listed:
        console.print(escape(explanation.sentence(instrument)), soft_wrap=True)
    if len(listed) < len(instruments):
        console.print(f"{len(instruments) - len(listed)} {'others ' if listed else ''}changed by less than {SMALL} contracts")
    for instrument in instruments if detailed else []:
        _print_rules(explanation, instrument)


def _without_tiny(table: pd.DataFrame, decimals: int = 2) -> pd.DataFrame:
    """Figures that would be shown as -0.00 as 0."""
    return table.round(decimals) + 0.0


def _before_and_after(before: Any, after: Any, decimals: int) -> str:
    """`12 -> 13`, or one figure if they are the same; empty if both are missing."""
    texts = ["no" if pd.isna(value) else f"{value + 0.0:,.{decimals}f}" for value in (before, after)]
    return ("" if texts[0] == "no" else texts[0]) if texts[0] == texts[1] else " -> ".join(texts)


def _print_rules(explanation: Explanation, instrument: str) -> None:
    names = [name for name in FACTORS if name != "rest"]
    figures = explanation.factors.loc[instrument].unstack().loc[names, ["before", "after"]]
    figures = figures.assign(contracts=_without_tiny(explanation.positions.loc[[instrument], names], 3).to_numpy(float)[0])
    print_table(f"Factors of {instrument}", figures.rename(index=WORDS).rename_axis("factor").reset_index(), decimals=4)
    rules = _without_tiny(explanation.rules.loc[[instrument]].droplevel("instrument"), 3)
    by_rule = pd.DataFrame(
        {
            "rule": rules.rename(index={MULTIPLIER: "multiplier", CAP: "cap"}).index,
            "forecast": [_before_and_after(row.forecast_before, row.forecast_after, 1) for row in rules.itertuples()],
            "weight": [_before_and_after(row.weight_before, row.weight_after, 3) for row in rules.itertuples()],
            "by forecast": rules["by_forecast"].to_numpy(),
            "by weight": rules["by_weight"].to_numpy(),
        }
    )
    print_table(f"Forecasts of {instrument}, and the contracts that they add", by_rule, decimals=3, limit=1000, plain_names=True)
    row = explanation.positions.loc[[instrument]].iloc[0]
    console.print(
        f"whole contracts held by the backtest: {_before_and_after(row['held_before'], row['held_after'], 0)}; "
        f"buffers and rounding made {row['rounding']:+,.2f} of the change",
        soft_wrap=True,
    )
