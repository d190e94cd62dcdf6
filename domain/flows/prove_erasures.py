"""Prove by trying that nothing of an erased person can be read (consent rules 21, C10).

`SEALED_BY_PERSON` names every column that lies under a person's key; a test of the house compares
it with the schema, so a new column cannot be forgotten here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain import vault
from domain.candidate import Candidate, SubjectKey
from domain.errors import Gone
from domain.ports import Sealer


@dataclass(frozen=True)
class Sealed:
    """A column under a person's key: which key, and how to find the person's rows."""

    table: str
    column: str
    kind: str
    whose: str = "candidate_id"
    """The column with the person's id, or a condition on `:candidate`."""
    emptied: bool = False
    """Erasure leaves nothing in it at all."""


_OF_APPLICATION = (
    "application_id IN (SELECT id FROM application"
    " WHERE company_id = :company AND candidate_id = :candidate)"
)
_OF_FILE = (
    "file_id IN (SELECT id FROM candidate_file"
    " WHERE company_id = :company AND candidate_id = :candidate)"
)
SEALED_BY_PERSON: tuple[Sealed, ...] = (
    Sealed("candidate", "profile", "profile", "id", emptied=True),
    Sealed("candidate_file", "name", "profile", emptied=True),
    Sealed("candidate_file_body", "sealed", "profile", _OF_FILE, emptied=True),
    Sealed("delivery", "body", "profile", emptied=True),
    Sealed("delivery", "events", "profile", emptied=True),
    Sealed("delivery", "headers", "profile", emptied=True),
    Sealed("feedback_request", "answer", "profile", emptied=True),
    Sealed("feedback_request", "draft", "profile", emptied=True),
    Sealed("hold_clearance", "reason", "profile", _OF_APPLICATION),
    Sealed("notice", "feedback", "profile", emptied=True),
    Sealed("reflection", "sealed", "profile", emptied=True),
    Sealed("guardian_consent", "sealed", "record"),
    Sealed("legal_hold", "reason", "record"),
    Sealed("provision", "person", "record"),
    Sealed("rights_request", "answer", "record"),
    Sealed("rights_request", "reason", "record"),
    Sealed("rights_request", "words", "record"),
)
NOT_BY_PERSON = {
    "candidate.email_hmac": "a keyed hash, emptied by erasure",
    "candidate.kana_birth_hmac": "a keyed hash, emptied by erasure",
    "candidate.phone_hmac": "a keyed hash, emptied by erasure",
    "access_proof.code_hash": "a hash; the rows are removed",
    "access_proof.session_hash": "a hash; the rows are removed",
    "candidate_link.token_hash": "a hash of random bits",
    "delivery.key": "a hash that tells a repetition",
    "delivery.nonce": "random bits of the vendor",
    "join_request.email_hmac": "a keyed hash; the rows are removed",
    "join_request.sealed": "under the ring; the rows are removed",
    "join_request.token_hash": "a hash of random bits",
    "mail.sealed": "under the ring, emptied by erasure",
    "placement_question.token_hash": "a hash of random bits",
    "subject_key.wrapped": "the key itself",
}
"""Bytes in tables about persons that no key of a person opens, and why they may be there."""
_SAMPLE = 200
_NAME_LENGTH = 1
"""The place of the byte that tells how long the name of the ring's key is."""


@dataclass(frozen=True)
class Readable:
    """Something of an erased person is still there: a finding, by place and id alone."""

    company_id: str
    candidate_id: str
    place: str


async def sample_erased(
    session: AsyncSession, company_id: str, *, limit: int = _SAMPLE
) -> Sequence[str]:
    """Erased people: half of them the newest, half of them by chance."""
    newest = text(
        "SELECT candidate_id FROM erasure WHERE company_id = :company AND key_kind = 'profile'"
        " ORDER BY id DESC LIMIT :half"
    )
    chance = text(
        "SELECT candidate_id FROM erasure WHERE company_id = :company AND key_kind = 'profile'"
        " ORDER BY random() LIMIT :half"
    )
    values = {"company": company_id, "half": limit // 2}
    found: dict[str, None] = {}
    for wanted in (newest, chance):
        found |= dict.fromkeys((await session.execute(wanted, values)).scalars())
    return list(found)


async def prove(
    session: AsyncSession, sealer: Sealer, company_id: str, candidate_id: str
) -> list[Readable]:
    """Try to read everything of an erased person; what could be read, or is not empty."""
    candidate = await session.get_one(Candidate, (company_id, candidate_id))
    keys = {
        kind: await session.get_one(SubjectKey, (company_id, candidate_id, kind))
        for kind in ("profile", "record")
    }
    found = [
        Readable(company_id, candidate_id, f"candidate.{column}")
        for column in ("profile", "email_hmac", "phone_hmac", "kana_birth_hmac")
        if getattr(candidate, column) is not None
    ]
    if keys["profile"].wrapped is not None:
        found.append(Readable(company_id, candidate_id, "subject_key.profile"))
    for place in SEALED_BY_PERSON:
        if keys[place.kind].wrapped is not None and place.kind == "record":
            continue  # the statutory record, until its own date
        rows = await _rows(session, place, company_id, candidate_id)
        opened = [await _opens(session, sealer, candidate, place.kind, value) for value in rows]
        if any(opened) or (place.emptied and rows):
            found.append(Readable(company_id, candidate_id, f"{place.table}.{place.column}"))
    mails = text(
        "SELECT count(*) FROM mail WHERE tenant_id = :company AND candidate_id = :candidate"
        " AND sealed IS NOT NULL"
    )
    values = {"company": company_id, "candidate": candidate_id}
    if (await session.execute(mails, values)).scalar_one():
        found.append(Readable(company_id, candidate_id, "mail.sealed"))
    return found


async def _rows(
    session: AsyncSession, place: Sealed, company_id: str, candidate_id: str
) -> list[bytes]:
    whose = place.whose if " " in place.whose else f"{place.whose} = :candidate"
    wanted = text(
        f"SELECT {place.column} FROM {place.table} WHERE company_id = :company AND {whose}"  # noqa: S608
        f" AND {place.column} IS NOT NULL"
    )
    values = {"company": company_id, "candidate": candidate_id}
    return [bytes(one) for one in (await session.execute(wanted, values)).scalars()]


async def _opens(
    session: AsyncSession, sealer: Sealer, candidate: Candidate, kind: str, sealed: bytes
) -> bool:
    """Whether anything could open these bytes: the person's key, or one of the ring's.

    Sealed bytes name the ring's key in front; under a person's key that name is empty.
    """
    try:
        await vault.unseal_bytes(session, sealer, candidate, kind, sealed, about="")
    except Gone:
        return len(sealed) <= _NAME_LENGTH or sealed[_NAME_LENGTH] > 0
    except ValueError:
        return True  # there is a key: only what it is about did not fit
    return True
