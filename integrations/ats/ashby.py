"""Ashby. Signs the raw body with HMAC-SHA256 (`Ashby-Signature: sha256=<hex>`).

Bodies are full: the application as it stands. One change fires several types (a stage change also
`applicationUpdate`, a hire both others), all under one `webhookActionId`, which retries and other
webhooks share too; so an effect is told by its own time. There is no event for a reversal: the
application is simply active again. Nothing is sent again after 401, 403, 404, 405 or 410.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from domain.ports import Aside, ConnectionView, Incoming, Reading, Unreadable
from integrations.ats import canonical as c
from integrations.ats import signing

PROVIDER = "ashby"
SUCCESS = 200
BAD_SIGNATURE = 400
"""Not 401: Ashby gives up after that, and a wrongly rotated secret would lose what it sends."""
HEADERS = ()
ONE_BODY_PER_ID = False
ID_IN_BODY = True

_REASON_TYPES = {"rejectedbyorg": "company", "rejectedbycandidate": "candidate"}
_GOES_ON = ("Active", "Lead")
_MOST_ID = 200


# ---- the door -------------------------------------------------------------------------------


def greet(_: Incoming, __: ConnectionView) -> None:
    """There is no handshake: the ping is signed like everything else."""


def verify(incoming: Incoming, connection: ConnectionView) -> bool:
    """`Ashby-Signature: sha256=<lower hex>` over the body's exact bytes, by any of the secrets."""
    claimed = incoming.headers.get("ashby-signature", "")
    return signing.signed_hex([claimed], connection.secrets, incoming.body, prefix="sha256=")


def unusable(secrets: Sequence[str], public_keys: Sequence[str]) -> str | None:
    """Ashby takes any text as secret token."""
    return signing.shared_only("Ashby", secrets, public_keys)


def delivery_id(incoming: Incoming) -> str | None:
    """`webhookActionId`: the change's id rather than the delivery's. A ping has none."""
    try:
        found = c.label(c.parse(incoming.body).get("webhookActionId"))
    except Unreadable:
        return None
    return found if found and len(found) <= _MOST_ID else None


def read(incoming: Incoming, connection: ConnectionView) -> Reading:
    """Translate one delivery. Actions without a meaning for us make no event."""
    body = c.parse(incoming.body)
    action = c.text(body.get("action"), "action")
    if action is None:
        raise Unreadable("action_missing")
    reader = _READERS.get(action)
    if reader is None:
        return Reading(action)
    return reader(action, c.mapping(body.get("data"), "data"), incoming, connection)


# ---- applications ---------------------------------------------------------------------------


def of_application(
    told: Any, incoming: Incoming, connection: ConnectionView, provider_event: str
) -> Reading:
    """What an application says of itself, by webhook or API: both send the same object.

    Active, Lead and Hired merely say how it stands. Raises `Unreadable`.
    """
    about = _Application(c.mapping(told, "application"), connection)
    status = c.text(about.body.get("status"), "status")
    if status is None:
        raise Unreadable("status_missing")
    if status == "Archived":
        return _ended(about, incoming, connection, provider_event)
    if status == "Hired":
        return _stands(about, "application.hired", incoming, connection, provider_event)
    if status in _GOES_ON:
        kind = "application.rejection_reverted"
        found = _stands(about, kind, incoming, connection, provider_event, lead=status == "Lead")
        return Reading(
            provider_event, found.events, found.as_of, [Aside("unhired", about.id)], states=True
        )
    return Reading(provider_event)


def _ended(
    about: "_Application", incoming: Incoming, connection: ConnectionView, provider_event: str
) -> Reading:
    archived_at = c.moment_or_none(about.body.get("archivedAt"), "archived_at")
    updated_at = c.moment_or_none(about.body.get("updatedAt"), "updated_at")
    ended_at = archived_at or c.moment(about.body.get("updatedAt"), "updated_at")
    rejection = about.rejection(archived_at)
    kind = c.ended_kind(rejection["initiated_by"])
    made = about.event(
        kind, incoming, connection, provider_event, at=ended_at,
        rejection=rejection if kind in c.ENDED else None,
    )  # fmt: skip
    as_of = max(updated_at or ended_at, ended_at)
    return Reading(provider_event, [made], as_of, undated=archived_at is None)


