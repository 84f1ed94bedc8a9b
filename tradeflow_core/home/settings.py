"""The settings of a home: one validated object, read from `tradeflow.toml` and overlaid by TRADEFLOW_* variables.

No other code reads the environment. In a variable, two underscores separate a section from its key: `TRADEFLOW_DAY__TICK_MINUTES=15`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from tradeflow_core.errors import ConfigError
from tradeflow_core.home.fault_settings import FaultSettings
from tradeflow_core.home.settings_section import (
    LONGEST_NAME,
    MANY_DAYS,
    MOST_CAPITAL,
    Name,
    Section,
    Seed,
    Size,
    is_strategy_name,
)
from tradeflow_core.home.upgrades import HOME_VERSION
from tradeflow_core.model import nearest

FIRST_VERSION = 1
"""The version of a home whose settings file names none."""

SIMULATED_MARKETS = ("simulated", "replay")
"""Markets whose time is simulated."""

PREFIX = "TRADEFLOW_"
SECRETS = {"smtp_password", "database"}
"""Settings that are, or hold, a password: no error shows them."""
UI_PASSWORD = "TRADEFLOW_UI_PASSWORD"
NOT_SETTINGS = {"TRADEFLOW_HOME", "TRADEFLOW_HOME_VERSION", "TRADEFLOW_SHARED", UI_PASSWORD}
"""Variables with the prefix that are not settings of a home: its folder, its layout version, the reference data of the tests, and the password
of the UI."""


class SimulatedMarketSettings(Section):
    """The simulated market: its random seed, its first business day (a Monday) and its price history before that day."""

    seed: Seed = Field(default=7, description="seed of its random numbers: the same seed gives the same market")
    first_day: date = Field(
        default=date(2024, 1, 8), ge=date(1990, 1, 1), le=date(2100, 1, 1), description="first business day, a Monday"
    )
    history_years: int = Field(default=3, ge=1, le=30, description="years of prices before the first day")
    broken: tuple[str, ...] = Field(
        default=(), description="instruments for which the market sends invalid bars: a fault to practise with"
    )
    faults: FaultSettings = FaultSettings()

    @field_validator("broken", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(instrument for instrument in value.split(",") if instrument) if isinstance(value, str) else value


class ReplaySettings(Section):
    """A replay: the tape that is the market, and the first and last day."""

    tape: str = Field(description="folder of the tape, as `tradeflow import` made it")
    start: date = Field(description="first business day")
    end: date = Field(description="last day")
    fill_at: Literal["next close", "close after next"] = Field(
        default="next close",
        description="the close at which an order is filled that no intraday bar of the tape has filled: the first one after its decision, or, "
        "with `close after next`, the second one, since every decision is then traded one business day late; never the one it was decided on",
    )

    @property
    def decisions_wait(self) -> bool:
        """Whether the orders of a business day follow what was decided on the day before."""
        return self.fill_at == "close after next"


class DaySettings(Section):
    """The business day, in the desk's time zone: when it begins, when the stack handler stops, and how often it runs."""

    start: time = Field(default=time(0, 5), description="when the business day begins, in the desk's time zone")
    session_end: time = Field(
        default=time(19, 45),
        description="when the stack handler stops, in the desk's time zone; orders that are still open are cancelled",
    )
    tick_minutes: int = Field(
        default=30,
        ge=1,
        le=240,
        description="how far time moves in a simulated or replayed market between two passes of the stack handler",
    )


class PriceSettings(Section):
    """How bars are collected and checked."""

    intraday_frequency: Literal["H", "30M", "15M", "5M", "1M"] = Field(
        default="H", description="length of the bars collected beside the daily ones; the broker must have them"
    )
    max_price_spike: Size = Field(
        default=8.0,
        gt=0,
        description="a change above this multiple of the average daily change is a suspected spike: its batch of bars is refused",
    )
    drop_zero_volume_daily: bool = Field(default=False, description="leave out daily bars without volume")
    drop_zero_volume_intraday: bool = Field(default=True, description="leave out intraday bars without volume")
    drop_zero_prices: bool = Field(default=True, description="leave out bars whose last price is 0")
    drop_negative_prices: bool = Field(
        default=False, description="leave out bars whose last price is below 0; off, since some markets have negative prices"
    )
    stale_after_business_days: int = Field(
        default=3, ge=1, le=MANY_DAYS, description="an instrument whose newest price is older may only reduce its position"
    )
    intraday_history_days: int = Field(
        default=30, ge=1, le=MANY_DAYS, description="days of intraday bars that are fetched for a contract without any"
    )
    stitching: Literal["panama", "ratio", "none"] = Field(
        default="panama", description="how adjusted prices are stitched at rolls"
    )


