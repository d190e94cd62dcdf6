"""The person's own page: where is my data, and what can I do about it."""

from collections.abc import Iterable, Sequence
from typing import Any

from fastapi.responses import Response

from api.candidate_sections import parts_of
from api.candidate_visit import Visit, day, labels, moment_of
from domain import data_items
from domain.business_days import long_date
from domain.consent import last_day
from domain.views.my_data import Held, Provided

DONE = frozenset({
    "corrected", "unchanged", "language", "links_ended", "feedback_asked", "reflection_gone",
    "invited_again",
})  # fmt: skip
"""What a form here leads back with: `?done=`, each with words of its own."""
PATHS = {"feed": "feed", "api": "api", "webhook": "webhook"}
"""Ways a package leaves by; another one is shown without a name."""


async def show(visit: Visit) -> Response:
    """Where is my data: who may have it, who got it, who has been asked to stop."""
    asked = visit.request.query_params
    profile = await visit.profile()
    done = asked.get("done", "")
    return visit.show(
        "my_page",
        name=data_items.full_name(profile),
        proven=visit.proven,
        parts=await parts_of(visit),
        withdrawn="withdrawn" in asked,
        unasked="unasked" in asked,
        done=done if done in DONE else "",
    )


def dressed(visit: Visit, held: Sequence[Held]) -> list[dict[str, Any]]:
    """Dates and items in the reader's language."""
    return [
        {
            "agency_id": one.agency_id,
            "name": one.name if visit.locale == "ja" else one.name_en or one.name,
            "privacy_url": one.privacy_url,
            "contact_days": one.contact_days,
            "state": one.state,
            "stands": one.stands,
            "items": labels(one.items, visit.locale),
            "given_on": day(one.given_at, visit.locale),
            "last_day": long_date(last_day(one.expires_at), visit.locale),
            "withdrawn_on": day(one.withdrawn_at, visit.locale),
            "not_before": moment_of(one.provision_not_before, visit.locale),
            "waits": visit.now < one.provision_not_before,
            "relay": one.relay_state,
            "use_until": _lease(visit, one.provisions) if one.stands else "",
            "provisions": [_provision(visit, given) for given in one.provisions],
            "stops": [
                {
                    "kind": stop.kind,
                    "state": stop.state,
                    "answer": stop.answer,
                    "asked_on": day(stop.created_at, visit.locale),
                    "due_on": long_date(stop.due_on, visit.locale),
                    "answered_on": day(stop.acknowledged_at, visit.locale),
                }
                for stop in one.stops
            ],
        }
        for one in held
    ]


def _provision(visit: Visit, given: Provided) -> dict[str, Any]:
    return {
        "items": labels(given.items, visit.locale),
        "first": moment_of(given.provided_at, visit.locale),
        "last": moment_of(given.last_provided_at, visit.locale),
        "path": PATHS.get(given.channel, "other"),
    }


def _lease(visit: Visit, provisions: Iterable[Provided]) -> str:
    """Until when the agency may use what it read last (ledger rules 20); empty before any read."""
    leases = [given.use_until for given in provisions if given.use_until is not None]
    return day(max(leases), visit.locale) if leases else ""
