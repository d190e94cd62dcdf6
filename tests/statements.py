"""What the tests of statements share: signatures to check, and months that are closed."""

import base64
import json
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlmodel import col, select

from domain.credits import Book
from domain.flows.earn.close_month import close_month
from tests.conftest import ledger_key


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def decoded(words: str) -> bytes:
    return base64.urlsafe_b64decode(words + "=" * (-len(words) % 4))


def check(signature: str, document: bytes) -> dict[str, Any]:
    """The head of a detached JWS over these bytes; raises when it is not one of ours."""
    head, nothing, signed = signature.split(".")
    assert nothing == ""
    key = load_pem_private_key(ledger_key().encode(), None)
    assert isinstance(key, Ed25519PrivateKey)
    key.public_key().verify(decoded(signed), f"{head}.{encoded(document)}".encode())
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
            done = await close_month(db, runtime.tools, company, due.id, now)
            if done is not None:
                made.append(f"{done.month:%Y-%m}")
