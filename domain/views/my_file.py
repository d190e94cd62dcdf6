"""Everything we hold about a person, for that person to take along (個人情報保護法 33)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain import vault
from domain.candidate import Candidate
from domain.candidate_file import HeldFile
from domain.canonical import sha256
from domain.company import Company
from domain.ports import Sealer
from domain.relay_package import canonical
from domain.views.consent_receipt import plain, receipt, written
from domain.views.feedback_requests import feedback_of_person
from domain.views.files import Access, accesses_of, files_of
from domain.views.my_data import Held, my_data
from domain.views.passport import passport
from domain.views.reflection import reflections_of

SCHEMA = "career-relay-data/2"

_RECORDS = text("""
SELECT id FROM candidate
WHERE company_id = :company AND (id = :candidate OR merged_into_id = :candidate)
""")
_LISTS: Mapping[str, str] = {
    "applications": """
SELECT a.id, a.external_id, a.job_title, a.department, a.stage, a.source, a.applied_at, a.outcome,
       CASE WHEN a.outcome = 'active' THEN NULL ELSE a.outcome_at END AS outcome_at
FROM application a WHERE a.company_id = :company AND a.candidate_id = ANY(:people) ORDER BY a.id""",
    "interviews": """
SELECT i.id, i.application_id, i.stage, i.starts_at, i.ends_at, i.status
FROM interview i JOIN application a ON a.company_id = i.company_id AND a.id = i.application_id
WHERE i.company_id = :company AND a.candidate_id = ANY(:people) ORDER BY i.id""",
    "invitations": """
SELECT v.application_id, v.state, v.created_at, v.expires_at, v.reminded_at, v.answered_at
FROM invitation v WHERE v.company_id = :company AND v.candidate_id = ANY(:people)
ORDER BY v.id""",
    "links": """
SELECT l.purpose, l.created_at, l.expires_at, l.revoked_at
FROM candidate_link l WHERE l.company_id = :company AND l.candidate_id = ANY(:people)
ORDER BY l.id""",
    "mails": """
SELECT m.template, m.state, m.created_at, m.sent_at
FROM mail m WHERE m.tenant_id = :company AND m.candidate_id = ANY(:people) ORDER BY m.id""",
    "questions": """
SELECT q.agency_id, q.days, q.state, q.answer, q.answered_at
FROM placement_question q WHERE q.company_id = :company AND q.candidate_id = ANY(:people)
ORDER BY q.id""",
}
"""What stands in rows, by its name in the file."""
NOT_THE_COMPANYS = ("reflections", "questions")
"""The person's own notes, and what they answered about a start: nobody else ever reads them."""
_NOT_DIGESTED = {"made_at", "links", "mails", "rights_requests", *NOT_THE_COMPANYS}
_NOTICES = """
SELECT n.id, n.candidate_id, n.application_id, n.kind, n.state, n.sent_at, n.feedback
FROM notice n WHERE n.company_id = :company AND n.candidate_id = ANY(:people) ORDER BY n.id"""

_REQUESTS = """
SELECT r.id, r.candidate_id, r.kind, r.channel, r.state, r.received_at, r.due_on, r.result,
       r.answered_at, r.words, r.reason, r.answer
FROM rights_request r WHERE r.company_id = :company AND r.candidate_id = ANY(:people)
ORDER BY r.id"""
_SAID = ("words", "reason", "answer")


async def my_file(
    session: AsyncSession, sealer: Sealer, company: Company, candidate: Candidate, now: datetime
) -> dict[str, Any]:
    """The person's data, what became of it, and their own notes.

    What the company keeps for itself alone (its reason for a no) is asked for by a rights request.
    """
    profile = await vault.profile_of(session, sealer, candidate)
    held = await my_data(session, candidate)
    whose = await _whose(session, candidate)
    content = {
        "schema_version": SCHEMA,
        "made_at": written(now),
        "company": company.name,
        "candidate_id": candidate.id,
        "language": candidate.locale,
        "no_invitations_since": _written(candidate.opted_out_at),
        "profile": {key: value for key, value in profile.items() if value and key != "cleared"},
        **{name: await _rows(session, wanted, whose) for name, wanted in _LISTS.items()},
        "rights_requests": await _requests(session, sealer, whose),
        "notices": await _notices(session, sealer, whose),
        "may_apply_again": [
            plain(vars(one)) for one in await passport(session, company, candidate)
        ],
        "feedback_requests": [
            plain(vars(one))
            for one in await feedback_of_person(session, sealer, company, candidate)
            if one.state is not None
        ],
        "reflections": [plain(one) for one in await reflections_of(session, sealer, candidate)],
        "files": [_held_file(one) for one in await files_of(session, sealer, candidate)],
        "file_reads": [_reading(one) for one in await accesses_of(session, candidate)],
        "recipients": [_recipient(one) for one in held],
        "receipt": await receipt(session, company, candidate, now),
    }
    return {**content, "content_sha256": _digest(content)}


