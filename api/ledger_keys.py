"""The ledger's keys out of the settings, read once per process."""

from functools import lru_cache

from api.settings import Settings
from integrations.ed25519 import LedgerKeys


def ledger_keys(settings: Settings) -> LedgerKeys:
    """The keys that sign checkpoints and statements; without one no process starts."""
    if settings.ledger_key is None:
        message = "RELAY_LEDGER_KEY is not set: give an Ed25519 private key in PEM"
        raise SystemExit(message)
    old = settings.ledger_keys_old.get_secret_value() if settings.ledger_keys_old else ""
    return _keys(settings.ledger_key.get_secret_value(), old)


@lru_cache(maxsize=8)
def _keys(present: str, old: str) -> LedgerKeys:
    try:
        return LedgerKeys(present, old)
    except ValueError as why:
        message = f"RELAY_LEDGER_KEY or RELAY_LEDGER_KEYS_OLD: {why}"
        raise SystemExit(message) from None
