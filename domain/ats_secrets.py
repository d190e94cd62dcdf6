"""A connection's secrets: sealed as one document, opened for the door and for the vendor's API."""

import json
from typing import Any

from domain.delivery import AtsConnection
from domain.ports import ConnectionView, Sealer


def split_settings(settings: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The settings anybody may read, and the credential among them (`api_key`) that nobody may."""
    return {name: value for name, value in settings.items() if name != "api_key"}, settings.get(
        "api_key"
    )


def seal_secrets(
    sealer: Sealer,
    connection_id: str,
    secrets: list[str],
    by_event: dict[str, str],
    *,
    api_key: str | None = None,
) -> bytes:
    """A connection's secrets as one sealed document: `{"secrets", "by_event", "api_key"}`."""
    plain = json.dumps({"secrets": secrets, "by_event": by_event, "api_key": api_key}).encode()
    return sealer.seal(plain, about=f"connection:{connection_id}")


def open_secrets(sealer: Sealer, connection: AtsConnection) -> dict[str, Any]:
    """What `seal_secrets` sealed."""
    opened: dict[str, Any] = json.loads(
        sealer.open(connection.secrets, about=f"connection:{connection.id}")
    )
    return opened


def view_of(connection: AtsConnection) -> ConnectionView:
    """What `read` may know of a connection: everything but its secrets."""
    return ConnectionView(
        id=connection.id, public_keys=connection.public_keys, settings=connection.settings
    )


def api_view(sealer: Sealer, connection: AtsConnection) -> ConnectionView:
    """What a call to the vendor's API needs to know: the credential stands in the settings."""
    api_key = open_secrets(sealer, connection).get("api_key")
    return ConnectionView(id=connection.id, settings={**connection.settings, "api_key": api_key})
