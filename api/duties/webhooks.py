"""Webhooks to agencies: an attempt reads what is true, calls with no transaction open, notes it."""

import json
from dataclasses import replace

from api.jobs import Lane, job
from api.packages import sealed
from api.runtime import Runtime
from api.timers import timer
from domain.flows.relay.deliver_webhook import (
    Attempt,
    ask_for_delivery,
    may_leave,
    note_outcome,
    take_attempt,
)
from domain.webhook import Outcome
from integrations import agency_webhook
from integrations.safe_http import UnsafeAddress, check_url, safe_client

timer(
    "webhook_message.next_attempt_at",
    table="webhook_message",
    column="next_attempt_at",
    where="state = 'pending'",
    act=ask_for_delivery,
    tenant="agency",
)


@job("webhook.send", Lane.AGENCIES)
async def send_webhook(runtime: Runtime, ids: list[str]) -> None:
    """Try one message once. Run twice, the second finds it claimed, delivered or not due."""
    agency_id, message_id = ids
    now = runtime.clock()
    async with runtime.database.transaction(agency_id=agency_id) as session:
        attempt = await take_attempt(session, runtime.tools, agency_id, message_id, now)
    if attempt is None:
        return
    if attempt.provided is not None and not await _may_leave(runtime, agency_id, message_id):
        attempt = replace(attempt, provided=None)
    outcome = await _call(runtime, attempt)
    async with runtime.database.transaction(agency_id=agency_id) as session:
        await note_outcome(
            session, runtime.tools, agency_id, message_id, outcome, now=runtime.clock()
        )


async def _may_leave(runtime: Runtime, agency_id: str, message_id: str) -> bool:
    async with runtime.database.transaction(agency_id=agency_id) as session:
        return await may_leave(session, agency_id, message_id, runtime.clock())


async def _call(runtime: Runtime, attempt: Attempt) -> Outcome:
    private = runtime.settings.allow_private_networks
    body = _body(runtime, attempt)
    headers = agency_webhook.headers_for(attempt.secrets, attempt.message_id, runtime.clock(), body)
    try:
        check_url(attempt.url, allow_private=private)
    except UnsafeAddress as error:
        return Outcome(error=f"refused: {error}")
    async with safe_client(allow_private=private) as client:
        return await agency_webhook.send(client, attempt.url, headers, body)


def _body(runtime: Runtime, attempt: Attempt) -> bytes:
    data = dict(attempt.body["data"])
    if attempt.provided is not None and attempt.encryption_key is not None:
        data["package"] = sealed(runtime, attempt.provided, attempt.encryption_key)
    return json.dumps(
        {**attempt.body, "data": data}, ensure_ascii=False, separators=(",", ":")
    ).encode()
