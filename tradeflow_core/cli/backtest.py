"""Backtests: running one, sweeping over settings; the commands for saved ones are in `saved.py`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import pandas as pd
from rich.markup import escape
from upath import UPath

from tradeflow_core.cli.common import CAPITAL, DAY, console, error_console, json_option, print_json, print_table, progress
from tradeflow_core.cli.saved import compare, show
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError
from tradeflow_core.home import Home, WallClock
from tradeflow_core.model import nearest
from tradeflow_core.nightly import production_data, save_folder
from tradeflow_core.strategy import (
    Backtest,
    BacktestData,
    Correction,
    StrategyConfig,
    load_strategy,
    only_instruments,
    packaged_strategies,
    parse_changes,
    parse_grid,
    run_backtest,
    sweep as run_sweep,
)
from tradeflow_core.strategy.results import Summary, summarise, summary_tables

TEAR_SHEET, SUMMARY = "tear_sheet.html", "summary.json"

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="A data folder of pysystemtrade (csvconfig, multiple_prices_csv, ...). Default: the prices of the home.",
)
instruments_option = click.option("--instruments", help="Only these instruments, separated by commas.")
rules_option = click.option(
    "--rules", "rule_modules", multiple=True, metavar="MODULE", help="A module of yours whose functions CONFIG may name as rules."
)
out_file = click.Path(path_type=Path, dir_okay=False)


@click.group()
def backtest() -> None:
    """Run strategies over history, look into saved runs, and explain why positions changed.

    \b
    tradeflow backtest strategies                                   the packaged strategies
    tradeflow backtest run static_trend_carry                       on the prices of the home
    tradeflow backtest run my.yaml --data path/to/csv --out result  on files; no home is needed
    tradeflow backtest sweep my.yaml --set buffer_size=0.05,0.1,0.2 many configurations at once
    tradeflow backtest show trend_carry --stage combined_forecast   any stage of the newest production run
    tradeflow backtest compare trend_carry                          why positions changed since the day before
    """


@backtest.command()
@json_option
def strategies(*, as_json: bool) -> None:
    """List the packaged strategies."""
    rows = [_strategy_row(name, path) for name, path in packaged_strategies().items()]
    if as_json:
        print_json(rows)
        return
    print_table("Packaged strategies", pd.DataFrame(rows).drop(columns="path"))
    console.print("copy one and change it: " + str(next(iter(packaged_strategies().values())).parent), soft_wrap=True)


def _strategy_row(name: str, path: Path) -> dict[str, Any]:
    """A strategy file in one row: the first sentence of its head comment, and what kind of strategy it is."""
    comments = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        comments.append(line.lstrip("# ").rstrip())
    config = load_strategy(path)
    kinds = {"estimated weights": config.use_forecast_weight_estimates, "dynamic": bool(config.dynamic_optimisation)}
    return {
        "name": name,
        "rules": len(config.trading_rules),
        "kind": ", ".join(kind for kind, applies in kinds.items() if applies) or "static",
        "description": " ".join(comments).partition(". ")[0].rstrip("."),
        "path": str(path),
    }


def strategy_path(name: str) -> Path:
    """The file of a strategy given as a path or by the name of a packaged one. Raises ConfigError with the most similar name."""
    packaged = packaged_strategies()
    if name in packaged:
        return packaged[name]
    if Path(name).is_file():
        return Path(name)
    if Path(name).suffix in (".yaml", ".yml"):
        raise ConfigError(
            f"there is no strategy file {name}; give the path of one, or a packaged strategy: {', '.join(packaged)}"
        )
    raise ConfigError(f"there is no packaged strategy {name}, nor a file of that name{nearest(name, packaged)}")


def load_data(home: Path | None, folder: Path | None, *, quiet: bool) -> BacktestData:
    """Data of a folder of CSV files; without a folder, the stored prices of the home."""
    if folder is not None:
        return BacktestData.from_pysystemtrade(folder)
    try:
        desk = Desk(Home.open(home))
    except ConfigError as error:
        raise ConfigError(f"{error}; or give the folder of the prices with --data") from None
    if not quiet:
        console.print(f"[dim]{desk.home.describe()}[/dim]", soft_wrap=True)
    return production_data(desk)


def _allowed(home: Path | None, modules: tuple[str, ...]) -> tuple[str, ...]:
    """The modules whose functions a strategy file may name: those of the option, and of the home where there is one."""
    try:
        return (*modules, *Home.open(home).settings.rule_modules)
    except ConfigError:
        return modules


def _limited_to(config: StrategyConfig, data: BacktestData, names: str | None) -> StrategyConfig:
    instruments = [name.strip() for name in names.split(",") if name.strip()] if names else []
    return only_instruments(config, data, instruments) if instruments else config


@backtest.command()
@click.argument("config")
@data_option
@click.option("--capital", type=CAPITAL, help="Notional capital (default: as the strategy says).")
@click.option("--currency", help="Base currency.")
@click.option("--start", type=DAY, help="Ignore prices before this day.")
@instruments_option
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting; keys are dotted, values YAML.")
@rules_option
@click.option("--compat", help="pst, fixed, or names of corrections, separated by commas.")
@click.option("--dynamic/--static", default=None, help="With or without dynamic optimisation.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Write stages (Parquet), summary and tear sheet there."
)
@click.option("--tear-sheet", type=out_file, help="Write the tear sheet (HTML) to this file.")
@json_option
@click.pass_obj
def run(
    home: Path | None,
    config: str,
    data: Path | None,
    *,
    capital: float | None,
    currency: str | None,
    start: datetime | None,
    instruments: str | None,
    settings: tuple[str, ...],
    rule_modules: tuple[str, ...],
    compat: str | None,
    dynamic: bool | None,
    out: Path | None,
    tear_sheet: Path | None,
    as_json: bool,
) -> None:
    """Run the strategy CONFIG, a packaged one or a YAML file, over its whole history.

    \b
    tradeflow backtest run static_trend_carry --capital 500000 --set buffer_size=0.2
    tradeflow backtest run futuresconfig.yaml --data data/futures --compat pst --out result
    """
    options = {
        "notional_trading_capital": capital,
        "base_currency": currency,
        "start_date": start.date() if start else None,
        "compat": _compat(compat),
        "dynamic_optimisation": dynamic,
    }
    path = strategy_path(config)
    strategy = load_strategy(
        path,
        _merged(parse_changes(settings), {key: value for key, value in options.items() if value is not None}),
        rule_modules=_allowed(home, rule_modules),
    )
    inputs = load_data(home, data, quiet=as_json)
    for warning in strategy.warnings:
        error_console.print(f"[yellow]warning:[/yellow] {escape(warning)}", soft_wrap=True)
    started = time.perf_counter()
    backtest = run_backtest(_limited_to(strategy, inputs, instruments), inputs)
    sheets = [file for file in (tear_sheet, out / TEAR_SHEET if out else None) if file]
    for folder in {file.parent for file in sheets}:
        _make_folder(folder)
    results: list[Summary] = []
    steps = [
        *_steps(backtest),
        ("statistics", lambda: results.append(summarise(backtest))),
        *((f"tear sheet {file.name}", lambda file=file: _write_tear_sheet(backtest, file)) for file in sheets),
        *([("stages as Parquet", lambda: _write_stages(backtest, out, path.stem, summary=results[0]))] if out else []),
    ]
    bar, task = progress("backtest", len(steps), quiet=as_json)
    with bar:
        for name, step in steps:
            bar.update(task, description=name)
            step()
            bar.advance(task)
    seconds = time.perf_counter() - started
    written = [str(file) for file in [*sheets, *([out] if out else [])]]
    if as_json:
        print_json({**results[0].to_dict(), "seconds": seconds, "written": written})
        return
    for table in summary_tables(results[0]):
        if table.row_count:
            console.print(table)
    console.print(f"{len(backtest.instruments)} instruments, {len(backtest.forecasts.rules)} rules, {seconds:.1f} s")
    for file in written:
        console.print(f"wrote [bold]{file}[/bold]", soft_wrap=True)


def _compat(text: str | None) -> str | list[str] | None:
    """`pst`, `fixed` or names of corrections."""
    if text is None or text in ("pst", "fixed"):
        return text
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in set(Correction):
            raise ConfigError(f"--compat: there is no correction {name}{nearest(name, ['pst', 'fixed', *Correction])}")
    return names


def _merged(settings: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    if given_twice := sorted(set(settings) & set(options)):
        raise ConfigError(f"--set {given_twice[0]} and the option for it are both given; keep one of them")
    return {**settings, **options}


def _steps(backtest: Backtest) -> list[tuple[str, Callable[[], object]]]:
    """The steps of the calculation, each with its text for the progress bar."""

    def stage(name: str) -> Callable[[], object]:
        return lambda: backtest.stage(name)

    def forecast(rule: str) -> Callable[[], object]:
        return lambda: backtest.forecasts.of(rule).capped

    rules = sorted({rule for used in backtest.forecasts.rules_by_instrument.values() for rule in used})
    return [
        ("reading prices", stage("daily_price")),
        ("volatility", stage("daily_returns_volatility")),
        *((f"forecasts of {rule}", forecast(rule)) for rule in rules),
        ("combined forecasts", stage("combined_forecast")),
        ("positions by instrument", stage("subsystem_position")),
        ("instrument weights", stage("instrument_weights")),
        ("diversification multiplier", stage("idm")),
        ("positions of the portfolio", stage("notional_position")),
        ("positions held", stage("held_position")),
        ("profit and loss", stage("portfolio_pandl")),
    ]


def _write_tear_sheet(backtest: Backtest, file: Path) -> None:
    from tradeflow_core.strategy.results import tear_sheet  # charts take long to import, and most commands need none

    tear_sheet(backtest, file)


def _write_stages(backtest: Backtest, folder: Path, name: str, *, summary: Summary) -> None:
    try:
        save_folder(UPath(folder), backtest, name, time=WallClock().now())
        (folder / SUMMARY).write_text(json.dumps(summary.to_dict(), indent=1), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written ({error.strerror}); choose another place") from error


def _make_folder(folder: Path) -> None:
    """Make the folder; done before the backtest, so that a folder that cannot be written fails early."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made ({error.strerror}); choose another place") from error


