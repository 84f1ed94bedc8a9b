"""The `tradeflow` command."""

from tradeflow_core.cli.main import main

__all__ = ["main"]
