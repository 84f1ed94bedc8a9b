"""Alerts: written to the alert log of the home and, if configured, mailed, once a day for each subject."""

from __future__ import annotations

import json
import os
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from email.message import EmailMessage
from itertools import islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradeflow_core.home.settings import AlertSettings

SMTPS_PORT = 465
"""The port on which a mail server expects encryption from the first byte."""
TIMEOUT = 20.0
"""Seconds that a mail server may take for an answer."""
THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
BLOCK_BYTES = 2**16
"""About 300 alerts: one block is enough for the 50 alerts that are usually read."""


class Alerts:
    """Writes alerts to `alerts.jsonl` in the folder `logs` of the home, and mails the first alert of a day for each subject."""

    def __init__(self, folder: Path, settings: AlertSettings) -> None:
        self.path = folder / "alerts.jsonl"
        self._settings = settings

    def send(self, subject: str, message: str, now: datetime, *, is_new: bool = False) -> None:
        """Log the alert and, where mail is configured, mail it: the first of a subject in a day, and any that `is_new` (the sender says
        so once only). A mail that fails, for whatever reason, is logged and raises nothing."""
        mailed = self._settings.email_to and self._settings.smtp_server and (is_new or not self._alerted_today(subject, now))
        self._log(subject, message, now)
        if mailed:
            try:
                self._mail(subject, message)
            except Exception as error:  # no mail is worth a trading day
                self._log("mail failed", f"{subject}: {error}; check [alerts] in tradeflow.toml", now)

    def send_once(self, subject: str, message: str, now: datetime) -> None:
        """The same, but only if there is no alert of this subject on the (UTC) day of `now`."""
        if not self._alerted_today(subject, now):
            self.send(subject, message, now)

    def read(self, newest: int = 50) -> list[dict[str, str]]:
        """The newest alerts, oldest first: dictionaries of time, subject, message."""
        return list(islice(self._newest_first(), newest))[::-1]

    def _alerted_today(self, subject: str, now: datetime) -> bool:
        """Whether there is an alert of this subject on the (UTC) day of `now`."""
        today = now.isoformat()[:10]
        of_today = takewhile(lambda alert: alert["time"][:10] >= today, self._newest_first())
        return any(alert["subject"] == subject for alert in of_today)

    def _newest_first(self) -> Iterator[dict[str, str]]:
        """All alerts, the newest first; the file is read in blocks from its end, as far as needed."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            end, rest = file.seek(0, os.SEEK_END), b""
            while end:
                start = max(end - BLOCK_BYTES, 0)
                file.seek(start)
                lines = (file.read(end - start) + rest).splitlines()
                # The first line of a block may begin in the block before it.
                rest, lines = (lines[0], lines[1:]) if start else (b"", lines)
                for line in reversed(lines):
                    with suppress(ValueError):  # a line that was cut off by a power cut
                        yield json.loads(line)
                end = start

    def _log(self, subject: str, message: str, now: datetime) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": now.isoformat(), "subject": subject, "message": message}) + "\n")

    def _mail(self, subject: str, message: str) -> None:
        settings = self._settings
        mail = EmailMessage()
        mail["Subject"] = " ".join(f"tradeflow: {subject}".split())
        mail["From"] = settings.email_from or settings.email_to
        mail["To"] = settings.email_to
        mail.set_content(message)
        with _connected(settings) as server:
            if settings.smtp_user:
                server.login(settings.smtp_user, settings.smtp_password or "")
            server.send_message(mail)


def _connected(settings: AlertSettings) -> smtplib.SMTP:
    """A connection to the mail server: encrypted, to the server whose certificate is valid for its name.

    Only where nobody logs in, and the server offers no encryption or is this machine, a mail goes in plain text.
    """
    host, port, context = settings.smtp_server or "", settings.smtp_port, ssl.create_default_context()
    if port == SMTPS_PORT:
        return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT, context=context)
    server = smtplib.SMTP(host, port, timeout=TIMEOUT)
    try:
        server.ehlo()
        if settings.smtp_user or (server.has_extn("starttls") and host not in THIS_MACHINE):
            server.starttls(context=context)
    except BaseException:
        server.close()
        raise
    return server
