"""The opt-in form: what was sent, whether it can be taken at its word, and what to show again."""

import re
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import FormData

from domain import consent_text, data_items
from domain.consent_text import Statement

FACTS = ("name", "name_kana", "phone", "desired_job")
"""What the person may put right on the form."""
LONGEST_FACT = 100
DECISIONS = ("consent", "decline", "confirm", "edit")
_SUBMISSION = re.compile(r"[A-Za-z0-9_-]{16,64}")
_PHONE = re.compile(r"[\d+()\-‐−–—ー().\s]*")
_NEVER_TYPED = {"Cc", "Cs", "Co", "Cn"}
_DIRECTION_MARKS = set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class Fault:
    """Something to put right: which control, and the words for it."""

    control: str
    code: str
    name: str = ""


@dataclass
class Sent:
    """The form as it stands: empty at first, then as the person sent it."""

    facts: dict[str, str]
    agencies: list[str] = field(default_factory=list)
    items: dict[str, list[str]] = field(default_factory=dict)
    followup: bool = False
    """Whether the box "you may ask me later" is ticked. It is no choice of an agency."""
    submission_id: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    text_sha256: str = ""
    locale: str = ""
    decision: str = ""

    @property
    def choices(self) -> dict[str, list[str]]:
        """Agency → items ticked for it."""
        return {agency: self.items.get(agency, []) for agency in self.agencies}

    def has(self, agency_id: str, code: str | None = None) -> bool:
        """Whether the box of an agency, or of an item for it, is ticked."""
        if code is None:
            return agency_id in self.agencies
        return code in self.items.get(agency_id, [])


def blank(profile: dict[str, Any]) -> Sent:
    """The form before any input: facts we hold, no box ticked."""
    return Sent({code: data_items.value_of(code, profile) for code in FACTS})


def read(form: FormData) -> Sent:
    """What was sent, without what nobody types: control characters, marks that turn text round."""
    texts = [(key, value) for key, value in form.multi_items() if isinstance(value, str)]
    values = dict(texts)
    submission = values.get("submission_id", "")
    return Sent(
        facts={code: clean(values.get(code, "")) for code in FACTS},
        agencies=_once(value for key, value in texts if key == "agency"),
        items={
            key.removeprefix("items."): _once(v for k, v in texts if k == key)
            for key, _ in texts
            if key.startswith("items.")
        },
        followup=values.get("followup") == "yes",
        submission_id=submission if _SUBMISSION.fullmatch(submission) else "",
        text_sha256=values.get("text", ""),
        locale=values.get("locale", ""),
        decision=values.get("decision", ""),
    )


def faults(sent: Sent, statement: Statement) -> list[Fault]:
    """Everything that keeps this from being a consent, in the order of the form."""
    found: list[Fault] = []
    for agency_id in statement.agency_ids:
        found += _agency_faults(sent, statement, agency_id)
    if not sent.agencies and not found:
        found.append(Fault(f"agency-{statement.agency_ids[0]}", "nothing_chosen"))
    return found + [fault for code in FACTS if (fault := _fact_fault(code, sent.facts[code]))]


def is_tampered(sent: Sent, statement: Statement) -> bool:
    """Whether it names an agency or an item that was not on the form: nobody ticks those."""
    strangers = {*sent.agencies, *sent.items} - set(statement.agency_ids)
    codes = {code for items in sent.items.values() for code in items}
    return bool(strangers or codes - set(statement.item_codes) or not sent.submission_id)


def clean(value: str) -> str:
    """A line of text: no control characters, no direction marks, single spaces."""
    kept = (
        " " if character.isspace() else character
        for character in value
        if character.isspace()
        or not (character in _DIRECTION_MARKS or unicodedata.category(character) in _NEVER_TYPED)
    )  # fmt: skip
    return " ".join("".join(kept).split())


def _fact_fault(code: str, value: str) -> Fault | None:
    if len(value) > LONGEST_FACT:
        return Fault(code, "too_long")
    if code == "name" and not value:
        return Fault(code, "name_missing")
    if code == "phone" and not _PHONE.fullmatch(value):
        return Fault(code, "phone_wrong")
    return None


def _agency_faults(sent: Sent, statement: Statement, agency_id: str) -> list[Fault]:
    name = statement.recipient(agency_id)["name"]
    ticked = sent.items.get(agency_id, [])
    if agency_id not in sent.agencies:
        return [Fault(f"agency-{agency_id}", "agency_not_ticked", name)] if ticked else []
    missing = [
        code
        for code in consent_text.required_of(statement.content, agency_id)
        if code not in ticked
    ]
    return [Fault(f"items-{agency_id}-{missing[0]}", "required_missing", name)] if missing else []


def _once(values: Any) -> list[str]:
    return list(dict.fromkeys(values))


def codes_of(found: Sequence[Fault]) -> set[str]:
    """The controls that need attention."""
    return {fault.control for fault in found}
