"""The consent receipt as a printed page: the same facts as the JSON, in words for people."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from api.catalogue import say
from domain import consent_text, data_items
from domain.business_days import JST, long_date
from domain.consent import last_day
from integrations.pdf import Block, Column, Document, Facts, Paragraph, Table

Lang = Literal["ja", "en"]


def laid_out(receipt: Mapping[str, Any], lang: Lang, *, keys_url: str, now: datetime) -> Document:
    """The pages of a receipt as `domain.views.consent_receipt` makes it.

    `keys_url` is where the public keys stand with which its signed form (JWS) is checked.
    """
    return Document(
        title=_say(lang, "title"),
        lang=lang,
        made_at=now.replace(microsecond=0),
        lead=_say(lang, "lead"),
        issuer=receipt["pii_controllers"][0]["name"],
        foot=_say(lang, "foot", id=(receipt["receipt_id"] or "")[:16]),
        blocks=tuple(_blocks(receipt, lang, keys_url)),
    )


def _blocks(receipt: Mapping[str, Any], lang: Lang, keys_url: str) -> Iterable[Block]:
    controller = receipt["pii_controllers"][0]
    yield Facts(
        (
            (_say(lang, "company"), controller["name"]),
            (_say(lang, "address"), controller["address"]),
            (_say(lang, "representative"), controller["representative"]),
            (_say(lang, "contact"), controller["contact"]),
            (_say(lang, "authority"), receipt["authority_party"]),
        )
    )
    for purpose in receipt["purposes"]:
        yield _agreed(purpose, lang)
    if not receipt["purposes"]:
        yield Paragraph(_say(lang, "none"))
    yield _events(receipt, lang)
    for notice in receipt["privacy_notices"]:
        title = _say(lang, "text", version=notice["version"], day=notice["effective_on"])
        yield Paragraph(consent_text.as_text(notice["content"]), title=title, quiet=True)
        yield Paragraph(_say(lang, "text_hash", sha256=notice["sha256"]), quiet=True)
    proof = _say(lang, "proof", id=receipt["receipt_id"] or "-", keys=keys_url)
    yield Paragraph(proof, title=_say(lang, "proof_title"), quiet=True)


def _agreed(purpose: Mapping[str, Any], lang: Lang) -> Facts:
    agency = purpose["recipient_third_parties"][0]
    codes = [one["pii_type"] for one in purpose["pii_information"]]
    between = "、" if lang == "ja" else ", "
    pairs = [
        (_say(lang, "state"), _say(lang, f"state_{purpose['event_state']}")),
        (_say(lang, "items"), between.join(data_items.label(code, lang) for code in codes)),
        (_say(lang, "given"), _moment(purpose["given_at"], lang)),
        (_say(lang, "licence"), agency["licence"]),
        (_say(lang, "address"), agency["address"]),
        (_say(lang, "representative"), agency["representative"]),
        (_say(lang, "purpose"), purpose["text"]),
        (_say(lang, "withdrawal"), purpose["withdrawal_method"]["text"]),
    ]
    if purpose["valid_until"] is not None:
        ends = last_day(datetime.fromisoformat(purpose["valid_until"]))
        pairs.insert(3, (_say(lang, "valid"), long_date(ends, lang)))
    if purpose["withdrawn_at"] is not None:
        pairs.insert(1, (_say(lang, "withdrawn"), _moment(purpose["withdrawn_at"], lang)))
    return Facts(tuple(pair for pair in pairs if pair[1]), title=agency["name"])


def _events(receipt: Mapping[str, Any], lang: Lang) -> Table:
    names = {
        one["recipient_third_parties"][0]["party_id"]: one["recipient_third_parties"][0]["name"]
        for one in receipt["purposes"]
    }
    rows = tuple(
        (
            str(event["seq"]),
            _moment(event["event_time"], lang),
            _say(lang, f"event_{event['event_state']}"),
            names.get(event["agency_id"], event["agency_id"] or ""),
        )
        for event in receipt["events"]
    )
    return Table(
        (
            Column(_say(lang, "col_number"), "end"), Column(_say(lang, "col_time")),
            Column(_say(lang, "col_event")), Column(_say(lang, "col_agency"), share=1),
        ),
        rows, title=_say(lang, "events"), empty=_say(lang, "none"),
    )  # fmt: skip


def _moment(value: str, lang: Lang) -> str:
    at = datetime.fromisoformat(value).astimezone(JST)
    return f"{long_date(at.date(), lang)} {at:%H:%M}"


def _say(lang: Lang, key: str, **values: str) -> str:
    return say(lang, f"receipt.{key}", **values)
