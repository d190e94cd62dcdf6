"""The opt-in form: what was sent, whether it can be taken at its word, and what to show again."""

import re
import secrets
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import FormData

from domain import consent_text, data_items
from domain.consent_text import MOST_AGENCIES, Statement
from domain.contact import dialled, phone_number, yen
from domain.data_items import FACTS
from domain.special_care import words_in

LONGEST_FACT = 100
DECISIONS = ("consent", "decline", "confirm", "edit")
_SUBMISSION = re.compile(r"[A-Za-z0-9_-]{16,64}")
_SCREEN = re.compile(r"(?:screen-)?([1-9][0-9]{0,3})")
_FREE_TEXT = ("desired_job", "desired_location", "available_from")
_NEVER_TYPED = {"Cc", "Cs", "Co", "Cn"}
_NEVER_IN_NAMES = {"Cc", "Cs", "Zl", "Zp"}
"""Names keep letters of private use (外字): they are how some people's names are written."""
_UNSEEN = {"Cf", "Zs"}
_DIRECTION_MARKS = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


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
    screen: int = 1
    """Which eight agencies are on the screen; ticks on the others travel along."""

    @property
    def choices(self) -> dict[str, list[str]]:
        """Agency → items ticked for it."""
        return {agency: self.items.get(agency, []) for agency in self.agencies}

    def has(self, agency_id: str, code: str | None = None) -> bool:
        """Whether the box of an agency, or of an item for it, is ticked."""
        if code is None:
            return agency_id in self.agencies
        return code in self.items.get(agency_id, [])


def screens(statement: Statement) -> list[list[str]]:
    """The agencies offered, eight on a screen (consent mechanics 17)."""
    offered = statement.agency_ids
    return [offered[at : at + MOST_AGENCIES] for at in range(0, len(offered), MOST_AGENCIES)]


def on_screen(sent: Sent, statement: Statement) -> list[str]:
    """The agencies on the screen the person is at."""
    found = screens(statement)
    return found[min(sent.screen, len(found)) - 1]


def screen_of(found: Sequence["Fault"], statement: Statement) -> int | None:
    """The screen on which the first agency stands that has something wrong; null: none has."""
    wrong = {fault.control for fault in found}
    for number, agencies in enumerate(screens(statement), 1):
        for agency in agencies:
            if any(one in wrong for one in (f"agency-{agency}", *_boxes(statement, agency))):
                return number
    return None


def sensitive(sent: Sent) -> dict[str, list[str]]:
    """Words in what was typed freely that hint at what nobody should have to give, by field."""
    found = {code: words_in(sent.facts[code]) for code in _FREE_TEXT}
    return {code: words for code, words in found.items() if words}


def blank(profile: dict[str, Any]) -> Sent:
    """The form before any input: facts we hold, no box ticked."""
    facts = {code: data_items.value_of(code, profile) for code in FACTS}
    return Sent(facts | {"phone": dialled(facts["phone"])})


def read(form: FormData) -> Sent:
    """What was sent, without what nobody types: control characters, marks that turn text round."""
    texts = [(key, value) for key, value in form.multi_items() if isinstance(value, str)]
    values, items = dict(texts), dict[str, list[str]]()
    for key, value in texts:
        if key.startswith("items."):
            items.setdefault(key.removeprefix("items."), []).append(value)
    submission = values.get("submission_id", "")
    return Sent(
        facts={code: _fact(code, values.get(code, "")) for code in FACTS},
        agencies=_once(value for key, value in texts if key == "agency"),
        items={agency: _once(ticked) for agency, ticked in items.items()},
        followup=values.get("followup") == "yes",
        submission_id=submission if _SUBMISSION.fullmatch(submission) else "",
        text_sha256=values.get("text", ""),
        locale=values.get("locale", ""),
        decision=_only(value for key, value in texts if key == "decision"),
        screen=_screen(values),
    )


def faults(sent: Sent, statement: Statement, held: Mapping[str, str] | None = None) -> list[Fault]:
    """Everything that keeps this from being a consent, in the order of the form.

    `held`: the facts we hold; what the person left as it was is not held against them.
    """
    found: list[Fault] = []
    for agency_id in statement.agency_ids:
        found += _agency_faults(sent, statement, agency_id)
    if not sent.agencies and not found:
        found.append(Fault(f"agency-{on_screen(sent, statement)[0]}", "nothing_chosen"))
    return found + fact_faults(sent, held or {})


def fact_faults(sent: Sent, held: Mapping[str, str]) -> list[Fault]:
    """What to put right in the facts alone; what was left as we hold it is no fault."""
    return [
        fault
        for code in FACTS
        if (fault := _fact_fault(code, sent.facts[code], held.get(code, "")))
    ]


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


def as_entered(value: str) -> str:
    """A name as it was typed: every letter and blank, without control characters and marks."""
    return "".join(
        one
        for one in value
        if not (one in _DIRECTION_MARKS or unicodedata.category(one) in _NEVER_IN_NAMES)
    ).strip()


def _fact(code: str, value: str) -> str:
    return as_entered(value) if code == "name" else clean(value)


def _screen(values: Mapping[str, str]) -> int:
    wanted = values.get("decision", "")
    found = _SCREEN.fullmatch(wanted) if wanted.startswith("screen-") else None
    found = found or _SCREEN.fullmatch(values.get("screen", ""))
    return int(found[1]) if found is not None else 1


def _fact_fault(code: str, value: str, held: str) -> Fault | None:
    if len(value) > LONGEST_FACT:
        return Fault(code, "too_long")
    if code == "name" and all(unicodedata.category(one) in _UNSEEN for one in value):
        return Fault(code, "name_missing")
    if not value or value == held:
        return None
    if code == "phone" and phone_number(value) is None:
        return Fault(code, "phone_wrong")
    if code == "desired_salary" and yen(value) is None:
        return Fault(code, "salary_wrong")
    return None


def _boxes(statement: Statement, agency_id: str) -> list[str]:
    return [f"items-{agency_id}-{code}" for code in statement.item_codes]


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


def _only(values: Iterable[str]) -> str:
    """The one thing that was said; nothing where two different ones were."""
    said = set(values)
    return said.pop() if len(said) == 1 else ""


def codes_of(found: Sequence[Fault]) -> set[str]:
    """The controls that need attention."""
    return {fault.control for fault in found}
