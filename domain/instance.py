"""Facts about this installation that belong to no tenant."""

from datetime import datetime

from sqlmodel import Field

from domain.base import Row, instant


class Heartbeat(Row, table=True):
    """A worker says that it lives (wall clock, for `/readyz`)."""

    __tablename__ = "heartbeat"

    worker: str = Field(primary_key=True)
    at: datetime = instant()


class InstanceFact(Row, table=True):
    """A named text such as the demo's clock, the feed epoch, or when verification last passed."""

    __tablename__ = "instance_fact"

    name: str = Field(primary_key=True)
    value: str