def _digest(content: Mapping[str, Any]) -> str:
    """What the file holds, by its SHA-256: the same content has the same one, whenever it is made.

    Left out is what making and handing over the file changes, and what is the person's alone: what
    HR hands over is proven by the number the person finds in their own copy.
    """
    shown = {key: value for key, value in content.items() if key not in _NOT_DIGESTED}
    proven = {key: value for key, value in content["receipt"].items() if key != "made_at"}
    return sha256(canonical({**shown, "receipt": proven}).decode())


async def _whose(session: AsyncSession, candidate: Candidate) -> dict[str, Any]:
    """The person's record and those the ATS merged into it."""
    values = {"company": candidate.company_id, "candidate": candidate.id}
    people = (await session.execute(_RECORDS, values)).scalars().all()
    return {"company": candidate.company_id, "people": list(people)}


async def _rows(
    session: AsyncSession, wanted: str, whose: Mapping[str, Any]
) -> list[dict[str, Any]]:
    found = (await session.execute(text(wanted), whose)).mappings().all()
    return [plain(row) for row in found]


async def _notices(
    session: AsyncSession, sealer: Sealer, whose: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The messages about results, with the feedback they carried."""
    found = (await session.execute(text(_NOTICES), whose)).mappings().all()
    sealed = [row for row in found if row["feedback"] is not None]
    opened = await vault.open_each(
        session, sealer, whose["company"],
        [(row["candidate_id"], row["feedback"], f"feedback:{row['id']}") for row in sealed],
    )  # fmt: skip
    said = dict(zip((row["id"] for row in sealed), opened, strict=True))
    kept = ("id", "application_id", "kind", "state", "sent_at")
    return [
        plain({name: row[name] for name in kept} | {"feedback": said.get(row["id"])})
        for row in found
    ]


async def _requests(
    session: AsyncSession, sealer: Sealer, whose: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """What the person asked about their data, in their words, and what was answered."""
    found = (await session.execute(text(_REQUESTS), whose)).mappings().all()
    sealed = [(row, name) for row in found for name in _SAID if row[name] is not None]
    opened = await vault.open_each(
        session, sealer, whose["company"],
        [(row["candidate_id"], row[name], f"request:{row['id']}:{name}") for row, name in sealed],
        kind="record",
    )  # fmt: skip
    said = {(row["id"], name): words for (row, name), words in zip(sealed, opened, strict=True)}
    return [
        plain({name: value for name, value in row.items() if name not in {"candidate_id", *_SAID}})
        | {name: said.get((row["id"], name)) for name in _SAID}
        for row in found
    ]


def _held_file(file: HeldFile) -> dict[str, Any]:
    """A document without its content: that is downloaded by itself."""
    facts = plain(vars(file))
    del facts["content"]
    return facts


def _reading(one: Access) -> dict[str, Any]:
    """Somebody opened a document. Which member of the company's staff it was is not theirs."""
    facts = plain(vars(one))
    del facts["actor"]
    return facts


def _recipient(one: Held) -> dict[str, Any]:
    """An agency, what it may have, when and by which path it got it, and its answers to stops."""
    return {
        "agency_id": one.agency_id,
        "name": one.name,
        "consent": one.state,
        "relay": one.relay_state,
        "provisions": [plain(vars(given)) for given in one.provisions],
        "stops": [plain(vars(stop)) for stop in one.stops],
    }


def _written(at: datetime | None) -> str | None:
    return written(at) if at is not None else None
