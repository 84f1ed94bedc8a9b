"""How a vendor writes its files: a profile, packaged or in a small YAML file of one's own.

A profile may name another one as its `base`, and then says only what is different: a mapping is merged key by key, anything else replaces.
"""

from __future__ import annotations

import re
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tradeflow_core.errors import ConfigError
from tradeflow_core.model import nearest
from tradeflow_core.prices import FREQUENCY_NAMES

ISO = "iso"
PLAIN = "plain"
"""The profile that counts where none is named, and on which every other one is based."""

_PLACES = {
    "{instrument}": r"(?P<instrument>[A-Za-z0-9_.&+-]+?)",
    "{contract}": r"(?P<contract>\d{8}|\d{6}|[FGHJKMNQUVXZ](?:\d{4}|\d{2})|\d{4}[FGHJKMNQUVXZ])",
    "*": ".*",
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Columns(_Part):
    """Names that a column may have in the header, the best first; upper and lower case are alike."""

    time: tuple[str, ...]
    final: tuple[str, ...]
    open: tuple[str, ...] = ()
    high: tuple[str, ...] = ()
    low: tuple[str, ...] = ()
    volume: tuple[str, ...] = ()

    @field_validator("*", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class Numbers(_Part):
    """How numbers are written. `fractions`: 450-6 is 450 6/8, 112-16 and 112'16 are 112 16/32, 112'165 is 112 and 16.5/32. `suffixes`: letters
    that may follow a price. `missing`: what stands for no value, beside nothing, N/A and the like."""

    decimal: str = "."
    thousands: str = ""
    fractions: bool = False
    suffixes: str = ""
    missing: tuple[str, ...] = ()

    @field_validator("decimal")
    @classmethod
    def _decimal(cls, value: str) -> str:
        if value not in (".", ","):
            raise ValueError('write "." or ","')
        return value

    @field_validator("thousands")
    @classmethod
    def _thousands(cls, value: str) -> str:
        if value not in ("", ",", ".", "'", " "):
            raise ValueError('write ",", ".", "\'" or " ", or leave it out')
        return value

    @model_validator(mode="after")
    def _differ(self) -> Numbers:
        if self.thousands == self.decimal:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}; they have to differ")
        if self.fractions and self.thousands == "'":
            raise ValueError("an apostrophe cannot separate both thousands and fractions; leave one of them out")
        return self


class Skip(_Part):
    """Lines that are left out, and counted: above the header, notes below the last price, rows without any price, and times that do not exist
    since the clocks were put forward."""

    above_header: bool = False
    footer: bool = True
    empty_days: bool = True
    missing_hours: bool = False


class FileName(_Part):
    """Names of files: `{instrument}` and `{contract}` stand for themselves, `*` for anything; `frequency` of their rows, if the name tells."""

    name: str
    frequency: str | None = None

    @field_validator("name")
    @classmethod
    def _has_contract(cls, value: str) -> str:
        if value.count("{contract}") != 1 or value.count("{instrument}") > 1:
            raise ValueError("write {contract} once, and {instrument} at most once")
        if unknown := set(re.findall(r"\{[^}]*\}", value)) - set(_PLACES):
            raise ValueError(f"{sorted(unknown)[0]} is unknown; write {{instrument}}, {{contract}} or *")
        return value

    @field_validator("frequency")
    @classmethod
    def _frequency(cls, value: str | None) -> str | None:
        if value is not None and value not in FREQUENCY_NAMES:
            raise ValueError(f"{value} is unknown; use one of {', '.join(FREQUENCY_NAMES)}")
        return value

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What a name has to match, upper and lower case being alike."""
        parts = re.split(r"(\{instrument\}|\{contract\}|\*)", self.name)
        return re.compile("".join(_PLACES.get(part, re.escape(part)) for part in parts), re.IGNORECASE)


class Profile(_Part):
    """How a vendor writes. `zone`: time zone of times without an offset (None: the desk's). `times`: "iso", or formats as of strptime. `symbols`:
    our instrument by the vendor's symbol; a symbol that is not listed is taken for our own code."""

    columns: Columns
    zone: str | None = None
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    encoding: str = "utf-8-sig"
    times: tuple[str, ...] = (ISO,)
    numbers: Numbers = Numbers()
    skip: Skip = Skip()
    files: tuple[FileName, ...] = ()
    symbols: dict[str, str] = {}

    @field_validator("zone")
    @classmethod
    def _zone(cls, value: str | None) -> str | None:
        try:
            if value is not None:
                ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{value!r} is no time zone; write one such as America/Chicago") from None
        return value

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError:
            raise ValueError(f"{value!r} is no encoding; write one such as utf-8 or latin-1") from None
        return value

    @field_validator("times")
    @classmethod
    def _not_alike(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("name at least one form")
        forms: dict[str, str] = {}
        for form in value:
            if form != ISO and not re.search("%[dejDFxc]", form):
                raise ValueError(f"{form!r} is no form of a time; write {ISO}, or one such as %m/%d/%Y")
            kind = re.sub("%[mdy]", "%?", form)
            if kind in forms:
                raise ValueError(f"{forms[kind]} and {form} can be mistaken for each other; keep the one that the files have")
            forms[kind] = form
        return value

    def changed(self, source: str, **changes: Any) -> Profile:
        """The profile with other values, nested as in a file; values that are None stay as they are. Raises ConfigError naming `source`."""
        return _validated(_layered(self.model_dump(), _without_none(changes)), source)


def packaged_profiles() -> dict[str, Path]:
    """The files of the profiles that come with the package, by name."""
    folder = Path(str(resources.files("tradeflow_core.vendor_files") / "profiles"))
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def load_profile(name: str) -> Profile:
    """A packaged profile, or that of a YAML file. Raises ConfigError naming file and field for whatever is wrong in it."""
    return _validated(_tree(name, ()), str(name))


def _tree(name: str, above: tuple[Path, ...]) -> dict[str, Any]:
    """The values of a profile laid over those of its base; `above`: the files that lead to it."""
    packaged = packaged_profiles()
    file = packaged.get(name, Path(name))
    if above and name not in packaged:
        file = above[-1].parent / name
    if name not in packaged and not file.is_file():
        raise ConfigError(
            f"there is no profile {name}{nearest(name, packaged)}: profiles are {', '.join(packaged)}, or name a YAML file of your own"
        )
    if file.resolve() in (each.resolve() for each in above):
        raise ConfigError(f"{above[-1]}, base: {name} leads back to itself; name another one, or none")
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{file}: a profile is a mapping of fields to values; the fields are base, {', '.join(Profile.model_fields)}"
        )
    base = tree.pop("base", None if packaged.get(PLAIN) == file else PLAIN)
    _validated(_layered(_tree(PLAIN, ()), tree) if base else tree, str(file))  # so that the error names the file that is wrong
    return _layered(_tree(str(base), (*above, file)), tree) if base else tree


def _validated(tree: dict[str, Any], source: str) -> Profile:
    try:
        return Profile.model_validate(tree)
    except ValidationError as error:
        raise ConfigError("\n".join(_explained(problem, source) for problem in error.errors())) from None


def _explained(problem: Any, source: str) -> str:
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        parts: dict[str, type[_Part]] = {"columns": Columns, "numbers": Numbers, "skip": Skip, "files": FileName}
        fields = parts.get(str(problem["loc"][0]) if len(problem["loc"]) > 1 else "", Profile).model_fields
        hint = nearest(str(problem["loc"][-1]), fields) or f"; fields are {', '.join(fields)}"
        return f"{source}: unknown field {path}{hint}"
    message = problem["msg"].removeprefix("Value error, ")
    found = "" if problem["type"] in ("value_error", "missing") else f"; found {problem['input']!r}"
    return f"{source}, {path}: {message}{found}"


def _layered(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    mappings = [key for key in upper if isinstance(upper[key], dict) and isinstance(lower.get(key), dict)]
    return {**lower, **upper, **{key: _layered(lower[key], upper[key]) for key in mappings}}


def _without_none(tree: dict[str, Any]) -> dict[str, Any]:
    return {key: _without_none(value) if isinstance(value, dict) else value for key, value in tree.items() if value is not None}