@backtest.command()
@click.argument("config")
@data_option
@instruments_option
@click.option(
    "--set",
    "settings",
    multiple=True,
    required=True,
    metavar="KEY=V1,V2,...",
    help="Values of a setting; several keys make a grid.",
)
@rules_option
@json_option
@click.pass_obj
def sweep(
    home: Path | None,
    config: str,
    data: Path | None,
    *,
    instruments: str | None,
    settings: tuple[str, ...],
    rule_modules: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run the strategy CONFIG with every combination of settings; what they have in common is computed once.

    \b
    tradeflow backtest sweep static_trend_carry --set buffer_size=0.05,0.1,0.2 --set percentage_vol_target=15,25
    tradeflow backtest sweep my.yaml --set forecast_weights='{carry: 0.2, trend: 0.8}','{carry: 0.8, trend: 0.2}'
    """
    path = strategy_path(config)
    points, allowed = parse_grid(settings), _allowed(home, rule_modules)
    configs = {_label(point): load_strategy(path, point, rule_modules=allowed) for point in points}
    inputs = load_data(home, data, quiet=as_json)
    configs = {label: _limited_to(strategy, inputs, instruments) for label, strategy in configs.items()}
    bar, task = progress("sweep", len(configs), quiet=as_json)
    started = time.perf_counter()
    with bar:
        result = run_sweep(configs, inputs, lambda label: bar.update(task, advance=1, description=label))
    seconds = time.perf_counter() - started
    settings_of = [{key: _plain_value(value) for key, value in point.items()} for point in points]
    columns = pd.DataFrame(settings_of, index=pd.Index(configs))
    if as_json:
        table = columns.join(result.table).rename_axis("label").reset_index()
        print_json({"seconds": seconds, "shared": result.shared, "configurations": table})
        return
    shown = columns.rename(columns=_short_names(list(points[0]))).astype(str).join(result.table)
    print_table(f"{path.stem}: {len(configs)} configurations, {seconds:.1f} s", shown, limit=10_000)
    console.print("percent of capital a year, net unless stated otherwise; turnover in average positions a year")


def _short_names(keys: list[str]) -> dict[str, str]:
    """The last part of each dotted key, or the whole key if another one ends in the same part."""
    last = [key.rpartition(".")[2] for key in keys]
    return {key: short if last.count(short) == 1 else key for key, short in zip(keys, last, strict=True)}


def _label(point: dict[str, Any]) -> str:
    return ", ".join(f"{key}={_plain_value(value)}" for key, value in point.items())


def _plain_value(value: Any) -> Any:
    return value if isinstance(value, int | float | str) or value is None else json.dumps(value, default=str)


backtest.add_command(show)
backtest.add_command(compare)
