"""What may be handed over, told a second time in the plainest way: no database, no gate."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import jpholiday

GRACE = timedelta(minutes=30)
LEASE = timedelta(days=35)
LINK = timedelta(minutes=15)
OPEN = {"forwarded", "accepted", "contacted", "met", "recommended", "offered"}
STARTED = {"placed", "guaranteed"}
OVER = {"withdrawn", "expired", "superseded"}
_JAPAN = ZoneInfo("Asia/Tokyo")


def day_of(moment: datetime) -> date:
    return moment.astimezone(_JAPAN).date()


def business_days_later(day: date, count: int) -> date:
    """Stories end before the year does: weekends and national holidays are all there is."""
    while count:
        day += timedelta(days=1)
        count -= day.weekday() < 5 and not jpholiday.is_holiday(day)
    return day


def half_a_year_later(moment: datetime) -> datetime:
    """The end of the same day in Japan six months later."""
    there = moment.astimezone(_JAPAN)
    year, month = divmod(there.year * 12 + there.month - 1 + 6, 12)
    last = next(
        date(year, month + 1, day)
        for day in range(there.day, 0, -1)
        if _exists(year, month + 1, day)
    )
    return datetime.combine(last + timedelta(days=1), datetime.min.time(), _JAPAN)


def _exists(year: int, month: int, day: int) -> bool:
    return day <= 28 or (date(year, month, 1) + timedelta(days=day - 1)).month == month


@dataclass
class Agency:
    """Number, and what changes about it."""

    known_as: int = 0
    """Grows whenever its name or its purpose becomes another."""
    licensed: bool = True


@dataclass
class Relay:
    """One yes on its way."""

    id: str
    yes: "Yes"
    application: str
    state: str = "queued"
    held: set[str] = field(default_factory=set)
    """Items the agency was handed."""
    stopped: bool = False
    """Told to stop: whatever is agreed later is carried out by another relay."""

    out: bool = False
    """Whether the agency ever heard of it."""


@dataclass
class Yes:
    """Where one record stands with one agency."""

    record: "Record"
    agency: int
    items: frozenset[str]
    given_at: datetime
    ends: datetime
    free_from: datetime
    knows: int
    """As what the person knew the agency."""
    state: str = "given"


@dataclass
class Record:
    """What the company noted as a person; `root` is the record it is now part of."""

    id: str
    wish: str
    """The desired job as the record says it."""
    root: str = ""
    restricted: str | None = None
    """`provision`: nothing is handed over; `all`: nothing is done with it at all."""
    erased: bool = False
    asked: bool = False
    """Whether there is any evidence about it."""


@dataclass
class Stop:
    """An agency owes an answer."""

    relay: Relay
    kind: str
    due: date
    answered: bool = False


class Model:
    """One company, two agencies, a few people."""

    def __init__(self) -> None:
        self.agencies = [Agency(), Agency()]
        self.records: dict[str, Record] = {}
        self.yes: dict[tuple[str, int], Yes] = {}
        self.relays: dict[str, Relay] = {}
        self.stops: list[Stop] = []
        self.reverted: set[str] = set()
        """Applications whose decision was taken back."""
        self.holds: dict[str, str] = {}
        """Hold → record."""
        self.text_ended = False
        self.looked_at: datetime | None = None
        """When somebody last looked at what is overdue."""

    # Who is who

    def person(self, record_id: str) -> list[Record]:
        """All records of the person."""
        root = self.records[record_id].root
        return [one for one in self.records.values() if one.root == root]

    def roots(self, *, erased: bool = False) -> list[Record]:
        """The people, each by the record that stands for them."""
        return [one for one in self.records.values() if one.id == one.root and one.erased == erased]

    def held(self, record_id: str) -> bool:
        mine = {one.id for one in self.person(record_id)}
        return any(record in mine for record in self.holds.values())

    def of(self, records: Iterable[Record]) -> list[Yes]:
        ids = {one.id for one in records}
        return [one for (record, _), one in self.yes.items() if record in ids]

    def relays_of(self, yes: Yes) -> list[Relay]:
        return [one for one in self.relays.values() if one.yes is yes]

    # What may be

    def against(self, relay: Relay, now: datetime) -> set[str]:
        """Every reason why this relay's package may not leave now."""
        yes, agency = relay.yes, self.agencies[relay.yes.agency]
        readable = relay.state == "queued" or relay.state in OPEN | STARTED
        found = {
            "candidate_erased": yes.record.erased,
            f"consent_{yes.state}": yes.state in OVER,
            "consent_expired": now >= yes.ends,
            "relay_ended": not readable or relay.stopped,
            "restricted": bool(yes.record.restricted or self.records[yes.record.root].restricted),
            "recipient_changed": yes.knows != agency.known_as,
            "text_ended": self.text_ended,
            "grace_period": now < yes.free_from,
            "agency_not_licensed": not agency.licensed,
            "decision_reverted": relay.state == "queued" and relay.application in self.reverted,
            "acknowledgement_overdue": self.escalated(yes.agency, now) is True,
        }
        return {code for code, holds in found.items() if holds}

    def unsure(self, relay: Relay, now: datetime) -> bool:
        """Between midnight and the morning nobody has looked yet at what became overdue."""
        return self.escalated(relay.yes.agency, now) is None

    def escalated(self, agency: int, now: datetime) -> bool | None:
        """Five business days without an answer; null: it depends on when somebody looked."""
        late = [
            one.due for one in self.stops
            if one.relay.yes.agency == agency and not one.answered
            and day_of(now) > business_days_later(one.due, 2)
        ]  # fmt: skip
        if not late:
            return False
        looked, first = self.looked_at, business_days_later(min(late), 2) + timedelta(days=1)
        nine = datetime.combine(first, datetime.min.time(), _JAPAN) + timedelta(hours=9)
        return True if looked is not None and looked >= nine else None

    # What people do

    def gives(
        self, record: Record, agency: int, items: frozenset[str], now: datetime
    ) -> tuple[Yes, str]:
        """A yes, new or changed; and how the evidence calls it."""
        there = self.yes.get((record.id, agency))
        known, record.asked = self.agencies[agency].known_as, True
        if there is None or there.state != "given":
            made = Yes(
                record, agency, items, now, half_a_year_later(now), now + GRACE, known
            )  # fmt: skip
            if there is not None:
                vars(there).update(vars(made))
                made = there
            self.yes[record.id, agency] = made
            return made, "given"
        kind = "renewed" if items == there.items else "items_changed"
        if not items <= there.items:
            there.free_from = now + GRACE
        self._lets_go(there, there.items - items, now)
        there.items, there.given_at, there.knows = items, now, known
        there.ends = half_a_year_later(now)
        return there, kind

    def _lets_go(self, yes: Yes, items: frozenset[str], now: datetime) -> None:
        """The agency at work holds what it may have no longer: it says that it has let go of it."""
        for relay in sorted(self.relays_of(yes), key=lambda one: one.id):
            if relay.state == "queued":
                return
            if relay.state in OPEN:
                if relay.held & items:
                    due = business_days_later(day_of(now), 3)
                    self.stops.append(Stop(relay, "corrected", due))
                return

    def withdraws(self, record_id: str, agency: int | None, now: datetime) -> int:
        """Take back, under every record of the person; how many consents ended."""
        ended = 0
        for yes in self.of(self.person(record_id)):
            if agency in {None, yes.agency} and yes.state in {"given", "expired", "superseded"}:
                yes.state = "withdrawn"
                ended += 1
                self._stop(yes, "withdrawn", now)
        return ended

    def erases(self, record_id: str, now: datetime, *, told: bool = True) -> bool:
        """Every record of the person; where a hold stands it is only kept: false."""
        if self.held(record_id):
            for record in self.person(record_id):
                record.restricted = "all"
            return False
        for record in self.person(record_id):
            for yes in self.of([record]) if told and not record.erased else []:
                yes.state = "withdrawn"
                self._stop(yes, "erased", now)
            record.erased = True
        return True

    def _stop(self, yes: Yes, kind: str, now: datetime) -> None:
        for relay in self.relays_of(yes):
            if relay.state == "queued" or relay.state in OPEN:
                relay.state = "withdrawn"
            relay.stopped = True
            told = any(one.relay is relay and one.kind == kind for one in self.stops)
            if relay.held and not told:
                self.stops.append(Stop(relay, kind, business_days_later(day_of(now), 3)))

    def corrects(self, record_id: str, items: set[str], now: datetime) -> None:
        """Who holds what was wrong must say that it has the right data."""
        for yes in self.of(self.person(record_id)):
            if yes.state != "given" or not items & yes.items:
                continue
            for relay in self.relays_of(yes):
                reads = relay.state in OPEN | STARTED and not relay.stopped
                if reads and items & relay.held:
                    due = business_days_later(day_of(now), 3)
                    self.stops.append(Stop(relay, "corrected", due))

    def ends(self, yes: Yes, how: str) -> None:
        """By its date, or because it stands for something else now."""
        yes.state = how
        for relay in self.relays_of(yes):
            if relay.state == "queued" or relay.state in OPEN:
                relay.state = "expired"

    def joins(self) -> None:
        """Of the consents of one person to one agency the newest stands."""
        standing: dict[tuple[str, int], list[Yes]] = {}
        for yes in self.yes.values():
            if yes.state == "given":
                standing.setdefault((yes.record.root, yes.agency), []).append(yes)
        for consents in standing.values():
            for older in sorted(consents, key=lambda one: one.given_at)[:-1]:
                self.ends(older, "superseded")

    def expires(self, now: datetime) -> None:
        for yes in self.yes.values():
            if yes.state == "given" and now >= yes.ends:
                self.ends(yes, "expired")
