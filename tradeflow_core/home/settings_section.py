"""What all sections of the settings have in common: which numbers and texts no setting takes."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

MANY_DAYS = 36_500
"""A hundred years: no setting counts more days."""
MOST_CAPITAL = Decimal(10**12)
LONGEST_NAME = 64

Size = Annotated[float, Field(le=1e9)]
"""A number without another upper bound: what is larger is a slip."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, pattern=r"^\S(.*\S)?$")]
"""Text that stands in files, tables and messages: not empty, no spaces at its ends."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_STRATEGY = re.compile(r"[^\W_][\w .+-]*")


class Section(BaseModel):
    """A section of the settings. Unknown keys are refused, and in every key: numbers that are infinite or NaN, `true` and `false` where a
    number is wanted, and text with control characters."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _is_plain(cls, value: Any, info: Any) -> Any:
        if isinstance(value, str) and _CONTROL.search(value):
            raise ValueError("the text has control characters; write it without them")
        kind = cls.model_fields[info.field_name].annotation
        if isinstance(value, bool) and kind in (int, float, Decimal):
            raise ValueError("a number is needed")
        return value


def is_strategy_name(name: str) -> bool:
    """Whether a strategy may have this name: it is that of a folder of the store as well, and stands in tables and messages."""
    return len(name) <= LONGEST_NAME and bool(_STRATEGY.fullmatch(name)) and name == name.strip()
