"""Queries that are none, or that want more than to read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bad_input.corpus import refused

QUERIES = [
    ("nothing", "", "is empty"),
    ("half a query", "select", "select"),
    ("a query that is misspelt", "selec 1", "selec"),
    ("an unknown table", "select * from nope", "nope"),
    ("an unknown column", "select nope from fills", "nope"),
    ("two queries", "select 1; select 2", "one SELECT"),
    ("a comment", "/* x */", "one SELECT"),
    ("a semicolon", ";", "one SELECT"),
    ("an open quote", "select 'abc", "unterminated"),
    ("a deletion", "delete from fills", "one SELECT"),
    ("an update", "update fills set quantity = 0", "one SELECT"),
    ("a new table", "create table x (a int)", "one SELECT"),
    ("a file to write", "copy fills to 'x.csv'", "one SELECT"),
    ("a database to attach", "attach 'x.db'", "one SELECT"),
    ("an extension", "install httpfs", "one SELECT"),
    ("a setting", "set threads = 1", "one SELECT"),
    ("a file to read", "select * from read_csv('/etc/passwd')", ""),
    ("a file as a table", "select * from '/etc/passwd'", ""),
    ("a variable of the environment", "select getenv('HOME')", ""),
    ("a word as a number", "select cast('abc' as integer)", "abc"),
    ("a day that does not exist", "select date '2024-02-30'", "2024-02-30"),
    ("a number that is too large", "select 9223372036854775807::bigint + 1", ""),
    ("an error of its own", "select error('x')", "x"),
    ("a negative limit", "select * from fills limit -1", ""),
    ("a control character", "select '\x01'", "control characters"),
]


@pytest.mark.parametrize(("query", "message"), [row[1:] for row in QUERIES], ids=[row[0] for row in QUERIES])
def test_a_query_is_refused(query: str, message: str, traded: Path) -> None:
    refused(traded, ("sql", query), message)
