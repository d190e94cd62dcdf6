"""A statement as a printed page, in Japanese or English: laid out here, drawn by a library."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from api.catalogue import has, say
from domain.business_days import JST, long_date
from domain.ledger import LATE_FACT
from domain.month import Month
from domain.statement import Statement
from domain.views.credits import NAMES
from integrations.pdf import Block, Column, Document, Facts, Figures, Paragraph, Table

Lang = Literal["ja", "en"]
_ENDING = 8
"""Letters of an id that tell it from the others of a month: they are its random end."""
_SHOWN = ("available", "pending", "reserved", "frozen", "used", "owed")


def laid_out(
    document: Mapping[str, Any],
    signed: Statement | None,
    lang: Lang,
    *,
    url: str,
    keys_url: str,
    now: datetime,
) -> Document:
    """The pages of a statement. A closed month gives the same pages for ever, whatever `now` is.

    `url` is where the signed document is handed out, `keys_url` where the public keys stand.
    """
    page = _Page(document, lang)
    return Document(
        title=page.say("title"),
        lang=lang,
        made_at=(now if signed is None else signed.closed_at).replace(microsecond=0),
        lead=page.of_month("lead_open" if signed is None else "lead"),
        issuer=page.say("issuer"),
        foot=page.of_month("foot_open") if signed is None else page.say("foot", id=signed.id),
        blocks=tuple(_blocks(page, signed, url, keys_url)),
    )


class _Page:
    """The document and the words for it."""

    def __init__(self, document: Mapping[str, Any], lang: Lang) -> None:
        self.document, self.lang = document, lang

    def say(self, key: str, /, **values: Any) -> str:
        return say(self.lang, f"statement.{key}", **values)

    def word(self, kind: str, code: str | None) -> str:
        """The word for a code; a code nobody has words for is shown as it is."""
        if not code:
            return ""
        key = f"{kind}.{code}"
        return self.say(key) if has(self.lang, f"statement.{key}") else code

    def of_month(self, key: str) -> str:
        return self.say(key, month=Month.named(self.document["month"]).words(self.lang))

    def name(self, party: str) -> str:
        names = self.document[party]
        return str(names["name"] if self.lang == "ja" else names["name_en"] or names["name"])

    def day(self, value: str | None) -> str:
        return value or self.say("none")

    def table(
        self, title: str, heads: Sequence[Column], rows: Iterable[tuple[str, ...]], **more: str
    ) -> Table:
        columns = tuple(Column(self.say(f"head_{one.head}"), one.align, one.share) for one in heads)
        said: dict[str, Any] = {name: self.say(key) for name, key in more.items()}
        return Table(columns, tuple(rows), title=self.say(title), **said)


def _blocks(page: _Page, signed: Statement | None, url: str, keys_url: str) -> Iterable[Block]:
    yield _parties(page, signed)
    closing = page.document["closing"]
    figures = tuple((page.say(f"bucket.{name}"), str(closing[name])) for name in _SHOWN)
    yield Figures(figures, title=page.say("balance"))
    yield _standing(page)
    if page.document["movements"]:
        yield _movements(page)
    yield _entries(page)
    yield _credits(page)
    yield from _when_there(page)
    yield _reference(page)
    yield Paragraph(page.say("reference_note"), quiet=True)
    if signed is not None:
        yield _proof(page, signed)
        yield Paragraph(page.say("proof_note", url=url, keys=keys_url), quiet=True)
        yield Paragraph(page.say("answer_note"), title=page.say("answer"))


def _parties(page: _Page, signed: Statement | None) -> Facts:
    agreement, agency = page.document["agreement"], page.document["agency"]
    number = agency["license_number"]
    pairs = [
        (page.say("company"), page.name("company")),
        (page.say("agency"), page.say("license", name=page.name("agency"), number=number)),
        (page.say("agreement"), _agreement(page, agreement)),
    ]
    if signed is None:
        return Facts((*pairs, (page.say("closed"), page.say("not_closed"))))
    at = page.say("closed_at", at=_moment(signed.closed_at.isoformat()))
    due = long_date(signed.answer_due_on, page.lang)
    return Facts((*pairs, (page.say("closed"), at), (page.say("answer_due"), due)))


def _agreement(page: _Page, agreement: Mapping[str, Any]) -> str:
    number, versions = str(agreement["number"]), agreement["versions_cited"]
    if not versions:
        return number
    return page.say("agreement_versions", number=number, versions=", ".join(map(str, versions)))


def _standing(page: _Page) -> Table:
    """From opening to closing, without the buckets that stayed empty."""
    opening, closing = page.document["opening"], page.document["closing"]
    rows = (
        (page.say(f"bucket.{name}"), str(opening[name]), _signed(closing[name] - opening[name]),
         str(closing[name]))
        for name in NAMES
        if opening[name] or closing[name]
    )  # fmt: skip
    heads = (Column("bucket", share=2), Column("opening", "end", 1), Column("change", "end", 1),
             Column("closing", "end", 1))  # fmt: skip
    return page.table("standing", heads, rows, empty="standing_empty")


def _movements(page: _Page) -> Paragraph:
    moved = page.document["movements"]
    told = (page.say("moved", kind=page.word("kind", kind), count=moved[kind]) for kind in moved)
    return Paragraph(page.say("between").join(told), title=page.say("movements"))


def _entries(page: _Page) -> Table:
    rows = (
        (one["effective_on"], _moment(one["at"]), page.word("kind", one["kind"]),
         _ending(one["credit_id"]) or page.say("none"), _way(page, one), _why(page, one))
        for one in page.document["entries"]
    )  # fmt: skip
    heads = (Column("day"), Column("recorded"), Column("kind"), Column("credit"),
             Column("way", share=3), Column("why", share=3))  # fmt: skip
    return page.table("entries", heads, rows, note="entries_note", empty="entries_empty")


def _credits(page: _Page) -> Table:
    rows = (
        (one["id"], page.say(f"bucket.{one['state']}"), page.day(one["guarantee_end_on"]),
         page.day(one["available_on"]), page.day(one["expires_on"]))
        for one in page.document["credits"]
    )  # fmt: skip
    heads = (Column("credit", share=1), Column("state"), Column("guarantee"), Column("available"),
             Column("expires"))  # fmt: skip
    return page.table("credits", heads, rows, note="credits_note", empty="credits_empty")


def _when_there(page: _Page) -> Iterable[Block]:
    """What most months do not have."""
    document = page.document
    changed = [one for one in document["date_changes"] if one["kind"] != "became_available"]
    if document["expiring"]:
        rows = ((one["expires_on"], str(one["credits"])) for one in document["expiring"])
        yield page.table("expiring", (Column("expires", share=1), Column("count", "end")), rows)
    if document["owed"]:
        yield page.table("owed", (Column("credit", share=1),), ((one,) for one in document["owed"]))
    if any(document["points"].values()):
        yield Paragraph(page.say("points_line", **document["points"]), title=page.say("points"))
    if changed:
        yield _date_changes(page, changed)
    if document["adjustments"]:
        yield _adjustments(page)
    if document["disputes"]:
        yield _disputes(page)


def _date_changes(page: _Page, changed: Iterable[Mapping[str, Any]]) -> Table:
    """The first dates of a credit stand in the list of credits already."""
    rows = (
        (one["effective_on"], page.word("kind", one["kind"]), _ending(one["credit_id"]),
         page.word("field", one["field"]), page.day(one["old"]), page.day(one["new"]))
        for one in changed
    )  # fmt: skip
    heads = (Column("day"), Column("kind", share=1), Column("credit"), Column("field", share=1),
             Column("old"), Column("new"))  # fmt: skip
    return page.table("date_changes", heads, rows)


def _adjustments(page: _Page) -> Table:
    rows = (
        (one["effective_on"], page.word("adjustment", one["kind"]),
         page.word("reason", one["reason"]), _endings(one["credit_ids"]),
         ", ".join(filter(None, (one[f"{did}_by"] for did in ("requested", "approved", "agreed")))))
        for one in page.document["adjustments"]
    )  # fmt: skip
    heads = (Column("day"), Column("adjustment"), Column("why", share=1), Column("credit", share=1),
             Column("asked", share=2))  # fmt: skip
    return page.table("adjustments", heads, rows)


def _disputes(page: _Page) -> Table:
    rows = (
        (one["id"], page.word("subject", one["subject"]), one["opened_on"],
         page.day(one["ended_on"]), _endings(one["credit_ids"]))
        for one in page.document["disputes"]
    )  # fmt: skip
    heads = (Column("dispute", share=2), Column("subject"), Column("opened"), Column("ended"),
             Column("credit", share=1))  # fmt: skip
    return page.table("disputes", heads, rows)


def _reference(page: _Page) -> Facts:
    told = page.document["reference_value"]
    usable, fees = told["closing_jpy"]["available"], told["avoided_fees_jpy"]
    known = told["avoided_fees_known"]
    none = page.say("none")
    saved = page.say("yen", amount=f"{fees:,}", count=known) if known else none
    guide = page.say("yen_only", amount=f"{usable:,}") if usable else none
    pairs = ((page.say("reference_closing"), guide), (page.say("reference_fees"), saved))
    return Facts(pairs, title=page.say("reference"))


def _proof(page: _Page, signed: Statement) -> Facts:
    checkpoint = page.document["checkpoint"]
    head = page.say("proof_head_value", seq=signed.seq, hash=signed.head_hash.hex())
    number = page.say("proof_none") if checkpoint is None else str(checkpoint)
    pairs = (
        (page.say("proof_sha"), signed.sha256),
        (page.say("proof_head"), head),
        (page.say("proof_checkpoint"), number),
    )
    return Facts(pairs, title=page.say("proof"))


def _way(page: _Page, entry: Mapping[str, Any]) -> str:
    way = " → ".join(page.word("bucket", entry[f"{end}_bucket"]) for end in ("from", "to"))
    return way if entry["unit"] == "credit" else f"{way} ({entry['quantity']})"


def _why(page: _Page, entry: Mapping[str, Any]) -> str:
    """The reason; of a fact told after its month was closed, its own reason and day too."""
    reason, request = page.word("reason", entry["reason"]), entry["request"]
    if entry["reason"] != LATE_FACT or "fact_on" not in request:
        return reason
    why = page.word("reason", request.get("fact")) or page.word("kind", entry["kind"])
    return page.say("late_fact", why=why, day=request["fact_on"])


def _ending(row_id: str | None) -> str:
    return row_id[-_ENDING:] if row_id else ""


def _endings(row_ids: Iterable[str]) -> str:
    return ", ".join(map(_ending, row_ids))


def _moment(value: str) -> str:
    return f"{datetime.fromisoformat(value).astimezone(JST):%Y-%m-%d %H:%M}"


def _signed(change: int) -> str:
    return f"{change:+d}".replace("-", "−") if change else "0"
