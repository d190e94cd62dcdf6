"""The relay package: what an agency receives about a person, and the proof of where it comes from.

Pure. `content` is the part that makes two reads the same; the dates of a hand-over come on top.
Fields are added, never renamed; readers ignore what they do not know.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from domain.business_days import local_day
from domain.company import Company
from domain.consent import Consent, ConsentText
from domain.data_items import CODES, in_order, value_of
from domain.retention import after_months

SCHEMA = "career-relay-package/1"
ACQUISITION = "応募者本人から採用選考の応募書類として直接取得"
"""How the provider came by the data: the agency must record it (個人情報保護法 30, 規則 24)."""
ACQUIRED_THROUGH = {
    "agency": "職業紹介事業者を通じて採用選考の応募書類として取得",
    "scout": "スカウト媒体を通じて採用選考の応募書類として取得",
    "job_board": "求人媒体を通じて採用選考の応募書類として取得",
    "other": "その他の第三者を通じて採用選考の応募書類として取得",
}
"""The same for who came by somebody else, where the company's contract allows that they are relayed
(domain rules 4): the provider must not misstate it (30(2))."""
LEASE = timedelta(days=35)
"""How long a read may be used before it is read again."""
OF_ONE_READ = ("url", "expires_at")
"""What a file's entry says besides what the file is: where it can be fetched, and until when."""


def candidate_items(
    consented: Sequence[str],
    profile: Mapping[str, Any],
    *,
    company: Company,
    job_title: str,
    stage: str,
    feedback: str | None,
) -> dict[str, str]:
    """The consented items that have a value, in the order of the item list. Nothing else."""
    told = {code: value_of(code, profile) for code in CODES}
    facts = told | {
        "applied_job_title": job_title,
        "stage_reached": stage,
        "interview_feedback": feedback or "",
        "origin_company_name": company.name,
    }
    return {code: facts[code] for code in in_order(consented) if facts[code]}


def content(
    relay_id: str,
    company: Company,
    consent: Consent,
    text: ConsentText,
    items: Mapping[str, Any],
    *,
    source: str | None = None,
    files: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Everything that makes a package what it is, without the dates of its hand-overs.

    `source` is where the application came from. Of a file it is what the file is; the link to it is
    of one read.
    """
    kept = [{key: one[key] for key in one if key not in OF_ONE_READ} for one in files]
    return {
        "schema": SCHEMA,
        "relay_id": relay_id,
        "provider": {
            "id": company.id,
            "name": company.name,
            "address": company.address,
            "representative": company.representative,
        },
        "acquisition_background": ACQUIRED_THROUGH.get(source or "", ACQUISITION),
        "consent": {
            "id": consent.id,
            "given_at": instant_text(consent.given_at),
            "expires_at": instant_text(consent.expires_at),
            "text_version": text.version,
            "text_sha256": text.sha256,
            "data_items": list(consent.items),
        },
        "candidate": dict(items),
        **({"files": kept} if kept else {}),
    }


def canonical(value: Mapping[str, Any]) -> bytes:
    """One form for one content: sorted keys, no spaces, UTF-8. What is hashed and signed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def use_until(now: datetime, consent_expires_at: datetime) -> datetime:
    """Until when a read may be used: the lease, never beyond the consent."""
    return min(now + LEASE, consent_expires_at)


def record_retention_until(last_provided_at: datetime, years: int) -> date:
    """The last day on which the record is kept: the first day is not counted (規則 21, 25)."""
    return after_months(local_day(last_provided_at), 12 * years)


def instant_text(moment: datetime) -> str:
    """RFC 3339 in UTC with `Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
