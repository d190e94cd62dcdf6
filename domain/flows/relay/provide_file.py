"""Hand a file over: by a link that one agency may use for minutes, asked at the gate, on record.

The package names the files; their content leaves here only, never as a mail's attachment.
"""

import hmac
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.access import relay_of_agency
from domain.candidate import Candidate
from domain.candidate_file import (
    LINK_LIFE,
    SCAN_JOB,
    CandidateFile,
    FileAccess,
    HeldFile,
    link_message,
    may_leave,
)
from domain.company import Company
from domain.consent import Consent
from domain.errors import Forbidden, Gone, NotFound
from domain.flows.relay.ask_gate import ask_gate
from domain.flows.relay.record_provision import (
    profile_today,
    record_provision,
    report_provision,
)
from domain.gate import PERMANENT, Facts
from domain.ids import new_id
from domain.jobs import later
from domain.ports import Tools
from domain.relay import Provision, Relay
from domain.relay_package import instant_text
from domain.store import find
from domain.views.files import content_of, held


async def refs_for(
    session: AsyncSession, tools: Tools, relay: Relay, consent: Consent, now: datetime
) -> list[dict[str, Any]]:
    """What a package says of the consented files, with a link to each that is good for minutes.

    `code, id, name, type, size, sha256` make the file what it is; `url, expires_at` are of this
    read. A file that was not cleared by the scanner is left out, and scanned soon.
    """
    refs = []
    for file, owner in await _consented(session, relay, consent):
        if not may_leave(file.scan, has_scanner=tools.scanner is not None):
            if file.scan != "infected":
                await later(session, SCAN_JOB, file.company_id, file.id)
            continue
        shown = await held(session, tools.sealer, owner, file)
        expires = int((now + LINK_LIFE).timestamp())
        refs.append(
            {
                "code": shown.kind,
                "id": shown.id,
                "name": shown.name,
                "type": shown.type,
                "size": shown.size,
                "sha256": shown.sha256,
                "url": _url(tools, relay, file.id, expires),
                "expires_at": instant_text(datetime.fromtimestamp(expires, tz=now.tzinfo)),
            }
        )
    return refs


async def provide_file(
    session: AsyncSession,
    tools: Tools,
    agency_id: str,
    relay_id: str,
    file_id: str,
    *,
    expires: int,
    sig: str,
    client_id: str,
    now: datetime,
) -> HeldFile:
    """A file with its content for the agency; the gate is asked, record and access are written.

    `expires` is in seconds of Unix time. Raises `NotFound` for what is not this agency's or was
    never consented to; `Forbidden` (`link_invalid`, `link_expired`, `file_not_cleared`, and what
    closes the gate for now); `Gone` (`file_removed`, and what closes it for good).
    """
    relay = await relay_of_agency(session, agency_id, relay_id)
    _check_link(tools, relay, file_id, expires=expires, sig=sig, now=now)
    facts, closed = await ask_gate(session, relay, now)
    if closed is not None:
        raise _refusal(closed)
    file, owner = await _wanted(session, facts, file_id)
    if not may_leave(file.scan, has_scanner=tools.scanner is not None):
        detail = "the file has not been found clean; read the package again later"
        raise Forbidden(detail, code="file_not_cleared")
    content = await content_of(session, tools.sealer, file)
    if content is None:
        raise _removed()
    record = await _record(session, tools, facts, file, client_id=client_id, now=now)
    session.add(
        FileAccess(
            company_id=relay.company_id, id=new_id("fac"), candidate_id=relay.candidate_id,
            file_id=file.id, reader="agency", agency_id=agency_id, relay_id=relay.id,
            provision_id=record.id, actor=client_id, at=now,
        )
    )  # fmt: skip
    await session.flush()
    return await held(session, tools.sealer, owner, file, content)


def _url(tools: Tools, relay: Relay, file_id: str, expires: int) -> str:
    signature = _signature(tools, relay, file_id, expires)
    place = f"{tools.public_url}/v1/agency/relays/{relay.id}/files/{file_id}"
    return f"{place}?expires={expires}&sig={signature}"


def _signature(tools: Tools, relay: Relay, file_id: str, expires: int) -> str:
    message = link_message(relay.agency_id, relay.id, file_id, expires)
    return tools.sealer.blind("file-link", message).hex()


def _check_link(
    tools: Tools, relay: Relay, file_id: str, *, expires: int, sig: str, now: datetime
) -> None:
    right = _signature(tools, relay, file_id, expires)
    if not hmac.compare_digest(right.encode(), sig.encode()):
        detail = "this link was not made for this file"
        raise Forbidden(detail, code="link_invalid")
    if now.timestamp() >= expires:
        detail = "links to files are good for fifteen minutes; the package has a new one"
        raise Forbidden(detail, code="link_expired")


def _refusal(closed: str) -> Gone | Forbidden:
    if closed in PERMANENT:
        return Gone("the file is no longer handed out; delete what you hold", code=closed)
    return Forbidden("the file cannot be handed out at present", code=closed)


def _removed() -> Gone:
    detail = "the person has taken the file back or put another in its place"
    return Gone(detail, code="file_removed")


async def _wanted(
    session: AsyncSession, facts: Facts, file_id: str
) -> tuple[CandidateFile, Candidate]:
    """The file and whose key opens it. Not locked: a removal is before or after this read."""
    file = await find(session, CandidateFile, facts.relay.company_id, file_id)
    owners = {facts.candidate.id, facts.candidate.merged_into_id}
    if file is None or file.candidate_id not in owners or file.kind not in facts.consent.items:
        raise NotFound
    if file.removed_at is not None:
        raise _removed()
    return file, await session.get_one(Candidate, (file.company_id, file.candidate_id))


async def _consented(
    session: AsyncSession, relay: Relay, consent: Consent
) -> list[tuple[CandidateFile, Candidate]]:
    """The standing files of the kinds consented to, and whose they are."""
    person = await session.get_one(Candidate, (relay.company_id, relay.candidate_id))
    owners = [one for one in (person.id, person.merged_into_id) if one is not None]
    wanted = (
        select(CandidateFile)
        .where(
            col(CandidateFile.company_id) == relay.company_id,
            col(CandidateFile.candidate_id).in_(owners),
            col(CandidateFile.kind).in_(consent.items),
            col(CandidateFile.removed_at).is_(None),
        )
        .order_by(col(CandidateFile.kind).desc(), col(CandidateFile.id))
    )
    files = (await session.scalars(wanted)).all()
    return [
        (file, await session.get_one(Candidate, (file.company_id, file.candidate_id)))
        for file in files
    ]


async def _record(
    session: AsyncSession, tools: Tools, facts: Facts, file: CandidateFile, *, client_id: str,
    now: datetime,
) -> Provision:  # fmt: skip
    company = await session.get_one(Company, facts.relay.company_id)
    profile = await profile_today(session, tools, facts)
    # A record rests on one event of the consent: read after a renewal, the same file has another.
    content = f"{facts.consent.event_id}:{file.id}:{file.sha256}"
    digest = tools.sealer.blind("package-file", content).hex()
    record, new = await record_provision(
        session, tools, facts, profile, items=[file.kind], digest=digest, channel="api",
        client_id=client_id, now=now, file_sha256=[file.sha256],
    )  # fmt: skip
    if new:
        await report_provision(
            session, tools, company, facts, profile, record=record, digest=digest, now=now,
        )  # fmt: skip
    return record
