"""One channel for what a person must hear of: the home's alert log and, if configured, e-mail, once a day for each subject."""

from __future__ import annotations

import json
import smtplib
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path

from tradeflow_core.settings import AlertSettings


class Alerts:
    """Writes alerts to `alerts.jsonl` in the home's `logs` folder and mails those whose subject was not mailed that day."""

    def __init__(self, folder: Path, settings: AlertSettings) -> None:
        self.path = folder / "alerts.jsonl"
        self._settings = settings

    def send(self, subject: str, message: str, now: datetime) -> None:
        """Log the alert and, where mail is configured, send it. A mail that fails is logged as well, and never stops the caller."""
        repeated = any(a["subject"] == subject and a["time"][:10] == now.isoformat()[:10] for a in self.read(200))
        self._log(subject, message, now)
        if self._settings.email_to and self._settings.smtp_server and not repeated:
            try:
                self._mail(subject, message)
            except (OSError, smtplib.SMTPException) as error:
                self._log("mail failed", f"{subject}: {error}; check [alerts] in tradeflow.toml", now)

    def read(self, newest: int = 50) -> list[dict[str, str]]:
        """The newest alerts, oldest first: dictionaries of time, subject, message."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()[-newest:]]

    def _log(self, subject: str, message: str, now: datetime) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": now.isoformat(), "subject": subject, "message": message}) + "\n")

    def _mail(self, subject: str, message: str) -> None:
        settings = self._settings
        mail = EmailMessage()
        mail["Subject"] = f"tradeflow: {subject}"
        mail["From"] = settings.email_from or settings.email_to
        mail["To"] = settings.email_to
        mail.set_content(message)
        with smtplib.SMTP(settings.smtp_server or "", settings.smtp_port, timeout=20) as server:
            if settings.smtp_user:
                server.starttls()
                server.login(settings.smtp_user, settings.smtp_password or "")
            server.send_message(mail)
