"""The person's own page: where is my data."""

from typing import Any

from fastapi.responses import Response

from api.candidate_visit import Visit, day, labels, moment_of
from domain import data_items
from domain.business_days import long_date
from domain.consent import last_day
from domain.flows.ask_candidate import may_be_asked
from domain.views.my_data import Held, my_data


async def show(visit: Visit) -> Response:
    """Where is my data: who may have it, who got it, who has been asked to stop."""
    held = await my_data(visit.db, visit.opened.candidate)
    profile = await visit.profile()
    return visit.show(
        "my_page",
        name=data_items.full_name(profile),
        held=dressed(visit, held),
        standing=[one.agency_id for one in held if one.stands],
        withdrawn="withdrawn" in visit.request.query_params,
        followup=await may_be_asked(visit.db, visit.opened.candidate),
        unasked="unasked" in visit.request.query_params,
    )


def dressed(visit: Visit, held: list[Held]) -> list[dict[str, Any]]:
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
            "provisions": [
                {
                    "items": labels(given.items, visit.locale),
                    "first": moment_of(given.provided_at, visit.locale),
                    "last": moment_of(given.last_provided_at, visit.locale),
                }
                for given in one.provisions
            ],
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
