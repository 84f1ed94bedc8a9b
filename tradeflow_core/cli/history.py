"""Moving in with a history, and replaying it."""

import click

COMMANDS: list[click.Command] = []
