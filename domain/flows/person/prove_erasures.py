"""Prove by trying that nothing of an erased person can be read (consent rules 21, C10).

`SEALED_BY_PERSON` names every column that lies under a person's key; a test of the house compares
it with the schema, so a new column cannot be forgotten here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

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
    """The column with the person's id; of a row without one, the table that tells it."""
    emptied: bool = False
    """Erasure leaves nothing in it at all."""


_THROUGH = {"application": "application_id", "candidate_file": "file_id"}
"""Tables that tell whose a row is, and by which of its columns."""
SEALED_BY_PERSON: tuple[Sealed, ...] = (
    Sealed("candidate", "profile", "profile", "id", emptied=True),
    Sealed("candidate_file", "name", "profile", emptied=True),
    Sealed("candidate_file_body", "sealed", "profile", "candidate_file", emptied=True),
    Sealed("delivery", "body", "profile", emptied=True),
    Sealed("delivery", "events", "profile", emptied=True),
    Sealed("delivery", "headers", "profile", emptied=True),
    Sealed("feedback_request", "answer", "profile", emptied=True),
    Sealed("feedback_request", "draft", "profile", emptied=True),
    Sealed("hold_clearance", "reason", "profile", "application"),
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
    session: AsyncSession, sealer: Sealer, company_id: str, people: Sequence[str]
) -> list[Readable]:
    """Try to read everything of erased people; what could be read, or is not empty.

    One statement per place, however many they are.
    """
    of_company = col(Candidate.company_id) == company_id
    erased = await session.scalars(
        select(Candidate).where(of_company, col(Candidate.id).in_(people))
    )
    theirs = {one.id: one for one in erased.all()}
    keys = await session.scalars(
        select(SubjectKey).where(
            col(SubjectKey.company_id) == company_id, col(SubjectKey.candidate_id).in_(people)
        )
    )
    standing = {(key.candidate_id, key.kind) for key in keys.all() if key.wrapped is not None}
    found = [
        Readable(company_id, one.id, f"candidate.{column}")
        for one in theirs.values()
        for column in ("profile", "email_hmac", "phone_hmac", "kana_birth_hmac")
        if getattr(one, column) is not None
    ]
    found += [
        Readable(company_id, one, "subject_key.profile")
        for one in theirs
        if (one, "profile") in standing
    ]
    for place in SEALED_BY_PERSON:
        # The statutory record may be read until its own date.
        ended = {
            number: one
            for number, one in theirs.items()
            if place.kind == "profile" or (number, "record") not in standing
        }
        left = await _left(session, sealer, company_id, place, ended)
        found += [Readable(company_id, one, f"{place.table}.{place.column}") for one in left]
    mails = text(
        "SELECT DISTINCT candidate_id FROM mail WHERE tenant_id = :company"
        " AND candidate_id = ANY(CAST(:people AS text[])) AND sealed IS NOT NULL"
    )
    written = await session.execute(mails, {"company": company_id, "people": list(theirs)})
    return found + [Readable(company_id, one, "mail.sealed") for one in written.scalars()]


async def _left(
    session: AsyncSession,
    sealer: Sealer,
    company_id: str,
    place: Sealed,
    people: Mapping[str, Candidate],
) -> list[str]:
    """Of whom something at this place can be read, or is there though it was to be emptied."""
    owner, through = f"t.{place.whose}", ""
    if place.whose in _THROUGH:
        owner, leads = "o.candidate_id", _THROUGH[place.whose]
        through = f" JOIN {place.whose} o ON o.company_id = t.company_id AND o.id = t.{leads}"
    wanted = text(
        f"SELECT {owner}, t.{place.column} FROM {place.table} t{through}"  # noqa: S608
        f" WHERE t.company_id = :company AND {owner} = ANY(CAST(:people AS text[]))"
        f" AND t.{place.column} IS NOT NULL"
    )
    values = {"company": company_id, "people": list(people)}
    rows = (await session.execute(wanted, values)).all()
    left = {
        whose
        for whose, sealed in rows
        if place.emptied or await _opens(session, sealer, people[whose], place.kind, bytes(sealed))
    }
    return sorted(left)


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
