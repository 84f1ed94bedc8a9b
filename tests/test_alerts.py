"""Alerts: every one in the log, each subject mailed once a day."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tradeflow_core.home import Alerts
from tradeflow_core.home.settings import AlertSettings

NOW = datetime(2024, 1, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize("block", [1, 7, 100, 2**16])
def test_the_newest_alerts_are_read_whatever_the_size_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr("tradeflow_core.home.alerts.BLOCK_BYTES", block)
    alerts = Alerts(tmp_path / "logs", AlertSettings())
    assert alerts.read() == []
    for n in range(30):
        alerts.send(f"subject {n}", "Größe\nund Form" * (n % 3), NOW + timedelta(minutes=n))
    assert [alert["subject"] for alert in alerts.read(4)] == [f"subject {n}" for n in range(26, 30)]
    assert len(alerts.read(1000)) == 30 and alerts.read(1)[0]["message"] == "Größe\nund FormGröße\nund Form"


def test_a_line_that_was_cut_short_hides_no_other(tmp_path: Path) -> None:
    alerts = Alerts(tmp_path, AlertSettings())
    alerts.send("first", "x", NOW)
    with alerts.path.open("a") as file:
        file.write('{"time": "2024-01-08T\n')
    alerts.send("last", "x", NOW)
    assert [alert["subject"] for alert in alerts.read()] == ["first", "last"]


def test_each_subject_is_mailed_once_a_day_and_a_mail_that_fails_is_logged(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens there, so every mail fails, and that is logged
        settings = AlertSettings(email_to="me@example.com", smtp_server="127.0.0.1", smtp_port=closed.getsockname()[1])
        alerts = Alerts(tmp_path, settings)

        def mails(subject: str, when: datetime) -> int:
            before = len(alerts.read(1000))
            alerts.send(subject, "x", when)
            return len(alerts.read(1000)) - before - 1

        assert [mails("spike", NOW), mails("spike", NOW), mails("other", NOW)] == [1, 0, 1]
        assert [mails("spike", NOW + timedelta(days=1)), mails("spike", NOW + timedelta(days=1, hours=2))] == [1, 0]
    assert alerts.read(1000)[1]["message"].startswith("spike: ")


def test_what_is_new_is_mailed_although_its_subject_was_already(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings = AlertSettings(email_to="me@example.com", smtp_server="127.0.0.1", smtp_port=closed.getsockname()[1])
        alerts = Alerts(tmp_path, settings)
        for instrument in ("CORN", "GOLD"):
            alerts.send("position break", instrument, NOW, is_new=True)
        assert [alert["subject"] for alert in alerts.read()] == ["position break", "mail failed"] * 2