class CapitalSettings(Section):
    """How account values become capital: the compounding method, and the change that somebody has to confirm."""

    method: Literal["full", "half", "fixed"] = Field(
        default="full",
        description="full: profits are added to the capital; half: they only make up for earlier losses; fixed: the capital stays",
    )
    max_change: float = Field(
        default=0.10,
        gt=0,
        lt=1,
        description="a profit or loss since the last account value above this share of the account, deposits and withdrawals since included, "
        "waits until somebody confirms it, and the capital stays",
    )


class RollSettings(Section):
    """Who decides rolls, and by which rules.

    `decide`: None means auto in a simulated market, tape in a replay, person elsewhere. `passive_days` and `force_days` are used in a
    replay; the other keys are thresholds of the automatic rules: volume of the forward contract relative to that of the priced contract,
    and days to the desired roll date.
    """

    decide: Literal["auto", "tape", "person"] | None = Field(
        default=None,
        description="who decides: auto (the rules below), tape (a replay rolls when its tape did), person; none: by the market",
    )
    passive_days: int = Field(
        default=10,
        ge=0,
        le=MANY_DAYS,
        description="in a replay: business days before the tape's roll from which new risk goes to the forward contract",
    )
    force_days: int = Field(
        default=3,
        ge=0,
        le=MANY_DAYS,
        description="in a replay: business days before the tape's roll from which the rest of the position is rolled by spread orders",
    )
    auto_roll_if_relative_volume_higher_than: Size = Field(
        default=1.0,
        gt=0,
        description="the forward contract is liquid where its volume divided by that of the priced contract is above this",
    )
    min_relative_volume: Size = Field(
        default=0.01,
        ge=0,
        description="it is also liquid above this relative volume, if its volume is above `min_absolute_volume` too",
    )
    min_absolute_volume: Size = Field(default=100, ge=0, description="contracts a day, used with `min_relative_volume`")
    near_expiry_days: int = Field(
        default=10, ge=0, le=MANY_DAYS, description="days before the desired roll date from which the rules decide"
    )
    when_undecided: Literal["Force", "Force_Outright", "Close", "Passive", "Ask"] = Field(
        default="Force", description="the roll state for a position held close to the roll; Ask: leave the decision to a person"
    )


class ExecutionSettings(Section):
    """Quotes that are not traded on: the order waits for a better one."""

    max_quote_age_seconds: Size = Field(default=60.0, gt=0, description="an older quote is not traded on")
    max_spread_ratio: Size = Field(
        default=20.0, gt=1, description="a quote wider than this multiple of the usual spread is not traded on"
    )
    max_price_change: Size = Field(
        default=0.20,
        gt=0,
        description="an order is not sent where the price is further from the one it was decided on, as a share of that",
    )


class StrategySettings(Section):
    """One strategy: a packaged name or the path of a YAML file, and its weight in the capital."""

    config: str = Field(
        default="static_trend_carry",
        description="a packaged strategy (`tradeflow backtest strategies`), or the path of a YAML file",
    )
    weight: Size = Field(
        default=1.0, ge=0, description="its share of the capital, relative to the weights of the other strategies"
    )


class DagsterSettings(Section):
    """How Dagster runs the steps of a job: one after the other in the process of the run, or each in its own process.

    Six empty steps take 2 s in one process and 12 s in six.
    """

    executor: Literal["in_process", "multiprocess"] = Field(
        default="in_process", description="in_process: one step after the other; multiprocess: each step in its own process"
    )


class AlertSettings(Section):
    """Where alerts go besides the log. The password comes from TRADEFLOW_ALERTS__SMTP_PASSWORD, never from a file."""

    email_to: str | None = Field(default=None, description="where alerts are sent; none: nowhere")
    email_from: str | None = Field(default=None, description="the sender; none: the same as `email_to`")
    smtp_server: str | None = Field(default=None, description="the mail server")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="its port")
    smtp_user: str | None = Field(default=None, description="the user to log in as; none: without login")
    smtp_password: str | None = Field(
        default=None, repr=False, description="the password; only by its environment variable, never in a file"
    )


