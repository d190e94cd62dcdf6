"""Re-wrap what lies under an older ring key. Data under a person's key follows by its key alone."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.access import as_system
from domain.ports import Sealer

BATCH = 500


@dataclass(frozen=True)
class Place:
    """A column that may hold values sealed by the ring, and what its values are about."""

    table: str
    column: str
    about_sql: str
    """The SQL of a row's `about`, as the code that seals it makes it."""
    tenant: str
    """Whose transaction sees the rows: `company`, `agency`, `either` or `nobody`."""


PLACES = (
    Place("subject_key", "wrapped", "'data-key'", "company"),
    Place("ats_connection", "secrets", "'connection:' || id", "company"),
    Place("delivery", "body", "'delivery:' || id", "company"),
    Place("delivery", "headers", "'delivery-headers:' || id", "company"),
    Place("delivery", "events", "'delivery-events:' || id", "company"),
    Place("import_run", "name", "'import-name:' || id", "company"),
    Place("import_run", "rules", "'import-rules:' || id", "company"),
    Place("import_run", "view", "'import-view:' || id", "company"),
    Place("import_part", "sealed", "'import-part:' || import_id || ':' || part", "company"),
    Place("adjustment", "note", "'adjustment:' || id", "company"),
    Place("attestation", "manager", "'attestation:' || id", "company"),
    Place("join_request", "sealed", "'join:' || id", "company"),
    Place("incident", "items", "'incident:' || id", "company"),
    Place("dispute_note", "sealed", "'dispute-note:' || id", "company"),
    Place("webhook_endpoint", "secrets", "'webhook:' || id", "agency"),
    Place("mail", "sealed", "'mail:' || id", "either"),
    Place("member", "sealed", "'member:' || id", "either"),
    Place("idempotency", "answer", "'idempotency:' || client_id || ':' || key", "nobody"),
)


async def tenants(session: AsyncSession) -> tuple[list[str], list[str]]:
    """Every company's and every agency's id."""
    async with as_system(session):
        companies = (await session.execute(text("SELECT id FROM company ORDER BY id"))).scalars()
        agencies = (await session.execute(text("SELECT id FROM agency ORDER BY id"))).scalars()
        return list(companies), list(agencies)


async def rewrap(session: AsyncSession, sealer: Sealer, place: Place) -> int:
    """Re-wrap one batch of the transaction's tenant; how many rows it found. Zero: all is done."""
    rows = await session.execute(text(_older(place)), {"newest": sealer.newest.encode()})
    found = [(row.place, row.sealed, row.about) for row in rows]
    for where, sealed, about in found:
        fresh = sealer.rewrap(bytes(sealed), about=about)
        await session.execute(text(_replace(place)), {"fresh": fresh, "place": where})
    return len(found)


def _older(place: Place) -> str:
    # Sealed bytes begin with a version, the length of the key's name, and the name; values under
    # a person's own key have no name and need nothing.
    column = place.column
    return (
        f"SELECT ctid AS place, {column} AS sealed, {place.about_sql} AS about FROM {place.table} "  # noqa: S608
        f"WHERE octet_length({column}) > 2 AND get_byte({column}, 1) > 0 "
        f"AND substring({column} FROM 3 FOR get_byte({column}, 1)) <> :newest "
        f"LIMIT {BATCH} FOR UPDATE SKIP LOCKED"
    )


def _replace(place: Place) -> str:
    return f"UPDATE {place.table} SET {place.column} = :fresh WHERE ctid = :place"  # noqa: S608