def _stands(
    about: "_Application",
    kind: str,
    incoming: Incoming,
    connection: ConnectionView,
    provider_event: str,
    *,
    lead: bool = False,
) -> Reading:
    at = c.moment(about.body.get("updatedAt"), "updated_at")
    made = about.event(kind, incoming, connection, provider_event, at=at, prospect=lead)
    return Reading(provider_event, [made], at, states=True)


class _Application:
    """An application of Ashby's, field by field."""

    def __init__(self, body: Mapping[str, Any], connection: ConnectionView) -> None:
        self.body, self.connection = body, connection
        self.id = c.ident(body.get("id"), "application_id")

    def event(
        self,
        kind: str,
        incoming: Incoming,
        connection: ConnectionView,
        provider_event: str,
        *,
        at: datetime,
        prospect: bool = False,
        rejection: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        made = c.event(
            PROVIDER,
            connection,
            incoming,
            kind=kind,
            provider_event=provider_event,
            provider_event_id=delivery_id(incoming),
            subject=self.id,
            effect_at=at,
            occurred_at=at,
            application=self.application(kind),
            candidate=self.candidate(),
            job=self.job(),
            rejection=rejection,
        )
        made["holds"] = c.holds(made, connection, incoming, prospect=prospect)
        return made

    def application(self, kind: str) -> dict[str, Any]:
        stage, source = self.body.get("currentInterviewStage"), self.body.get("source")
        stage = stage if isinstance(stage, dict) else {}
        return c.application(
            kind,
            self.id,
            applied_at=c.written(c.moment_or_none(self.body.get("createdAt"), "created_at")),
            stage=c.named(stage.get("id"), stage.get("title")),
            source=c.label(source.get("title")) if isinstance(source, dict) else None,
            custom_fields=_custom_fields(self.body.get("customFields")),
        )

    def candidate(self) -> dict[str, Any]:
        """Only the primary address is told; the others are the vendor's."""
        told = c.mapping(self.body.get("candidate"), "candidate")
        address = c.mapping_or_none(told.get("primaryEmailAddress"), "primary_email")
        number = told.get("primaryPhoneNumber")
        return c.person(
            c.ident(told.get("id"), "candidate_id"),
            display_name=c.text(told.get("name"), "name"),
            emails=c.emails([_email(address)] if address else []),
            phones=c.phones([number]),
        )

    def job(self) -> dict[str, Any] | None:
        """The job's name; its department is an id here, which says nothing to a person."""
        told = c.mapping_or_none(self.body.get("job"), "job")
        if told is None:
            return None
        return c.job(c.ident(told.get("id"), "job_id"), title=c.label(told.get("title")))

    def rejection(self, archived_at: datetime | None) -> dict[str, Any]:
        """Why it ended. `Other` names no side: the tenant's map may, else it stays `other`."""
        reason = c.mapping_or_none(self.body.get("archiveReason"), "archive_reason") or {}
        reason_id = c.ident_or_none(reason.get("id"), "reason_id")
        kind = c.text(reason.get("reasonType"), "reason_type")
        folded = (kind or "").casefold()
        otherwise = "other" if folded == "other" else "unknown"
        by_whom = _REASON_TYPES.get(folded) or c.mapped_initiator(reason_id, self.connection)
        return c.rejection(
            by_whom or otherwise,
            archived_at,
            reason_id=reason_id,
            reason_text=c.text(reason.get("text"), "reason_text"),
            reason_type_raw=kind,
        )


def _email(told: Mapping[str, Any]) -> dict[str, Any]:
    kind = told.get("type")
    return {
        "value": told.get("value"),
        "type": kind.lower() if isinstance(kind, str) else None,
        "primary": c.flag(told.get("isPrimary"), "email_primary"),
    }


def _custom_fields(found: Any) -> dict[str, Any]:
    listed = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return c.plain_json({
        number: {"name": one.get("title"), "value": one.get("value")}
        for one in listed
        if (number := c.label(one.get("id")))
    })  # fmt: skip


def _application(
    action: str, data: Mapping[str, Any], incoming: Incoming, connection: ConnectionView
) -> Reading:
    return of_application(data.get("application"), incoming, connection, action)


# ---- interviews -----------------------------------------------------------------------------


class Schedule:
    """An interview schedule: one or more interview events in a row, told as one interview."""

    def __init__(self, told: Any) -> None:
        self.body = c.mapping(told, "interview_schedule")
        self.id = c.ident(self.body.get("id"), "interview_schedule_id")
        self.application_id = c.ident(self.body.get("applicationId"), "application_id")
        self.status = c.text(self.body.get("status"), "interview_status") or "Unknown"
        parts = c.rows(self.body.get("interviewEvents"), "interview_events")
        starts = [c.moment(one.get("startTime"), "start_time") for one in parts]
        ends = [c.moment_or_none(one.get("endTime"), "end_time") for one in parts]
        self.starts_at = min(starts, default=None)
        self.ends_at = max((one for one in ends if one is not None), default=None)
        self.updated_at = c.moment_or_none(self.body.get("updatedAt"), "updated_at")

    def over_at(self) -> datetime | None:
        """When it was over, as far as that is told."""
        return self.ends_at or self.starts_at

    def event(
        self,
        kind: str,
        incoming: Incoming,
        connection: ConnectionView,
        provider_event: str,
    ) -> dict[str, Any]:
        """The event without its person: a schedule names nobody, and no hold follows from that."""
        status = kind.removeprefix("interview.")
        told_at = self.updated_at or incoming.received_at
        took_place = self.over_at() or told_at
        return c.event(
            PROVIDER,
            connection,
            incoming,
            kind=kind,
            provider_event=provider_event,
            provider_event_id=delivery_id(incoming),
            subject=self.application_id,
            effect_at=self.starts_at or f"schedule-{self.id}",
            occurred_at=took_place if kind == "interview.completed" else told_at,
            application=c.application(kind, self.application_id),
            interview=c.interview(self.id, self.starts_at, self.ends_at, status=status),
        )


def _interview(
    action: str, data: Mapping[str, Any], incoming: Incoming, connection: ConnectionView
) -> Reading:
    told = Schedule(data.get("interviewSchedule"))
    as_of = told.updated_at or incoming.received_at
    if told.status == "Cancelled":
        return Reading(action, as_of=as_of, asides=[Aside("interview_off", told.id)])
    kind = {"Scheduled": "interview.scheduled", "Complete": "interview.completed"}.get(told.status)
    if kind is None or (kind == "interview.scheduled" and told.starts_at is None):
        return Reading(action)
    return Reading(action, [told.event(kind, incoming, connection, action)], as_of)


# ---- people ---------------------------------------------------------------------------------


def _deleted(
    action: str, data: Mapping[str, Any], incoming: Incoming, connection: ConnectionView
) -> Reading:
    told = c.mapping(data.get("candidate"), "candidate")
    return _about_person(
        c.person(c.ident(told.get("id"), "candidate_id")), "candidate.deleted", incoming,
        connection, action=action, effect="deleted",
        deletion={"kind": "deleted", "application_external_ids": []},
    )  # fmt: skip


def _merged(
    action: str, data: Mapping[str, Any], incoming: Incoming, connection: ConnectionView
) -> Reading:
    """The deleted record was absorbed into the merged one."""
    gone = c.mapping(data.get("deletedCandidate"), "deleted_candidate")
    left = c.mapping(data.get("mergedCandidate"), "merged_candidate")
    into = c.ident(left.get("id"), "merged_candidate_id")
    absorbed = c.ident(gone.get("id"), "deleted_candidate_id")
    return _about_person(
        c.person(absorbed, merged_into_external_id=into), "candidate.merged", incoming,
        connection, action=action, effect=into,
    )  # fmt: skip


def _about_person(
    candidate: dict[str, Any],
    kind: str,
    incoming: Incoming,
    connection: ConnectionView,
    *,
    action: str,
    effect: str,
    **objects: Any,
) -> Reading:
    made = c.about_person(
        PROVIDER, connection, incoming, candidate, kind=kind, effect=effect,
        provider_event=action, provider_event_id=delivery_id(incoming), **objects,
    )  # fmt: skip
    return Reading(action, [made], incoming.received_at)


_READERS = {
    "applicationUpdate": _application,
    "candidateStageChange": _application,
    "candidateHire": _application,
    "interviewScheduleCreate": _interview,
    "interviewScheduleUpdate": _interview,
    "candidateDelete": _deleted,
    "candidateMerge": _merged,
}