class Settings(Section):
    """All settings of a desk. The README has an annotated `tradeflow.toml`."""

    home_version: int = Field(default=FIRST_VERSION, ge=1, description="version of the layout of the home; set by tradeflow")
    market: Literal["simulated", "replay", "ib_paper", "ib_live"] = Field(
        default="simulated", description="where the desk trades"
    )
    account: Name = Field(default="SIM-1", description="the account at the broker")
    base_currency: str = Field(default="USD", pattern="^[A-Z]{3}$", description="currency of capital and profit")
    capital: Decimal = Field(
        default=Decimal("10000000"),
        ge=1,
        le=MOST_CAPITAL,
        description="starting capital of a simulated or replayed account, in base currency",
    )
    time_zone: str = Field(default="America/New_York", description="time zone of the desk: of its business days and schedules")
    universe: tuple[str, ...] = Field(default=(), description="instrument codes; empty: every packaged instrument")
    stale_instruments: tuple[str, ...] = Field(
        default=(),
        description="instruments that are paused: their prices are not collected, and they are not rolled, reported or traded",
    )
    database: str | None = Field(default=None, min_length=1, description="URL of the ledger; default: ledger.sqlite in the home")
    data: str | None = Field(default=None, min_length=1, description="URL of the Parquet store; default: data/ in the home")
    strategies: dict[str, StrategySettings] = Field(default_factory=lambda: {"trend_carry": StrategySettings()})
    rule_modules: tuple[str, ...] = Field(
        default=(),
        description="your own Python modules whose functions a strategy file may name as rules; functions of no other module are run",
    )
    simulated: SimulatedMarketSettings = SimulatedMarketSettings()
    replay: ReplaySettings | None = None
    day: DaySettings = DaySettings()
    prices: PriceSettings = PriceSettings()
    capital_rules: CapitalSettings = CapitalSettings()
    rolls: RollSettings = RollSettings()
    execution: ExecutionSettings = ExecutionSettings()
    alerts: AlertSettings = AlertSettings()
    dagster: DagsterSettings = DagsterSettings()
    live_trading: bool = Field(default=False, description="must be true for a home with market ib_live to send any order")
    keep_runs_days: int = Field(
        default=30, ge=1, le=MANY_DAYS, description="days after which Dagster runs and saved runs of strategies are removed"
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: a folder of zones, such as Europe
            raise ValueError(f"{value!r} is not a time zone; use an IANA name such as Europe/London") from error
        return value

    @field_validator("universe", "stale_instruments", "rule_modules", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(name for name in value.split(",") if name) if isinstance(value, str) else value

    @field_validator("rule_modules")
    @classmethod
    def _module_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if bad := [name for name in value if not all(part.isidentifier() for part in name.split("."))]:
            raise ValueError(f"a module is named as in an import, such as my_rules or my_package.rules: {bad}")
        return value

    @field_validator("universe", "stale_instruments")
    @classmethod
    def _clean_codes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if bad := [name for name in value if "," in name or "/" in name or not name.strip()]:
            raise ValueError(f"instrument codes must have no comma, slash or blank: {bad}")
        if len(set(value)) != len(value):
            raise ValueError("an instrument is named twice")
        return tuple(sorted(value))

    @field_validator("strategies")
    @classmethod
    def _clean_names(cls, value: dict[str, StrategySettings]) -> dict[str, StrategySettings]:
        if not value:
            raise ValueError("at least one strategy is needed")
        if bad := [name for name in value if not is_strategy_name(name)]:
            raise ValueError(
                f"a strategy is named by at most {LONGEST_NAME} letters, digits, spaces, '_', '-', '.' and '+', the first one a letter or "
                f"a digit: {bad}"
            )
        if not any(strategy.weight for strategy in value.values()):
            raise ValueError("the weights of all strategies are 0, so that none has any capital; give one of them a weight")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.market == "replay" and self.replay is None:
            raise ValueError("market is replay, so [replay] with tape, start and end is needed")
        if self.simulated.first_day.weekday() != 0:
            raise ValueError(f"simulated.first_day must be a Monday (it is {self.simulated.first_day:%A %Y-%m-%d})")
        if self.replay is not None and self.replay.end < self.replay.start:
            raise ValueError(f"replay.end, {self.replay.end}, is before replay.start, {self.replay.start}")
        if self.day.session_end <= self.day.start:
            raise ValueError("day.session_end must be later than day.start")
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def time_is_real(self) -> bool:
        """Whether the clock of this home is the machine's. In a simulated or replayed market only commands move it."""
        return self.market not in SIMULATED_MARKETS


def read_settings(path: Path) -> dict[str, Any]:
    """The values of the settings file at `path`. Raises ConfigError where it is missing, not TOML, or of a newer version."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is missing; make a home with `tradeflow init`") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}; correct that line") from error
    version = values.get("home_version", FIRST_VERSION)
    if isinstance(version, int) and version > HOME_VERSION:
        raise ConfigError(
            f"{path.parent} was made by a newer tradeflow (home version {version}, this tradeflow has {HOME_VERSION}); upgrade tradeflow"
        )
    return values


def load_settings(path: Path) -> Settings:
    """Settings of the file at `path`; TRADEFLOW_* variables take precedence. Raises ConfigError naming the file or variable, and the key."""
    return validate_settings(_overlaid(read_settings(path), _from_environment()), str(path))


def validate_settings(values: Mapping[str, Any], source: str) -> Settings:
    """`Settings` from nested `values`. Raises ConfigError naming `source`, or the variable that set the value, and the key."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(problem, source) for problem in error.errors())) from None


def _from_environment() -> dict[str, Any]:
    """The settings in TRADEFLOW_* variables, nested. Raises ConfigError for a variable that is not a setting."""
    names = [name for name in os.environ if name.startswith(PREFIX) and name not in NOT_SETTINGS]
    for name in names:
        if (key := name.removeprefix(PREFIX).lower().split("__")[0]) not in Settings.model_fields:
            raise ConfigError(f"environment variable {name}: no such setting{nearest(key, Settings.model_fields)}; unset it")
    if not names:
        return {}
    # Imported only where a variable is set: it loads asyncio and more, which takes a tenth of a second.
    from pydantic_settings import EnvSettingsSource

    class Plain(EnvSettingsSource):
        """Passes the text on as it is; the validators of `Settings` split lists at commas."""

        def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
            return value

    values = Plain(Settings, env_prefix=PREFIX, env_nested_delimiter="__", case_sensitive=False)()  # type: ignore[arg-type]
    return {key: value for key, value in values.items() if key != "home_version"}


def _overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both merged, key by key within sections; where both have a value, that of `above`."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _overlaid(under, value) if isinstance(value, dict) and isinstance(under, dict) else value
    return merged


def _explain(problem: Any, source: str) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    variable = PREFIX + "__".join(str(part) for part in problem["loc"]).upper()
    if variable in os.environ:
        source = f"environment variable {variable}"
    if problem["type"] == "extra_forbidden":
        return f"{source}: unknown key {where}{nearest(str(problem['loc'][-1]), _keys_of(problem['loc'][:-1]))}; correct or remove it"
    if problem["type"] in ("model_type", "dict_type") and where:
        path = [*map(str, problem["loc"]), *(["NAME"] if problem["type"] == "dict_type" else [])]
        key = _keys_of(problem["loc"])[0]
        example = PREFIX + "__".join([*path, key]).upper() if variable in os.environ else f"{key} = ... below [{'.'.join(path)}]"
        return f"{source}: {where} is a section (it is {_shown(problem)}); set its keys one by one, for example {example}"
    message = problem["msg"].removeprefix("Value error, ")
    shown = f" (it is {_shown(problem)})" if where and not isinstance(problem["input"], dict) else ""
    return f"{source}: {where + ': ' if where else ''}{message}{shown}"


def _shown(problem: Any) -> str:
    """The wrong value, or only its kind where a password may be in it."""
    hidden = SECRETS.intersection(problem["loc"]) or problem["loc"] == ("alerts",)
    return f"of type {type(problem['input']).__name__}" if hidden else repr(problem["input"])


def _keys_of(section: Sequence[Any]) -> list[str]:
    """The keys of the section with that path, empty for the settings themselves."""
    kind: Any = Settings
    for part in section:
        # A table of named sections, such as `strategies`, or an optional one, such as `replay`, has them among its type arguments.
        kind = kind.model_fields[part].annotation if part in kind.model_fields else kind
        kind = next((each for each in get_args(kind) if hasattr(each, "model_fields")), kind)
    return list(kind.model_fields)


def environment_home() -> Path:
    """The home that TRADEFLOW_HOME names, default `./var`."""
    return Path(os.environ.get("TRADEFLOW_HOME", "var")).absolute()


def ui_password() -> str | None:
    """The password that visitors of the UI have to give, where the environment has one."""
    return os.environ.get(UI_PASSWORD)


def take_ui_password() -> str | None:
    """The same, removed from the environment, so that no process which is started later gets it."""
    return os.environ.pop(UI_PASSWORD, None)
