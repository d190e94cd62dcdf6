"""Bullhorn: what a submission, its interviews and a person who is gone mean.

What a status of a submission (JobSubmission, an application) means only the customer knows: the
status map decides, and the beginning of the meaning that holds now is the time of the effect, so
that a move between two statuses for "rejected" is one end. A status nobody has mapped makes no
event. How it is asked: `bullhorn_api`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from domain.ports import Aside, ConnectionView, Incoming, Reading, Unreadable, Word
from integrations.ats import canonical as c
from integrations.ats.wording import suggested_status

PROVIDER = "bullhorn"

_CONFIDENTIAL = "**CONFIDENTIAL**"
_MAPPED = {"rejected": "company", "withdrawn": "candidate", "hired": "hired"}
_GOES_ON = "application.rejection_reverted"

Row = dict[str, Any]


def understand(
    facts: Mapping[str, Any], incoming: Incoming, connection: ConnectionView, provider_event: str
) -> Reading:
    """Translate a submission, its interviews, or a person who is gone."""
    kind = facts.get("kind")
    if kind == "person":
        return _person_gone(facts, incoming, connection, provider_event)
    if kind == "interviews" and facts.get("submission") is None:
        return Reading(provider_event)
    told = _Told(facts, incoming, connection, provider_event)
    return told.interviews() if kind == "interviews" else told.outcome()


def _person_gone(
    facts: Mapping[str, Any], incoming: Incoming, connection: ConnectionView, provider_event: str
) -> Reading:
    told = c.mapping(facts.get("candidate"), "candidate")
    number = c.ident(told.get("id"), "candidate_id")
    anonymized = c.flag(told.get("isAnonymized"), "is_anonymized")
    if not anonymized and not c.flag(told.get("isDeleted"), "is_deleted"):
        return Reading(provider_event)
    effect = "anonymized" if anonymized else "deleted"
    at = c.millis_or_none(told.get("dateLastModified"), "date_last_modified")
    made = c.event(
        PROVIDER,
        connection,
        incoming,
        kind="candidate.deleted",
        provider_event=provider_event,
        provider_event_id=None,
        subject=number,
        # The record may be touched again afterwards; it happens once.
        effect_at=effect,
        occurred_at=at or incoming.received_at,
        candidate=c.person(number, is_anonymized=anonymized),
        deletion={"kind": effect, "application_external_ids": []},
    )
    return Reading(provider_event, [made], at or incoming.received_at)


class _Told:
    """A submission with its person, its job and its history."""

    def __init__(
        self,
        facts: Mapping[str, Any],
        incoming: Incoming,
        connection: ConnectionView,
        provider_event: str,
    ) -> None:
        self.facts, self.incoming, self.connection = facts, incoming, connection
        self.provider_event = provider_event
        self.body = c.mapping(facts.get("submission"), "submission")
        self.id = c.ident(self.body.get("id"), "application_id")
        self.status = c.text(self.body.get("status"), "status")
        self.person = c.mapping(self.body.get("candidate"), "candidate")

    def outcome(self) -> Reading:
        """What the customer's status means; nothing for one nobody has given a meaning."""
        if c.flag(self.body.get("isDeleted"), "is_deleted"):
            return Reading(self.provider_event)
        if self.status is None:
            raise Unreadable("status_missing")
        meaning = c.mapped_status(self.status, self.connection)
        if meaning is None:
            word = Word("status", self.status, self.status, suggested_status(self.status))
            return Reading(self.provider_event, unmapped=[word])
        changed_at = c.millis(self.body.get("dateLastModified"), "date_last_modified")
        since = self._since(meaning)
        kind = c.ended_kind(_MAPPED[meaning]) if meaning in _MAPPED else _GOES_ON
        at = since or changed_at
        made = self._event(kind, at, at, rejection=self._rejection(kind, meaning, since))
        states = kind in {_GOES_ON, "application.hired"}
        return Reading(
            self.provider_event, [made], max(at, changed_at), states=states, undated=since is None
        )

    def _since(self, meaning: str) -> datetime | None:
        """When the status took the meaning it has; null where the history does not tell."""
        told = [
            (c.millis(one.get("dateAdded"), "date_added"), c.text(one.get("status"), "status"))
            for one in c.rows(self.facts.get("history"), "history")
        ]
        told.sort(key=lambda one: one[0])
        begun: datetime | None = None
        for when, status in reversed(told):
            if c.mapped_status(status, self.connection) != meaning:
                break
            begun = when
        return begun

    def _rejection(self, kind: str, meaning: str, since: datetime | None) -> dict[str, Any] | None:
        if kind not in c.ENDED:
            return None
        words = {"reason_id": self.status, "reason_text": self.status}
        return c.rejection(_MAPPED[meaning], since, **words)

    def interviews(self) -> Reading:
        events, asides = [], []
        for one in c.rows(self.facts.get("appointments"), "appointments"):
            # Everybody invited has a copy; the organiser's is the appointment itself.
            if one.get("type") != "Interview" or one.get("parentAppointment") is not None:
                continue
            number = c.ident(one.get("id"), "interview_id")
            if c.flag(one.get("isDeleted"), "is_deleted"):
                asides.append(Aside("interview_off", number))
            else:
                events.append(self._interview(number, one))
        return Reading(self.provider_event, events, self.incoming.received_at, asides)

    def _interview(self, number: str, told: Row) -> dict[str, Any]:
        now = self.incoming.received_at
        starts_at = c.millis(told.get("dateBegin"), "date_begin")
        ends_at = c.millis_or_none(told.get("dateEnd"), "date_end")
        over_at = ends_at or starts_at
        status = "completed" if over_at < now else "scheduled"
        planned_at = c.millis_or_none(told.get("dateLastModified"), "date_last_modified")
        interview = c.interview(
            number, starts_at, ends_at, status=status,
            all_day=c.flag(told.get("isAllDay"), "is_all_day"),
        )  # fmt: skip
        when = over_at if status == "completed" else planned_at or now
        return self._event(f"interview.{status}", starts_at, when, interview=interview)

    def _event(
        self, kind: str, effect_at: datetime, occurred_at: datetime, **objects: Any
    ) -> dict[str, Any]:
        made = c.event(
            PROVIDER,
            self.connection,
            self.incoming,
            kind=kind,
            provider_event=self.provider_event,
            provider_event_id=None,
            subject=self.id,
            effect_at=effect_at,
            occurred_at=occurred_at,
            application=self._application(kind),
            candidate=self._candidate(),
            job=self._job(),
            **objects,
        )
        made["holds"] = c.holds(made, self.connection, self.incoming)
        return made

    def _application(self, kind: str) -> dict[str, Any]:
        """Somebody who applied on the web came in before they became a submission."""
        told = ("dateWebResponse", "dateAdded")
        times = [c.millis_or_none(self.body.get(name), "date_added") for name in told]
        return c.application(
            kind,
            self.id,
            applied_at=c.written(next(filter(None, times), None)),
            stage=c.named(None, self.status),
            source=c.label(self.body.get("source")),
        )

    def _candidate(self) -> dict[str, Any]:
        told = self.person
        mails = [told.get(name) for name in ("email", "email2", "email3")]
        phones = {"mobile": "mobile", "phone": "home", "workPhone": "work"}
        opted_out = c.flag_or_none(told.get("massMailOptOut"), "mass_mail_opt_out")
        return c.person(
            c.ident(told.get("id"), "candidate_id"),
            display_name=_open(told.get("name"), "name"),
            given_name=_open(told.get("firstName"), "first_name"),
            family_name=_open(told.get("lastName"), "last_name"),
            emails=c.emails([
                {"value": mail, "primary": at == 0} for at, mail in enumerate(mails) if mail
            ]),
            phones=c.phones([
                {"value": told.get(name), "type": kind}
                for name, kind in phones.items()
                if told.get(name) != _CONFIDENTIAL
            ]),
            can_email=None if opted_out is None else not opted_out,
        )  # fmt: skip

    def _job(self) -> dict[str, Any] | None:
        told = c.mapping_or_none(self.body.get("jobOrder"), "job")
        if told is None:
            return None
        place = told.get("address")
        return c.job(
            c.ident(told.get("id"), "job_id"),
            title=c.label(told.get("title")),
            location=c.label(place.get("city")) if isinstance(place, dict) else None,
            requisition_id=c.ident_or_none(told.get("externalID"), "requisition_id"),
        )


def _open(value: Any, what: str) -> str | None:
    """A text we may read; the vendor says so where we may not."""
    found = c.text(value, what)
    return None if found == _CONFIDENTIAL else found
