"""Alerts: every one in the log, each subject mailed once a day."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import suppress
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


class MailServer(threading.Thread):
    """A mail server on this machine that offers encryption with a certificate of its own making, and notes what is said to it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.certificate, key = folder / "certificate.pem", folder / "key.pem"
        words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        words += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(self.certificate)]
        subprocess.run(words, check=True, capture_output=True)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.heard: list[tuple[str, bool]] = []
        """Each line, and whether it was encrypted."""

    def run(self) -> None:
        while True:
            client, _ = self._listener.accept()
            with suppress(OSError):  # a client that does not trust us hangs up
                self._serve(client)
            client.close()

    def _serve(self, client: socket.socket) -> None:
        client.sendall(b"220 ready\r\n")
        lines, encrypted, in_mail = client.makefile("rb"), False, False
        while raw := lines.readline():
            line = raw.decode().rstrip()
            self.heard.append((line, encrypted))
            word = line.partition(" ")[0].upper()
            in_mail = (in_mail or word == "DATA") and line != "."
            if in_mail and word != "DATA":
                continue
            answers = {
                "EHLO": "250-me\r\n250-STARTTLS\r\n250 AUTH PLAIN",
                "STARTTLS": "220 go",
                "AUTH": "235 yes",
                "DATA": "354 go",
                "QUIT": "221 bye",
            }
            client.sendall(f"{answers.get(word, '250 ok')}\r\n".encode())
            if word == "STARTTLS":
                client, encrypted = self._context.wrap_socket(client, server_side=True), True
                lines = client.makefile("rb")


@pytest.fixture
def mail_server(tmp_path: Path) -> MailServer:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, which makes a certificate")
    server = MailServer(tmp_path)
    server.start()
    return server


def settings_of(server: MailServer) -> AlertSettings:
    return AlertSettings(
        email_to="me@example.com", smtp_server="localhost", smtp_port=server.port, smtp_user="me", smtp_password="s3cret"
    )


def test_a_password_is_not_told_to_a_server_whose_certificate_nobody_vouches_for(mail_server: MailServer, tmp_path: Path) -> None:
    alerts = Alerts(tmp_path, settings_of(mail_server))
    alerts.send("subject", "message", NOW)
    assert "certificate verify failed" in alerts.read()[-1]["message"]
    assert not [line for line, _ in mail_server.heard if line.startswith("AUTH") or "message" in line]


def test_a_mail_goes_encrypted_to_a_server_whose_certificate_is_trusted(
    mail_server: MailServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(mail_server.certificate))
    alerts = Alerts(tmp_path, settings_of(mail_server))
    alerts.send("a subject\r\nBcc: somebody@example.com", "message", NOW)
    assert [alert["subject"] for alert in alerts.read()] == ["a subject\r\nBcc: somebody@example.com"]
    said = dict(mail_server.heard)
    assert said["Subject: tradeflow: a subject Bcc: somebody@example.com"], "one header, however many lines the subject has"
    assert [encrypted for line, encrypted in mail_server.heard if line.startswith("AUTH")] == [True]


@pytest.mark.parametrize(
    "wrong",
    [
        {"email_to": "@"},
        {"email_from": "\udcff"},
        {"smtp_server": "a b"},
    ],
)
def test_no_mail_raises_whatever_the_settings_say(wrong: dict[str, str], tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        alerts = Alerts(tmp_path, AlertSettings(**{"email_to": "me@b", "smtp_server": "127.0.0.1", "smtp_port": port, **wrong}))
        alerts.send("subject \udcff\n", "message \udcff", NOW)
    assert [alert["subject"] for alert in alerts.read()] == ["subject \udcff\n", "mail failed"]
