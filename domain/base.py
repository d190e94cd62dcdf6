"""What every row stands on: naming of constraints, aware instants, text states."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import CheckConstraint, DateTime, Dialect
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import TypeDecorator, UserDefinedType
from sqlmodel import Field, SQLModel

# Set before any table is defined: otherwise names depend on import order.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Instant(TypeDecorator[datetime]):
    """A moment: stored with zone, handed out in UTC; a naive value is a bug and is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Refuse what has no zone."""
        if value is not None and value.tzinfo is None:
            message = "an instant needs a zone"
            raise ValueError(message)
        return value

    def process_result_value(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Hand out UTC."""
        return value.astimezone(UTC) if value is not None else None


class Xid8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id: the first half of every safe reading order."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """The type's name in SQL."""
        return "xid8"


ischema_names["xid8"] = Xid8


class _Mask:
    """Stands for bytes when a row is printed."""

    def __repr__(self) -> str:
        return "•••"


class Row(SQLModel):
    """A row of a table. Table classes do not validate: doors do, and CHECKs forbid the rest."""

    def __repr_args__(self) -> Sequence[tuple[str | None, Any]]:
        """Print what is sealed, hashed or a key as •••."""
        shown = super().__repr_args__()
        return [(k, _Mask() if isinstance(v, bytes) else v) for k, v in shown]


def instant(**options: Any) -> Any:
    """A column holding a moment (UTC)."""
    return Field(sa_type=Instant, **options)


def document(**options: Any) -> Any:
    """A column holding a JSON document without personal data."""
    return Field(sa_type=JSONB, **options)


def one_of(column: str, states: Iterable[str]) -> CheckConstraint:
    """The database's half of a list of states: nothing else can be written."""
    listed = ", ".join(f"'{state}'" for state in states)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")
