"""Deliveries as an ATS sends them: built, signed and posted through the real door."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx2

from api.runtime import Runtime
from domain.ports import ConnectionView, Incoming
from tests.factories import World, work

SAMPLES = Path(__file__).parent / "fixtures" / "ats"
_numbers = count(1)


def sample(name: str) -> dict[str, Any]:
    """A recorded Greenhouse body, to be changed at will."""
    return json.loads((SAMPLES / "greenhouse" / f"{name}.json").read_text())


def escaped(body: dict[str, Any]) -> bytes:
    """The bytes Greenhouse would send: ASCII only, `<`, `>` and `&` escaped too."""
    written = json.dumps(body, ensure_ascii=True)
    return "".join(f"\\u{ord(c):04x}" if c in "<>&" else c for c in written).encode()


def greenhouse_headers(body: bytes, secret: str, event_id: str = "gh-1") -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"signature": f"sha256 {digest}", "greenhouse-event-id": event_id}


def standard_headers(
    body: bytes, secret: str, at: datetime, message_id: str = "msg_1"
) -> dict[str, str]:
    stamp = int(at.timestamp())
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{message_id}.{stamp}.".encode() + body, "sha256")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(stamp),
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def incoming(body: bytes | dict[str, Any], at: datetime, **headers: str) -> Incoming:
    """A delivery as an adapter sees it."""
    raw = body if isinstance(body, bytes) else escaped(body)
    return Incoming(raw, {k.replace("_", "-"): v for k, v in headers.items()}, at)


def view(**more: Any) -> ConnectionView:
    return ConnectionView(id="ats_1", **more)


@dataclass
class Ats:
    """Both connections of a world, as seen from the vendors' side."""

    client: httpx2.AsyncClient
    runtime: Runtime
    world: World

    def url(self, provider: str) -> str:
        return f"/v1/ats/{provider}/{self.world.connections[provider].id}"

    async def greenhouse(self, body: dict[str, Any] | bytes, event_id: str = "") -> httpx2.Response:
        """Deliver as Greenhouse does, under a fresh event id unless told."""
        raw = body if isinstance(body, bytes) else escaped(body)
        headers = greenhouse_headers(
            raw, self.world.secrets["greenhouse"], event_id or f"gh-{next(_numbers)}"
        )
        return await self.client.post(self.url("greenhouse"), content=raw, headers=headers)

    async def tell(
        self, kind: str, data: dict[str, Any], at: datetime | None = None, message_id: str = ""
    ) -> httpx2.Response:
        """Deliver in our generic format."""
        now = self.runtime.clock()
        body = {"type": kind, "timestamp": (at or now).isoformat(), "data": data}
        return await self.tell_raw(json.dumps(body, ensure_ascii=False).encode(), message_id)

    async def tell_raw(self, raw: bytes, message_id: str = "") -> httpx2.Response:
        headers = standard_headers(
            raw,
            self.world.secrets["standard-webhooks"],
            self.runtime.clock(),
            message_id or f"msg_{next(_numbers)}",
        )
        return await self.client.post(self.url("standard-webhooks"), content=raw, headers=headers)

    async def told(self, kind: str, data: dict[str, Any], at: datetime | None = None) -> None:
        """Deliver, and let the workers do what follows."""
        answer = await self.tell(kind, data, at)
        assert answer.status_code == 202, answer.text
        await work(self.runtime)


def person(number: str = "1", **application: Any) -> dict[str, Any]:
    """The objects of somebody who applied through the company's own site."""
    return {
        "application": {"external_id": f"A-{number}", "source": "company_site", **application},
        "candidate": {
            "external_id": f"C-{number}",
            "display_name": "試験 花子",
            "family_name": "試験",
            "given_name": "花子",
            "emails": [
                {"value": f"hanako.{number}@mail.example", "type": "personal", "primary": True}
            ],
        },
        "job": {"external_id": "J-1", "title": "法人営業", "department": "営業部"},
    }


def rejection(at: datetime, initiated_by: str | None = "company", **more: Any) -> dict[str, Any]:
    return {"rejection": {"initiated_by": initiated_by, "rejected_at": at.isoformat(), **more}}


def interview(ended: datetime, status: str | None = None, number: str = "1") -> dict[str, Any]:
    return {
        "interview": {
            "external_id": f"I-{number}",
            "starts_at": (ended - timedelta(hours=1)).isoformat(),
            "ends_at": ended.isoformat(),
            "status": status,
        }
    }
