"""What follows when an agency keeps silent, and how well it keeps its word (ledger rules 22).

Pure: days are local dates in Japan, business days those of the calendar handed in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from domain.business_days import Calendar, after
from domain.terms import Duties

_DAY = timedelta(days=1)
OPEN_STATES = ("forwarded", "accepted", "contacted", "met", "recommended", "offered")
"""Relays an agency is at work on: about each of them it owes a word every so often."""
WORDS = (
    "accepted", "declined", "contacted", "met", "recommended", "offered", "closed", "unchanged",
    "expected", "placed",
)  # fmt: skip
"""Facts of a relay that are a word by its agency. A hand-over starts the time, it is none."""


@dataclass(frozen=True)
class Overdue:
    """The oldest of each duty an agency has let pass towards one company, by its last day."""

    status_due_on: date | None = None
    attestation_due_on: date | None = None

    def __bool__(self) -> bool:
        return bool(self.status_due_on or self.attestation_due_on)


@dataclass(frozen=True)
class Pause:
    """Why nothing new goes to an agency, and since which day."""

    reason: str
    since: date


def pauses(overdue: Overdue, duties: Duties, calendar: Calendar, today: date) -> list[Pause]:
    """What holds back new relays today: a duty missed, and the days of grace after it as well.

    `status_missing`: an open relay without a word; `attestation_missing`: a month without an
    attestation. Nothing where the agreement does not pause.
    """
    if not duties.pause:
        return []
    missed = (
        ("status_missing", overdue.status_due_on),
        ("attestation_missing", overdue.attestation_due_on),
    )
    found = [
        Pause(reason, after(calendar, due, duties.grace_business_days) + _DAY)
        for reason, due in missed
        if due is not None
    ]
    return [pause for pause in found if pause.since <= today]


def words_kept(
    words: Sequence[date], handed_over: date, *, ended: date | None, every: int, today: date
) -> tuple[int, int]:
    """Of the words due about one relay so far: how many were given in time, and how many were due.

    A word is due within `every` days of the hand-over; the next one within `every` days of the last
    word given in time, or of the day that passed in silence. So saying more than is asked counts no
    more, and a long silence counts as often as a word was missing. A stretch that is not over, or
    in which the relay ended, is not judged.
    """
    kept = due_words = 0
    since = handed_over
    while True:
        due = since + timedelta(days=every)
        if due >= today or (ended is not None and ended <= due):
            return kept, due_words
        in_time = [word for word in words if since < word <= due]
        kept, due_words = kept + bool(in_time), due_words + 1
        since = max(in_time, default=due)
