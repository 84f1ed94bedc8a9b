"""Errors that a person is meant to read: each says what is wrong, where, and what to do next."""

from __future__ import annotations


class TradeflowError(ValueError):
    """Root of every expected failure. The command line prints it as one line, without a traceback."""


class ConfigError(TradeflowError):
    """A settings file, table, strategy file or argument is wrong; the message names file, line or field."""


class DataError(TradeflowError):
    """Market data is missing, malformed or inconsistent; the message names instrument, contract and date."""


class StateError(TradeflowError):
    """The home, its ledger or its store is not in the state that the operation needs."""
