"""Consents end on their day, and the person is asked before. Corrections reach agencies."""

from api.jobs import job
from api.runtime import Runtime
from api.timers import timer
from domain.candidate import Candidate
from domain.flows.consent.join_consents import join_consents
from domain.flows.consent.renew_consent import ask_renewal
from domain.flows.consent.withdraw_consent import expire
from domain.flows.relay.spread_correction import spread_correction
from domain.store import find

timer(
    "consent.expires_at",
    table="consent",
    column="expires_at",
    where="state = 'given'",
    act=expire,
)
timer(
    "consent.renew_ask_at",
    table="consent",
    column="renew_ask_at",
    where="state = 'given' AND renew_ask_at IS NOT NULL",
    act=ask_renewal,
)


@job("candidate.corrected")
async def tell_of_correction(runtime: Runtime, ids: list[str]) -> None:
    """The ATS put something right: in a transaction of its own, with its own order of locks."""
    company_id, candidate_id, *items = ids
    async with runtime.database.transaction(company_id=company_id) as session:
        candidate = await find(session, Candidate, company_id, candidate_id)
        if candidate is not None and candidate.erased_at is None:
            await spread_correction(session, runtime.tools, candidate, items, runtime.clock())


@job("consent.merged")
async def join_after_merge(runtime: Runtime, ids: list[str]) -> None:
    """Two records became one person: one consent per agency goes on."""
    company_id, candidate_id = ids
    async with runtime.database.transaction(company_id=company_id) as session:
        await join_consents(session, runtime.tools, company_id, candidate_id, runtime.clock())
