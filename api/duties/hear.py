"""Hear: read the deliveries that were kept, and look after those nobody read."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog

from api.jobs import Lane, job, passes
from api.runtime import Runtime
from api.timers import timer
from domain.flows.hear.replay_delivery import JOB
from domain.flows.hear.understand_delivery import (
    ASK_JOB,
    Ask,
    give_up,
    look_again,
    put_off,
    refuse,
    understand_delivery,
)
from domain.jobs import later
from domain.ports import (
    AtsApi,
    ConnectionView,
    VendorApi,
    VendorDown,
    VendorMissing,
    VendorRefused,
)
from integrations.vendor_api import vendor_api

log = structlog.get_logger()
_ASKED_FOR_EXTRAS = 3
"""How often an API that does not answer is asked for what a delivery can do without."""


@job(JOB)
async def read_delivery(runtime: Runtime, ids: list[str]) -> None:
    """Read one delivery; where the vendor must be asked first, that is a job of its own."""
    company_id, delivery_id = ids
    async with (
        _noting_what_breaks(runtime, company_id, delivery_id),
        runtime.database.transaction(company_id=company_id) as session,
    ):
        now = runtime.clock()
        ask = await understand_delivery(session, runtime.tools, company_id, delivery_id, now)
        if ask is not None:
            await later(session, ASK_JOB, company_id, delivery_id)


@job(ASK_JOB, Lane.VENDORS)
async def ask_and_read(runtime: Runtime, ids: list[str]) -> None:
    """Ask the vendor's API what a delivery leaves open, and read it with the answer."""
    company_id, delivery_id = ids
    async with _noting_what_breaks(runtime, company_id, delivery_id):
        ask = await _understand(runtime, company_id, delivery_id)
        if ask is not None:
            await _ask_and_understand(runtime, company_id, delivery_id, ask)


@asynccontextmanager
async def _noting_what_breaks(
    runtime: Runtime, company_id: str, delivery_id: str
) -> AsyncIterator[None]:
    """What breaks us is noted on the delivery and can be replayed; nothing is lost."""
    try:
        yield
    except Exception as error:
        if passes(error):
            raise  # still `received`: should it last, the sweep asks again
        log.exception("delivery_unread", delivery_id=delivery_id)
        async with runtime.database.transaction(company_id=company_id) as session:
            await give_up(session, company_id, delivery_id, runtime.clock())


async def _understand(
    runtime: Runtime,
    company_id: str,
    delivery_id: str,
    *,
    facts: Mapping[str, Any] | None = None,
    alone: bool = False,
) -> Ask | None:
    async with runtime.database.transaction(company_id=company_id) as session:
        return await understand_delivery(
            session, runtime.tools, company_id, delivery_id, runtime.clock(),
            facts=facts, alone=alone,
        )  # fmt: skip


async def _ask_and_understand(
    runtime: Runtime, company_id: str, delivery_id: str, ask: Ask
) -> None:
    """The vendor's API is asked with no transaction open. No answer: the delivery waits.

    For an extra it does not wait long: what the delivery says by itself counts then.
    """
    place = (company_id, delivery_id)
    try:
        async with asking(runtime, ask.provider, ask.connection) as (adapter, api):
            facts = await adapter.look_up(api, ask.connection, ask.lookup.about)
    except VendorDown as why:
        if ask.optional and ask.attempts >= _ASKED_FOR_EXTRAS:
            await _understand(runtime, *place, alone=True)
            return
        async with runtime.database.transaction(company_id=company_id) as session:
            await put_off(
                session, *place, code=why.code, retry_after=why.retry_after, now=runtime.clock()
            )
    except (VendorRefused, VendorMissing) as why:
        code = getattr(why, "code", "not_at_vendor")
        if ask.optional:
            await _understand(runtime, *place, alone=True)
            return
        async with runtime.database.transaction(company_id=company_id) as session:
            await refuse(session, *place, code, runtime.clock())
    else:
        await _understand(runtime, *place, facts=facts)


@asynccontextmanager
async def asking(
    runtime: Runtime, provider: str, connection: ConnectionView
) -> AsyncIterator[tuple[AtsApi, VendorApi]]:
    """A vendor's API, signed in for one connection."""
    adapter = runtime.tools.apis[provider]
    private = runtime.settings.allow_private_networks
    async with vendor_api(adapter, connection, now=runtime.clock(), allow_private=private) as api:
        yield adapter, api


timer(
    "delivery.look", table="delivery", column="look_at", where="look_at IS NOT NULL", act=look_again
)
