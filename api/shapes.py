"""Shapes every door shares: typed ids, UTC times with `Z`, cursor pages."""

import base64
import binascii
import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Path, Query
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
)
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import Invalid
from domain.ids import pattern

T = TypeVar("T")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:")


def utc_text(moment: datetime) -> str:
    """RFC 3339 in UTC with `Z`, to the microsecond only where there is one."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        message = "a time needs a zone, e.g. 2026-06-02T10:00:00+09:00"
        raise ValueError(message)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        message = "this time lies outside the calendar in UTC"
        raise ValueError(message) from None


def _written_moment(value: object) -> object:
    """Only RFC 3339 text: pydantic would also take a number for seconds since 1970."""
    if isinstance(value, str) and not _MOMENT.match(value):
        message = "a time looks like 2026-06-02T10:00:00+09:00"
        raise ValueError(message)
    return _not_a_number(value)


def _written_day(value: object) -> object:
    if isinstance(value, str) and not _DAY.fullmatch(value):
        message = "a day looks like 2026-06-02"
        raise ValueError(message)
    return _not_a_number(value)


def _not_a_number(value: object) -> object:
    if isinstance(value, int | float):
        message = "a text is wanted, not a number"
        raise ValueError(message)  # noqa: TRY004 - pydantic turns a ValueError into a refusal
    return value


def _no_nul(value: str) -> str:
    if "\0" in value:
        message = "a text must not contain NUL"
        raise ValueError(message)
    return value


Utc = Annotated[
    datetime,
    BeforeValidator(_written_moment),
    AfterValidator(_aware),
    PlainSerializer(utc_text, when_used="json"),
]
"""An instant: any zone in, UTC with `Z` out."""

Day = Annotated[date, BeforeValidator(_written_day)]
"""A local date from outside, `2026-06-02`."""

NearDay = Annotated[
    date, BeforeValidator(_written_day), Field(ge=date(1950, 1, 1), le=date(2200, 12, 31))
]
"""A day people plan with: months and years may be added to it without leaving the calendar."""

Text = Annotated[str, AfterValidator(_no_nul)]
"""A text PostgreSQL can hold."""


def typed_id(prefix: str) -> Any:
    """The annotation of an id of one kind, with its pattern in the description."""
    return Annotated[str, Path(pattern=pattern(prefix))]


Limit = Annotated[int, Query(ge=1, le=200, description="Rows per page")]
Cursor = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the last page")]


class Shape(BaseModel):
    """A body in or out. Unknown fields are refused on the way in."""

    model_config = ConfigDict(extra="forbid")


class Page(BaseModel, Generic[T]):
    """A page of a list; `next_cursor` is null on the last one."""

    data: list[T]
    next_cursor: str | None = None


async def page_of(
    session: AsyncSession, wanted: Select[Any], key: Any, *, cursor: str | None, limit: int
) -> tuple[list[Any], str | None]:
    """Newest first by a time-ordered id column: the same cost on every page."""
    if cursor is not None:
        wanted = wanted.where(key < decode_cursor(cursor))
    rows = (await session.execute(wanted.order_by(key.desc()).limit(limit + 1))).scalars().all()
    more = len(rows) > limit
    shown = list(rows[:limit])
    return shown, encode_cursor(getattr(shown[-1], key.key)) if more else None


def encode_cursor(value: str) -> str:
    """An opaque place in a list."""
    return base64.urlsafe_b64encode(value.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """The place a cursor names; anything else is refused."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return _no_nul(base64.b64decode(padded, altchars=b"-_", validate=True).decode())
    except (binascii.Error, ValueError):
        detail = "the cursor is not one of ours"
        raise Invalid(detail, code="invalid_cursor") from None
