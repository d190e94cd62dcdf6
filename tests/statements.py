"""What the tests of statements share: a key to sign with, and months that are closed."""

import base64
import json
from datetime import datetime
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlmodel import col, select

from domain.credits import Book
from domain.flows.close_month import close_month


class Signer:
    """The ledger's key, as `domain.ports.Signer` asks for it."""

    def __init__(self) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        public = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.key_id = sha256(public).hexdigest()[:16]

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message)

    def sign_document(self, payload: bytes, *, kind: str) -> str:
        head = encoded(json.dumps({"alg": "EdDSA", "kid": self.key_id, "typ": kind}).encode())
        signature = self.sign(f"{head}.{encoded(payload)}".encode())
        return f"{head}..{encoded(signature)}"


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def decoded(words: str) -> bytes:
    return base64.urlsafe_b64decode(words + "=" * (-len(words) % 4))


def check(signature: str, document: bytes) -> dict[str, Any]:
    """The head of a detached JWS over these bytes; raises when it is not one of ours."""
    head, nothing, signed = signature.split(".")
    assert nothing == ""
    Signer().key.public_key().verify(decoded(signed), f"{head}.{encoded(document)}".encode())
    found: dict[str, Any] = json.loads(decoded(head))
    return found


async def close_due(runtime: Any, world: Any, now: datetime) -> list[str]:
    """Close every month whose time has come, book by book; the months that got a statement."""
    made = []
    company = world.company.id
    while True:
        async with runtime.database.transaction(company_id=company) as db:
            due = (
                await db.scalars(
                    select(Book)
                    .where(~col(Book.halted), col(Book.close_at) <= now)
                    .order_by(col(Book.id))
                )
            ).first()
            if due is None:
                return made
            done = await close_month(db, runtime.tools, company, due.id, now, signer=Signer())
            if done is not None:
                made.append(f"{done.month:%Y-%m}")
