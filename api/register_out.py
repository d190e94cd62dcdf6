"""The register of hand-overs as a file: CSV, XLSX, and PDF to print. The officer's own language."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from api.catalogue import say
from domain.business_days import JST
from domain.data_items import label
from domain.views.provision_register import Line, Wish
from integrations.pdf import Column, Document, Facts, Table, render
from integrations.tables_out import Cell, as_csv, as_xlsx

Lang = Literal["ja", "en"]
MEDIA = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf",
}
COLUMNS = (
    "id", "provided_at", "last_provided_at", "recipient_name", "recipient_address",
    "recipient_representative", "recipient_license", "person_id", "person_name", "items",
    "file_sha256", "consent_id", "consent_event_id", "consent_text_sha256", "channel",
    "retention_until",
)  # fmt: skip


async def register_file(
    form: str, lines: Sequence[Line], wish: Wish, *, company: str, lang: Lang, now: datetime
) -> bytes:
    """The register in one of the three forms (`MEDIA`). No cell is ever run."""
    if form == "pdf":
        return await asyncio.to_thread(render, _printed(lines, wish, company, lang, now))
    heads = [say(lang, f"privacy.col_{name}") for name in COLUMNS]
    rows = [_row(line, lang) for line in lines]
    if form == "csv":
        return as_csv(heads, rows)
    title = say(lang, "privacy.register_sheet")
    return await asyncio.to_thread(as_xlsx, title, heads, rows, made_at=now)


def _row(line: Line, lang: Lang) -> list[Cell]:
    one = line.record
    return [
        one.id, _moment(one.provided_at), _moment(one.last_provided_at), one.recipient_name,
        one.recipient_address, one.recipient_representative, one.recipient_license,
        one.candidate_id, _name(line, lang), _items(line, lang), " ".join(one.file_sha256),
        one.consent_id, one.consent_event_id, one.consent_text_sha256,
        say(lang, f"privacy.channel_{one.channel}"), one.retention_until,
    ]  # fmt: skip


def _printed(
    lines: Sequence[Line], wish: Wish, company: str, lang: Lang, now: datetime
) -> Document:
    def head(name: str, share: int) -> Column:
        return Column(say(lang, f"privacy.{name}"), "start", share)

    columns = (
        head("col_provided_at", 3), head("print_recipient", 5), head("print_person", 4),
        head("col_items", 4), head("print_consent", 4), head("col_retention_until", 3),
    )  # fmt: skip
    return Document(
        title=say(lang, "privacy.register_title"),
        lang=lang,
        made_at=now.replace(microsecond=0),
        lead=say(lang, "privacy.print_lead", company=company),
        issuer=company,
        foot=say(lang, "privacy.print_foot"),
        blocks=(
            Facts((
                (say(lang, "privacy.print_period"), f"{wish.first} – {wish.last}"),
                (say(lang, "privacy.print_count"), str(len(lines))),
            )),
            Table(
                columns,
                tuple(_printed_row(line, lang) for line in lines),
                empty=say(lang, "privacy.register_empty"),
            ),
        ),
    )  # fmt: skip


def _printed_row(line: Line, lang: Lang) -> tuple[str, ...]:
    one = line.record
    times = [_moment(one.provided_at)]
    if one.last_provided_at > one.provided_at:
        times.append(f"– {_moment(one.last_provided_at)}")
    recipient = (
        one.recipient_name, one.recipient_license, one.recipient_address,
        one.recipient_representative,
    )  # fmt: skip
    return (
        "\n".join(times),
        "\n".join(said for said in recipient if said),
        f"{_name(line, lang)}\n{one.candidate_id}",
        _items(line, lang),
        f"{one.consent_id}\n{one.consent_text_sha256[:16]}",
        one.retention_until.isoformat(),
    )


def _name(line: Line, lang: Lang) -> str:
    return line.person if line.person is not None else say(lang, "privacy.name_gone")


def _items(line: Line, lang: Lang) -> str:
    return "、".join(label(code, lang) for code in line.record.items)


def _moment(at: datetime) -> str:
    return f"{at.astimezone(JST):%Y-%m-%d %H:%M:%S}"
