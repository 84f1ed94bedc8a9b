"""What the pages take from elsewhere when the site is built, so that nothing is written twice.

A page holds a marker, which is replaced as the page is read:

- `<!-- every command -->`: each command of `tradeflow`, its arguments and options, out of the command itself;
- `<!-- every setting -->`: each setting of a home, out of the settings model;
- `<!-- file: NAME -->`: a file of the repository's root, with its links made to fit.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tradeflow_core.cli.main import root
from tradeflow_core.home import Settings

if TYPE_CHECKING:
    from sphinx.application import Sphinx

REPO = Path(__file__).resolve().parents[2]
FROM_CODE = ("reference/commands", "reference/settings")
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
"""The page of the site that shows each file of the root."""


# --- commands ------------------------------------------------------------------------------------------------------------


def walk(command: click.Command, context: click.Context) -> Iterator[click.Context]:
    """The contexts of a command and of all commands below it, in the order of its help."""
    yield context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from walk(below, click.Context(below, info_name=name, parent=context))


def commands() -> str:
    """Every command as Markdown: a section for each, below it those of its group."""
    contexts = walk(root, click.Context(root, info_name="tradeflow"))
    return "\n\n".join(_command(context) for context in contexts)


def _command(context: click.Context) -> str:
    command, path = context.command, context.command_path
    level = "#" * (path.count(" ") + 2)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    parts = [f"{level} {path}", f"```text\n{usage}\n```", _help(command.help or "")]
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option) and not parameter.hidden]
    if options:
        rows = [f"| {_cell(names)} | {_cell(text)} |" for names, text in _records(options, context)]
        parts.append("\n".join(["| option | |", "|---|---|", *rows]))
    return "\n\n".join(parts)


def _records(options: list[click.Option], context: click.Context) -> Iterator[tuple[str, str]]:
    for option in options:
        record = option.get_help_record(context)
        if record:
            yield f"`{record[0]}`", record[1]


def _help(text: str) -> str:
    """Help as click lays it out: `\\b` opens a block whose lines stay as they are."""
    blocks = []
    for block in inspect.cleandoc(text).split("\n\n"):
        if block.startswith("\b"):
            blocks.append(f"```text\n{block.removeprefix(chr(8)).strip(chr(10))}\n```")
        else:
            blocks.append(block.replace("<", "&lt;"))
    return "\n\n".join(blocks)


# --- settings ------------------------------------------------------------------------------------------------------------


def settings() -> str:
    """Every setting as Markdown: a section for each table of `tradeflow.toml`, those at the top of the file first."""
    return "\n\n".join(_sections(Settings, ()))


def _sections(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[str]:
    plain, nested = [], []
    for name, field in model.model_fields.items():
        below = _model_of(field.annotation)
        if below is None:
            plain.append(_setting((*path, name), field))
        else:
            nested.append((below, (*path, name) if not _is_table_of_tables(field.annotation) else (*path, name, "NAME")))
    title = f"`[{'.'.join(path)}]`" if path else "At the top of the file"
    yield "\n\n".join([f"## {title}", inspect.cleandoc(model.__doc__ or ""), *plain])
    for below, where in nested:
        yield from _sections(below, where)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """The model of a section: the annotation itself, one beside None, or the values of a dictionary."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_of(part))), None)


def _is_table_of_tables(annotation: Any) -> bool:
    return get_origin(annotation) is dict


def _setting(path: tuple[str, ...], field: FieldInfo) -> str:
    default = "" if field.is_required() else _shown(field.get_default(call_default_factory=True))
    parts = [_type(field)]
    parts += [f"default {default}"] if default else ["must be given"] if field.is_required() else []
    parts += [] if path[0] == "home_version" else [f"`TRADEFLOW_{'__'.join(path).upper()}`"]
    what = f": {field.description}" if field.description else ""
    return f"- **`{path[-1]}`**{what}\n\n  {'; '.join(parts)}"


def _type(field: FieldInfo) -> str:
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most", "pattern": "of the form"}
    limits = [
        f"{text} `{getattr(limit, name)}`"
        for limit in field.metadata
        for name, text in words.items()
        if getattr(limit, name, None) is not None
    ]
    return ", ".join([_annotation(field.annotation), *limits])


def _annotation(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(f"`{argument}`" for argument in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join("none" if part is type(None) else _annotation(part) for part in arguments)
    if origin is tuple:
        return f"list of {_annotation(arguments[0])}"
    names = {
        "str": "text",
        "bool": "true or false",
        "int": "whole number",
        "float": "number",
        "Decimal": "exact number",
        "time": "time of day",
    }
    return names.get(annotation.__name__, annotation.__name__)


def _shown(default: Any) -> str:
    if default is None or default is PydanticUndefined:
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{list(default)}`" if isinstance(default, tuple) else f"`{default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<=", "≤")


# --- files of the root, and Sphinx ---------------------------------------------------------------------------------------


def root_file(name: str) -> str:
    """A file of the root as a page: its links into `docs/` and to other files of the root lead to their pages."""
    text = (REPO / name).read_text(encoding="utf-8").replace("](docs/", "](")
    for file, page in PAGES.items():
        text = text.replace(f"]({file}", f"]({page}")
    return text


def fill(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace the markers of a page."""
    text = source[0].replace("<!-- every command -->", commands()) if page == FROM_CODE[0] else source[0]
    text = text.replace("<!-- every setting -->", settings()) if page == FROM_CODE[1] else text
    for name in re.findall(r"<!-- file: ([\w.]+) -->", text):
        app.env.note_dependency(str(REPO / name))
        text = text.replace(f"<!-- file: {name} -->", root_file(name))
    source[0] = text


def literal(app: Sphinx, kind: str, name: str, thing: object, options: object, lines: list[str]) -> None:  # noqa: PLR0917 (as Sphinx calls it)
    """Our docstrings mark code with single backticks, as Markdown does; reStructuredText wants two."""
    lines[:] = [re.sub(r"(?<![`:])`([^`]+)`(?![`_])", r"``\1``", line) for line in lines]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", fill)
    app.connect("autodoc-process-docstring", literal)
    app.connect("env-get-outdated", lambda *_: list(FROM_CODE))
    return {"parallel_read_safe": True}
