"""The gate: what must hold at the moment a package is handed over. One question, one first answer.

Asked under the consent's lock and in the transaction that writes the provision record, so that a
withdrawal is either before (then nothing leaves) or after (then the record shows that it left).
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from domain.agency import Agency
from domain.agreement import Agreement
from domain.candidate import Candidate
from domain.consent import GIVING, Consent, ConsentEvent, ConsentText
from domain.consent_text import CROSS_BORDER_BASES, recipient_of
from domain.guardian import GuardianConsent
from domain.relay import Relay, may_be_read

FEED_READ_FRESH = timedelta(hours=24)
PERMANENT = frozenset(
    {
        "relay_ended", "consent_withdrawn", "consent_expired", "consent_superseded",
        "candidate_erased", "consent_mismatch",
    }
)  # fmt: skip
"""Reasons that no later look will change: the caller hears "gone"."""
ASK_ANEW = frozenset({"text_ended", "recipient_changed"})
"""What the consent was given for has changed: it carries nothing more, and the person is asked."""


@dataclass(frozen=True)
class Hearing:
    """How an agency can be told to stop.

    Working: a webhook endpoint that is not disabled, or a feed read within 24 hours. An agency that
    has neither yet counts as reachable while it has a client: its first read is still to come.
    """

    endpoints: int
    working_endpoints: int
    feed_read_at: datetime | None
    clients: int

    def works(self, now: datetime) -> bool:
        """Whether a stop sent now would be heard."""
        if self.working_endpoints:
            return True
        if self.feed_read_at is not None:
            return now - self.feed_read_at <= FEED_READ_FRESH
        return self.endpoints == 0 and self.clients > 0


@dataclass(frozen=True)
class Facts:
    """Everything the gate looks at, read under lock."""

    relay: Relay
    consent: Consent
    evidence: ConsentEvent | None
    """The event the consent's present state rests on."""
    text: ConsentText | None
    """The wording that was shown."""
    candidate: Candidate
    agency: Agency
    agreement: Agreement | None
    hearing: Hearing
    stop_escalated: bool
    duty_missed: bool = False
    """A word or an attestation is missing, and the agreed grace has passed as well."""
    text_ended: bool = False
    """The version of the wording was ended, as from today or before."""
    rejected: bool = True
    """Whether the decision still is a no."""
    guardian: GuardianConsent | None = None
    """The guardian's consent the person's own was recorded with."""
    survivor: Candidate | None = None
    """The record the person's was merged into: what they had restricted there is restricted."""
    stopped: bool = False
    """The agency was told to stop using what came by this relay."""


def closed_because(facts: Facts, now: datetime, today: date) -> str | None:
    """Why nothing may be handed over now, as a stable code; null when the gate is open.

    `today` is the day in Japan: licences are valid by calendar day.
    """
    consent, relay = facts.consent, facts.relay
    answers = {
        "candidate_erased": facts.candidate.erased_at is not None,
        "consent_expired": consent.state == "expired" or now >= consent.expires_at,
        "consent_superseded": consent.state == "superseded",
        "consent_withdrawn": consent.state != "given",
        "relay_ended": facts.stopped or (relay.state != "queued" and not may_be_read(relay.state)),
        "consent_mismatch": not _rests_on_evidence(facts),
        "restricted": _is_restricted(facts),
        "guardian_consent_revoked": (
            facts.guardian is not None and facts.guardian.revoked_at is not None
        ),
        "text_ended": facts.text_ended,
        "recipient_changed": _is_another(facts),
        # The consent is the person's: what was handed over on it is not taken back by the company.
        "decision_reverted": not facts.rejected and relay.state == "queued",
        "grace_period": now < consent.provision_not_before,
        "agency_not_licensed": not facts.agency.may_receive(today),
        "agreement_ended": facts.agreement is None or facts.agreement.state != "active",
        # 個人情報保護法 28: a recipient abroad needs a basis of its own, named in the evidence.
        "recipient_abroad": facts.agency.country != "JP" and not _has_basis(facts),
        "acknowledgement_overdue": facts.stop_escalated,
        # What the agency was given it may go on reading: only new relays wait.
        "duty_missed": facts.duty_missed and relay.state == "queued",
        "no_stop_channel": not facts.hearing.works(now),
    }
    return next((code for code, closed in answers.items() if closed), None)


def _rests_on_evidence(facts: Facts) -> bool:
    """The current row claims no more than the event it was derived from (agency, person, items)."""
    event, consent, relay = facts.evidence, facts.consent, facts.relay
    return (
        event is not None
        and facts.text is not None
        and event.kind in GIVING
        and event.agency_id == consent.agency_id == relay.agency_id
        and event.candidate_id == consent.candidate_id == relay.candidate_id
        and set(consent.items) <= set(event.items)
        and consent.id == relay.consent_id
    )


def _is_restricted(facts: Facts) -> bool:
    records = (facts.candidate, facts.survivor)
    return any(one is not None and one.restricted_from is not None for one in records)


def _is_another(facts: Facts) -> bool:
    """Whether the agency is not whom, or wants it not for what, the person agreed to.

    A new address, representative or licence number is the same recipient: each hand-over's record
    keeps them as they are on its day.
    """
    event = facts.evidence
    if event is None or event.recipient is None:
        return False
    today = recipient_of(facts.agency, event.locale)
    return any(event.recipient.get(key) != today[key] for key in ("name", "country", "purpose"))


def _has_basis(facts: Facts) -> bool:
    return facts.evidence is not None and facts.evidence.cross_border_basis in CROSS_BORDER_BASES
