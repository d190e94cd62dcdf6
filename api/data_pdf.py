"""Everything we hold about a person as a printed document: laid out here, drawn by a library."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from api.catalogue import has, say
from domain import data_items
from domain.business_days import JST, long_date
from integrations.pdf import Block, Column, Document, Facts, Paragraph, Table


def laid_out(file: Mapping[str, Any], lang: str, now: datetime) -> Document:
    """The pages of `domain.views.my_file`, in the reader's language.

    A code nobody has words for is shown as it is; nothing is left out silently.
    """
    page = _Page("en" if lang == "en" else "ja")
    return Document(
        title=page.say("title"),
        lang=page.lang,
        made_at=now.replace(microsecond=0),
        lead=page.say("lead", company=file["company"]),
        issuer=str(file["company"]),
        foot=page.say("foot", id=file["candidate_id"]),
        blocks=tuple(_blocks(page, file)),
    )


class _Page:
    """The words of a language, and how it writes values."""

    def __init__(self, lang: Any) -> None:
        self.lang = lang

    def say(self, key: str, /, **values: Any) -> str:
        return say(self.lang, f"candidate_data.{key}", **values)

    def word(self, kind: str, code: Any) -> str:
        """The word for a code, a code without words as it is, a dash for nothing."""
        if code in {None, ""}:
            return self.say("none")
        key = f"candidate_data.{kind}_{code}"
        return say(self.lang, key) if has(self.lang, key) else str(code)

    def moment(self, value: str | None) -> str:
        """An instant as the person's clock showed it, or a day."""
        if not value:
            return self.say("none")
        if "T" not in value:
            return long_date(datetime.fromisoformat(value).date(), self.lang)
        at = datetime.fromisoformat(value).astimezone(JST)
        return f"{long_date(at.date(), self.lang)} {at:%H:%M}"

    def items(self, codes: Sequence[str]) -> str:
        return self.say("between").join(data_items.label(code, self.lang) for code in codes)

    def table(self, name: str, heads: Sequence[str], rows: Iterable[tuple[str, ...]]) -> Table:
        columns = tuple(Column(self.say(f"head_{head}"), share=1) for head in heads)
        return Table(columns, tuple(rows), title=self.say(name), empty=self.say("nothing"))


def _blocks(page: _Page, file: Mapping[str, Any]) -> Iterable[Block]:
    yield Facts(tuple(_profile(page, file["profile"])), title=page.say("profile"))
    yield page.table(
        "applications", ("job", "stage", "applied", "outcome", "day"),
        (
            (one["job_title"], one["stage"], page.moment(one["applied_at"]),
             page.word("outcome", one["outcome"]), page.moment(one["outcome_at"]))
            for one in file["applications"]
        ),
    )  # fmt: skip
    yield page.table(
        "interviews", ("stage", "begins", "state"),
        (
            (one["stage"], page.moment(one["starts_at"]), page.word("interview", one["status"]))
            for one in file["interviews"]
        ),
    )  # fmt: skip
    yield page.table(
        "notices", ("kind", "sent", "feedback"),
        (
            (page.word("notice", one["kind"]), page.moment(one["sent_at"]),
             one["feedback"] or page.say("none"))
            for one in file["notices"]
        ),
    )  # fmt: skip
    yield from _handed_over(page, file["recipients"])
    yield page.table(
        "consents", ("what", "day", "items"),
        (
            (page.word("event", one["kind"]), page.moment(one["event_time"]),
             page.items(one["items"] or ()) or page.say("none"))
            for one in file["receipt"]["events"]
        ),
    )  # fmt: skip
    yield from _own(page, file)
    yield Paragraph(page.say("note"), quiet=True)
    yield Paragraph(page.say("digest", sha256=file["content_sha256"]), quiet=True)


def _profile(page: _Page, profile: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """What an item names by its name; every other field by its own."""
    shown = set()
    for code in data_items.CODES:
        value = data_items.value_of(code, profile)
        if value:
            shown |= {code, *_PARTS.get(code, ())}
            yield data_items.label(code, page.lang), value
    for field, value in profile.items():
        if field not in shown:
            yield page.word("field", field), _text(value)


_PARTS = {
    "name": ("display_name", "family_name", "given_name"),
    "name_kana": ("family_name_kana", "given_name_kana"),
}


def _handed_over(page: _Page, recipients: Sequence[Mapping[str, Any]]) -> Iterable[Block]:
    yield page.table(
        "provisions", ("agency", "first", "last", "path", "items", "until"),
        (
            (_recipient(given), page.moment(given["provided_at"]),
             page.moment(given["last_provided_at"]), page.word("path", given["channel"]),
             page.items(given["items"]), page.moment(given["use_until"]))
            for one in recipients
            for given in one["provisions"]
        ),
    )  # fmt: skip
    yield page.table(
        "stops", ("agency", "what", "day", "answer"),
        (
            (one["name"], page.word("stop", stop["kind"]), page.moment(stop["created_at"]),
             page.word("answer", stop["answer"]))
            for one in recipients
            for stop in one["stops"]
        ),
    )  # fmt: skip


def _recipient(given: Mapping[str, Any]) -> str:
    """Who received it, as they were called then: a part of the record the person may ask for."""
    names = ("recipient_name", "recipient_address", "recipient_representative")
    return "\n".join(given[name] for name in names if given[name])


def _own(page: _Page, file: Mapping[str, Any]) -> Iterable[Block]:
    yield page.table(
        "files", ("kind", "name", "size", "day"),
        (
            (data_items.label(one["kind"], page.lang), one["name"], str(one["size"]),
             page.moment(one["created_at"]))
            for one in file["files"]
        ),
    )  # fmt: skip
    yield page.table(
        "requests", ("kind", "day", "state", "result"),
        (
            (page.word("right", one["kind"]), page.moment(one["received_at"]),
             page.word("request", one["state"]), page.word("result", one["result"]))
            for one in file["rights_requests"]
        ),
    )  # fmt: skip
    for one in file["rights_requests"]:
        for said in ("words", "reason", "answer"):
            if one[said]:
                title = f"{page.word('right', one['kind'])} ({page.say(f'request_{said}')})"
                yield Paragraph(one[said], title=title)
    for one in file["feedback_requests"]:
        title = page.say("feedback", job=one["job_title"] or page.say("none"))
        yield Paragraph(one["answer"] or page.word("feedback", one["state"]), title=title)
    jobs = {one["id"]: one["job_title"] for one in file["applications"]}
    for notes in file["reflections"]:
        job = jobs.get(notes["application_id"])
        title = page.say("reflection_of", job=job) if job else page.say("reflection")
        yield Facts(tuple(_notes(page, notes)), title=title)


def _notes(page: _Page, notes: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for stage, answers in notes["checks"].items():
        for number, answer in answers.items():
            words = f"candidate_reflection.{stage}_{number}"
            yield say(page.lang, words), say(page.lang, f"candidate_reflection.answer_{answer}")
    for name in ("questions", "reactions", "good", "improve", "next"):
        value = _text(notes[name])
        if value:
            yield page.say(f"note_{name}"), value


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(str(one) for one in value if one)
    return str(value)
