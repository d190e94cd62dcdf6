"""Where it is so agreed, relays count: every n of them earn a credit, whatever comes of them.

A relay counts once, when the agency has taken it on, and only while the person's consent stands: a
withdrawal takes a point out again. A credit that was earned stays; where no point is left beside it
there is none to take.
"""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from domain import ledger
from domain.agreement import AgreementVersion
from domain.consent import Consent
from domain.credits import POINT, Book, Bucket, Kind
from domain.flows.earn.agree_terms import version_on
from domain.flows.earn.earn_credits import cap
from domain.flows.earn.mature_credit import make_available
from domain.ids import new_id
from domain.ledger import cite, today_in_japan
from domain.posting import Move, NewCredit, Posting
from domain.relay import Relay, has_reached
from domain.terms import Terms, guarantee_end, terms_of


async def count_relay(session: AsyncSession, relay: Relay, now: datetime) -> None:
    """Post a point when the relay has reached the counted event; a credit when n are together.

    The caller works for the relay's company and holds the relay locked.
    """
    version = await version_on(session, relay.company_id, relay.agency_id, today_in_japan(now))
    terms = terms_of(version.terms)
    if not terms.counts_relays or not has_reached(relay.state, terms.per_n.counted_event):
        return
    consent = await session.get_one(Consent, (relay.company_id, relay.consent_id))
    if consent.state != "given":
        return
    book = await ledger.open_book(session, relay.company_id, relay.agency_id, now)
    if await ledger.posted(session, book, f"point:{relay.id}"):
        return
    await ledger.post(session, book, _point(book, relay, version, now), now)
    await _convert(session, book, version, terms, now)


async def uncount_relay(session: AsyncSession, relay: Relay, now: datetime) -> None:
    """The person has withdrawn: one of the points that are not yet part of a credit is taken out.

    The caller works for the relay's company and holds the relay locked.
    """
    book = await ledger.book_of(session, relay.company_id, relay.agency_id)
    # Nobody counts it meanwhile: the caller holds the relay. So most books need no lock.
    if book is None or not await ledger.posted(session, book, f"point:{relay.id}"):
        return
    book = await ledger.lock_book(session, book.company_id, book.id)
    gone = await ledger.posted(session, book, f"point_out:{relay.id}")
    if gone or await ledger.balance(session, book, Bucket.AVAILABLE, unit=POINT) == 0:
        return
    posting = Posting(
        kind=Kind.POINT_REMOVED,
        key=f"point_out:{relay.id}",
        effective_on=today_in_japan(now),
        actor="system",
        reason="withdrawn",
        moves=[Move(None, Bucket.AVAILABLE, Bucket.REVERSED, POINT)],
        request={"relay_id": relay.id},
    )
    await ledger.post(session, book, posting, now)


def _point(book: Book, relay: Relay, version: AgreementVersion, now: datetime) -> Posting:
    return Posting(
        kind=Kind.POINT_COUNTED,
        key=f"point:{relay.id}",
        effective_on=today_in_japan(now),
        actor=book.agency_id,
        moves=[Move(None, Bucket.ISSUED, Bucket.AVAILABLE, POINT)],
        request={**cite(version), "relay_id": relay.id},
    )


async def _convert(
    session: AsyncSession, book: Book, version: AgreementVersion, terms: Terms, now: datetime
) -> None:
    """N points become a credit that may be used at once: there is no guarantee to wait for."""
    while await ledger.balance(session, book, Bucket.AVAILABLE, unit=POINT) >= terms.per_n.n:
        await _convert_once(session, book, version, terms, now)


async def _convert_once(
    session: AsyncSession, book: Book, version: AgreementVersion, terms: Terms, now: datetime
) -> None:
    count = await ledger.balance(session, book, Bucket.USED, unit=POINT) + terms.per_n.n
    today = today_in_japan(now)
    made = NewCredit(
        id=new_id("crd"),
        agreement_id=version.agreement_id,
        agreement_version=version.version,
        terms=version.terms,
        started_on=today,
        guarantee_end_on=guarantee_end(terms, today),
        value_cap_jpy=terms.value_cap_jpy,
        reference_value_jpy=terms.reference_value_jpy,
    )
    posting = Posting(
        kind=Kind.GRANTED,
        key=f"convert:{book.id}:{count}",
        effective_on=today,
        actor=book.agency_id,
        reason="points",
        moves=[
            Move(None, Bucket.AVAILABLE, Bucket.USED, POINT, terms.per_n.n),
            Move(made.id, Bucket.ISSUED, Bucket.PENDING),
        ],
        credits=[made],
        request={**cite(version), "points": terms.per_n.n},
    )
    await ledger.post(session, book, posting, now)
    await cap(session, book, terms, {made.id}, now)
    credit = await ledger.credit(session, book.company_id, made.id)
    if credit.bucket == Bucket.PENDING:
        await make_available(session, book, credit, now)
