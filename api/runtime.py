"""What a running process holds: settings, clock, database, tools. Made once, handed in."""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL

from api.clock import Clock
from api.database import Database
from api.ledger_keys import ledger_keys
from api.settings import Settings, async_url
from api.wake import Waker
from domain.ports import Scanner, Tools
from integrations.ats import ADAPTERS, APIS
from integrations.calendars import JapaneseHolidays
from integrations.files import DocumentReader
from integrations.mail.texts import MailTexts
from integrations.scanning import scanner_of
from integrations.sealing import KeyRing

APP_ROLE = "relay_app"


@dataclass
class Runtime:
    """One process's parts. Tests hand in another clock; nothing is global."""

    settings: Settings
    clock: Clock
    database: Database
    tools: Tools
    waker: Waker

    @classmethod
    def build(cls, settings: Settings, clock: Clock | None = None) -> "Runtime":
        """Wire a process from its settings."""
        ring = KeyRing.parse(
            _needed(settings.keys, "RELAY_KEYS"), _needed(settings.pepper, "RELAY_PEPPER")
        )
        tools = Tools(
            sealer=ring,
            signer=ledger_keys(settings),
            holidays=JapaneseHolidays(settings.holiday_overrides),
            texts=MailTexts(),
            adapters=ADAPTERS,
            apis=APIS,
            files=DocumentReader(),
            scanner=_scanner(settings),
            public_url=settings.base_url,
            keep_mail=settings.mode != "production",
        )
        database = Database(app_url(settings), pool_size=settings.pool_size)
        return cls(
            settings=settings,
            clock=clock or Clock(),
            database=database,
            waker=Waker(database),
            tools=tools,
        )


def owner_url(settings: Settings) -> URL:
    """The migrations' connection."""
    return async_url(_needed(settings.database_url, "DATABASE_URL"))


def app_url(settings: Settings) -> URL:
    """The app's own connection: never the owner, no superuser, no way around row-level security."""
    if settings.app_database_url is not None:
        return async_url(settings.app_database_url.get_secret_value())
    return owner_url(settings).set(username=APP_ROLE, password=app_password(settings))


def app_password(settings: Settings) -> str:
    """The app role's password when none is given: derived from the instance's own secret."""
    secret = _needed(settings.pepper, "RELAY_PEPPER").encode()
    digest = hmac.new(secret, b"database role relay_app", hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _scanner(settings: Settings) -> Scanner | None:
    try:
        return scanner_of(settings.scanner)
    except ValueError as error:
        raise SystemExit(str(error)) from None


def _needed(value: Any, name: str) -> str:
    if value is None:
        message = f"{name} is not set"
        raise SystemExit(message)
    secret: str = value.get_secret_value()
    return secret
