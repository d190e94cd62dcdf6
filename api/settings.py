"""Settings from the environment: prefix `RELAY_`, plus `DATABASE_URL`."""

from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url


class Settings(BaseSettings):
    """Everything an instance can be told. Secrets never print."""

    model_config = SettingsConfigDict(
        env_prefix="RELAY_", hide_input_in_errors=True, extra="ignore"
    )

    database_url: SecretStr | None = Field(default=None, validation_alias="DATABASE_URL")
    """The owner's connection: migrations. Unset: an embedded PostgreSQL in `data_dir`."""
    app_database_url: SecretStr | None = None
    """The app's own role. Unset: `relay_app` on the same server, password derived from the keys."""
    data_dir: Path = Path(".relay")
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str = ""
    keys: SecretStr | None = None
    """Key ring `name:base64-of-32-bytes,…`, newest first."""
    pepper: SecretStr | None = None
    signing_key: SecretStr | None = None
    """EC P-256 private key (PEM) that signs access tokens; older ones in `signing_keys_old`."""
    signing_keys_old: SecretStr | None = None
    ledger_key: SecretStr | None = None
    """Ed25519 private key (PEM) that signs checkpoints and statements of the ledger."""
    ledger_keys_old: SecretStr | None = None
    """Those before it, private or public, one behind the other: what they signed stays valid."""
    checkpoint_dir: Path | None = None
    """Copies of checkpoints, one file each. Unset: `checkpoints` in `data_dir`."""
    erasure_log_dir: Path | None = None
    """The log of erasures, one file each, out of reach of the database's backups. Unset: `erasures`
    in `data_dir`."""
    mode: Literal["production", "demo", "test"] = "production"
    allow_private_networks: bool = False
    smtp_host: str = ""
    smtp_port: int = 587
    smtp_user: str = ""
    smtp_password: SecretStr | None = None
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    mail_from: str = "no-reply@career-relay.example"
    scanner: str = ""
    """Where files are scanned: `clamd:///run/clamav/clamd.ctl` or `clamd://host:3310`."""
    holiday_overrides: dict[date, Literal["add", "remove"]] = {}
    """Corrections of the national holidays, as JSON: `{"2027-05-06": "add"}`."""
    metrics_token: SecretStr | None = None
    pool_size: int = 20
    sweep_seconds: float = 2.0
    worker_batch: int = 20
    """Jobs a worker takes, and notes as done, at a time: more is faster, one is soonest."""
    rate_limit: int = 600
    """Requests a client may make in a minute, per process."""

    @property
    def base_url(self) -> str:
        """The URL people and programs reach us by; never taken from a request's Host header."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def secure(self) -> bool:
        """Whether cookies are https-only."""
        return self.base_url.startswith("https://")


def async_url(url: str) -> URL:
    """Any PostgreSQL address as SQLAlchemy's asyncpg form."""
    return make_url(url).set(drivername="postgresql+asyncpg")
