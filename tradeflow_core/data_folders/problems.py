"""What is wrong with files, all of it at once, and what their reader ought to know."""

from __future__ import annotations

from dataclasses import dataclass, field

from tradeflow_core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Note:
    """Something about what was read all the same. `about`: the instrument or currency pair; `kind` in a few words, `detail` a sentence."""

    about: str
    kind: str
    detail: str

    def __str__(self) -> str:
        return f"{self.about}: {self.detail}" if self.about else self.detail


@dataclass
class Problems:
    """Problems that are collected and told together. `shown`: so many of them are named, the others counted."""

    shown: int = 20
    texts: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """One more."""
        self.texts.append(text)

    def __bool__(self) -> bool:
        return bool(self.texts)

    def error(self) -> ConfigError:
        """The error that tells them, each on a line."""
        more = len(self.texts) - self.shown
        return ConfigError("\n".join([*self.texts[: self.shown], *([f"and {more:,} more of the kind"] if more > 0 else [])]))

    def raise_if_any(self) -> None:
        """Raise ConfigError with all of them."""
        if self:
            raise self.error()
