"""The section `[simulated.faults]` of the settings: what a simulated broker does wrong, to practise with."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, field_validator

from tradeflow_core.home.settings_section import Section, Seed
from tradeflow_core.model import nearest

MANY_MINUTES = 10**6
"""Two years: no fault lasts longer."""
Probability = Annotated[float, Field(ge=0, le=1)]


class FaultSettings(Section):
    """Faults of the simulated broker, to practise with: each is a probability, from 0 (never, the default) to 1 (always).

    The same seed gives the same faults. Corrections, voided trades, refusals and trades made elsewhere are facts of the exchange; the other
    faults are only in what the broker says, or does not say.
    """

    seed: Seed = Field(default=1, description="seed of the faults: the same seed and the same orders give the same faults")
    delay_minutes: int = Field(
        default=45,
        ge=0,
        le=MANY_MINUTES,
        description="how long after a trade its late report, its late commission, its correction or its voiding comes",
    )
    denied_minutes: int = Field(
        default=0,
        ge=0,
        le=MANY_MINUTES,
        description="how long a denied order is missing from the snapshots; 0: from one snapshot",
    )
    late_executions: Probability = Field(default=0, description="an execution is reported `delay_minutes` late")
    doubled_executions: Probability = Field(default=0, description="an execution is reported twice")
    disordered_executions: Probability = Field(default=0, description="an execution is reported before those that came first")
    late_commissions: Probability = Field(
        default=0, description="the commission of an execution is unknown for `delay_minutes`, and then reported"
    )
    corrected_executions: Probability = Field(
        default=0, description="an execution is replaced by one at another price, after `delay_minutes`"
    )
    busted_executions: Probability = Field(default=0, description="a trade is voided with all its legs, after `delay_minutes`")
    foreign_trades: Probability = Field(
        default=0, description="after a trade of ours, somebody trades the same contract at the broker's terminal"
    )
    foreign_orders: Probability = Field(
        default=0, description="after a trade of ours, somebody places an order at the terminal that goes on working"
    )
    liquidations: Probability = Field(default=0, description="the broker closes a position, once a day for each contract held")
    denied_orders: Probability = Field(default=0, description="an order is missing from snapshots although the broker has it")
    silences: Probability = Field(
        default=0,
        description="the broker does not answer a question about orders, executions or positions, once for each instant",
    )
    lost_orders: Probability = Field(default=0, description="an order does not arrive, and there is no answer")
    lost_answers: Probability = Field(default=0, description="an order arrives, but the answer to it is lost")
    rejected_orders: Probability = Field(default=0, description="the broker refuses an order")
    moved_prices: Probability = Field(
        default=0, description="a quote is out of date: the price has moved by one to three ticks when an order comes"
    )
    partial_fills: Probability = Field(
        default=0, description="a quote shows three times the size that can be had, so that an order fills in part"
    )
    late_cancels: Probability = Field(
        default=0, description="a cancellation takes effect only when time has moved on, and the order may have filled by then"
    )
    odd_hours: Probability = Field(
        default=0, description="the broker says all day that a market is closed, whatever the tables say"
    )
    session_drops: Probability = Field(
        default=0, description="the connection breaks, once for each instant, and is then synchronised anew"
    )
    explicit: tuple[str, ...] = Field(
        default=(),
        description="faults that happen once: FAULT@TIME, at its first occasion from then on, such as "
        "session_drops@2024-01-08T15:00+00:00",
    )

    @field_validator("explicit", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(text.strip() for text in value.split(",") if text.strip()) if isinstance(value, str) else value

    @field_validator("explicit")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            fault, instant = split_explicit(text)
            if fault not in FAULTS:
                raise ValueError(f"{text!r} names no fault{nearest(fault, FAULTS)}")
            if instant is None:
                raise ValueError(f"{text!r} needs a time with its zone after the @, such as 2024-01-08T15:00+00:00")
        return value

    @property
    def any(self) -> bool:
        """Whether there is any fault at all."""
        return bool(self.explicit) or any(getattr(self, name) for name in FAULTS)


FAULTS = tuple(name for name, field in FaultSettings.model_fields.items() if field.annotation is float)
"""Names of all faults."""


def split_explicit(text: str) -> tuple[str, datetime | None]:
    """The fault and the instant of FAULT@TIME; None for a time that cannot be read or has no zone."""
    fault, _, stamp = text.partition("@")
    try:
        instant = datetime.fromisoformat(stamp)
    except ValueError:
        return fault, None
    return fault, instant if instant.tzinfo else None
