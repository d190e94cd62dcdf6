"""Whose relay a placement belongs to, when several companies relayed the same person (rules 12).

Each company's agreement with the agency decides for that company's own book; no company learns of
another. The person is recognised by keyed hashes only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, instant


class PersonMark(Row, table=True):
    """A keyed hash of a relayed person, for one agency: equal for the same person, else useless.

    Made of the normalised e-mail address, the telephone number, or kana and date of birth. Gone
    when the ownership window has passed.
    """

    __tablename__ = "person_mark"
    __table_args__ = (
        ForeignKeyConstraint(["company_id", "relay_id"], ["relay.company_id", "relay.id"]),
        Index("ix_person_mark_mark", "agency_id", "mark"),
        Index("ix_person_mark_owned_until", "owned_until"),
    )

    company_id: str = Field(primary_key=True)
    relay_id: str = Field(primary_key=True)
    mark: bytes = Field(primary_key=True)
    agency_id: str
    consented_at: datetime = instant()
    owned_from: date
    """The day of the hand-over, in Japan."""
    owned_until: date


@dataclass(frozen=True)
class Claim:
    """One relay of the person at the agency: since when the person agreed, and while it counts."""

    company_id: str
    relay_id: str
    consented_at: datetime
    owned_from: date
    owned_until: date

    def covers(self, started_on: date) -> bool:
        """Whether a start on this day falls into the ownership window."""
        return self.owned_from <= started_on <= self.owned_until


def owner(rule: str, mine: Claim, claims: Sequence[Claim], started_on: date) -> Claim:
    """The claim a start belongs to by the rule of `mine`'s agreement; its company earns.

    `first_consent`: the earliest consent that stands in its window; `last_consent`: the latest;
    `shared`: each company its own. Which of one company's relays is named makes no difference.
    """
    if rule == "shared":
        return mine
    standing = [claim for claim in claims if claim.covers(started_on)]
    standing.sort(key=lambda claim: (claim.consented_at, claim.relay_id))
    if not standing:
        return mine
    return standing[-1 if rule == "last_consent" else 0]
