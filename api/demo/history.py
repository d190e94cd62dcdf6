"""A year of a company's hiring, played through the real doors: deliveries, mails, forms, agencies.

Every step is safe to repeat, and the place reached is kept: a demo that is killed while it plays
goes on where it was.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from api.demo import clock, facts, people
from api.demo.afterwards import Afterwards
from api.demo.deeds import Deeds
from api.demo.people import TOKYO, Person
from api.demo.world import World
from api.runtime import Runtime

_PLACE = "demo_history_place"
_START = "demo_history_start"
_LENGTH = timedelta(days=400)
_REST = timedelta(days=7)
"""What is done every night or every hour is done once a week of the story."""
_STEPS = ("accepted", "contacted", "met", "recommended", "offered")
_TOLD_WRONGLY, _LEAVES = 7, 9
"""Of so many starts one is corrected, and of so many one ends early."""
Progress = Callable[[int, int], None]


async def begin(runtime: Runtime) -> None:
    """Let the demo's time begin where the story does. Once, before any account is opened."""
    if await facts.read(runtime, _START) is None:
        start = runtime.clock() - _LENGTH
        async with runtime.database.transaction() as session:
            await clock.begin_earlier(runtime, session, _LENGTH)
            await facts.note(session, _START, start.isoformat())
        await clock.load(runtime)


async def has_begun(runtime: Runtime) -> bool:
    """Whether there is a story to play: data that began without one stays without."""
    return await facts.read(runtime, _START) is not None


async def is_over(runtime: Runtime) -> bool:
    """Whether the whole story has been played."""
    return await facts.read(runtime, _PLACE) == "done"


@dataclass(order=True)
class Step:
    """Something that happens at a moment. The order of equal moments is the order of writing."""

    at: datetime
    number: int
    act: Callable[[], Awaitable[None]] = field(compare=False)


class History:
    """Plays the story of one company and its agencies."""

    def __init__(self, runtime: Runtime, demo: dict[str, Any], lock: asyncio.Lock) -> None:
        self.runtime, self._lock = runtime, lock
        self.world = World(runtime, demo)
        self.afterwards = Afterwards(self.world)
        self.deeds = Deeds(self.world, self.afterwards)
        self._steps: list[Step] = []
        self._rested = runtime.clock()

    async def play(self, progress: Progress) -> None:
        """Play what is left and end at the present."""
        start = datetime.fromisoformat(str(await facts.read(self.runtime, _START)))
        self._write(start, start + _LENGTH)
        place = int(await facts.read(self.runtime, _PLACE) or 0)
        steps = sorted(self._steps)
        for number, step in enumerate(steps[place:], start=place):
            await self._to(step.at)
            await step.act()
            await clock.settle(self.runtime)
            await facts.keep(self.runtime, _PLACE, str(number + 1))
            progress(number + 1, len(steps))
        await clock.advance(self.runtime, start + _LENGTH, self._lock)
        await facts.keep(self.runtime, _PLACE, "done")
        await self.world.http.aclose()

    # the story

    def _write(self, start: datetime, end: datetime) -> None:
        first, last = start.astimezone(TOKYO).date(), end.astimezone(TOKYO).date()
        cast = people.cast(first, last)
        for person in cast:
            self._tell_of(person, end)
        for person in people.latest(end):
            self._begin(person, end)
        self._ask(cast, end)
        self._agree_for(people.student(end), end)
        self._go_wrong(end)
        self._attest(start, end)
        self._spend_credits(end)
        self._disagree(end)

    def _tell_of(self, person: Person, end: datetime) -> None:
        interview = person.interview_ends
        if person.on_paper:
            self._add(interview, end, lambda: self.deeds.turned_down_on_paper(person, interview))
            return
        self._add(interview + timedelta(minutes=20), end, lambda: self.deeds.interviewed(person))
        decided = _decided_at(person)
        self._add(decided, end, lambda: self.deeds.decided(person, decided))
        if person.feedback and person.ending == "rejected":
            written = decided + timedelta(minutes=30)
            self._add(written, end, lambda: self.deeds.feedback_written(person))
        if person.answers:
            self._add(_answered_at(person), end, lambda: self.deeds.answered(person))
        if person.consents:
            self._follow(person, _answered_at(person), end)

    def _begin(self, person: Person, end: datetime) -> None:
        """A story still open at the end: interviewed and undecided, or ended by nobody knows."""
        moment = person.interview_ends
        if person.ending == "unclear":
            self._add(moment, end, lambda: self.deeds.decided(person, moment))
        else:
            self._add(moment + timedelta(minutes=20), end, lambda: self.deeds.interviewed(person))

    def _follow(self, person: Person, answered: datetime, end: datetime) -> None:
        number = 1 if person.answer == "second" else 0
        if person.renews:
            # Asked two weeks before the six months are over.
            again = _workday(answered + timedelta(days=176), hour=21)
            self._add(again, end, lambda: self.afterwards.renewed(person))
        if person.withdraws:
            read = _workday(answered + timedelta(days=2), hour=14)
            self._add(read, end, lambda: self.deeds.reported(person, number, "accepted", read))
            taken_back = _workday(answered + timedelta(days=9), hour=21)
            self._add(taken_back, end, lambda: self.deeds.withdrew(person))
            heard = _workday(taken_back + timedelta(days=1), hour=10)
            self._add(heard, end, lambda: self.deeds.acknowledged(person, number))
            return
        if person.progress == "declined":
            when = _workday(answered + timedelta(days=2), hour=15)
            self._add(when, end, lambda: self.deeds.declined(person, number))
            return
        reached = _STEPS.index("offered" if person.progress == "placed" else person.progress)
        when = answered
        for kind in _STEPS[: reached + 1]:
            when = _workday(when + timedelta(days=2 if kind != "offered" else 9), hour=14)
            self._add(when, end, _step(self.deeds.reported, person, number, kind, when))
        if person.corrects:
            self._put_right(person, number, answered, end)
        if person.progress != "placed":
            self._look_on(person, number, when, end)
            return
        started = _workday(when + timedelta(days=21), hour=10)
        self._add(started, end, lambda: self.deeds.placed(person, number, started))
        self._goes_on(person, number, started, end)

    def _put_right(self, person: Person, number: int, answered: datetime, end: datetime) -> None:
        """After the agency has read, something changes; the agency says that it knows."""
        changed = _workday(answered + timedelta(days=5), hour=21)
        self._add(changed, end, lambda: self.afterwards.corrected(person))
        known = _workday(changed + timedelta(days=1), hour=11)
        self._add(known, end, lambda: self.afterwards.took_correction(person, number))

    def _look_on(self, person: Person, number: int, last: datetime, end: datetime) -> None:
        """Nothing comes of it: the agency says so now and then, and closes the relay in the end."""
        for months in (1, 2):
            when = _workday(last + timedelta(days=27 * months), hour=17)
            self._add(when, end, _step(self.deeds.no_news, person, number, months))
        closed = _workday(last + timedelta(days=80), hour=17)
        self._add(closed, end, _step(self.deeds.reported, person, number, "closed", closed))

    def _goes_on(self, person: Person, number: int, started: datetime, end: datetime) -> None:
        """Some starts are told wrongly at first, and some people leave within the guarantee."""
        if person.number % _TOLD_WRONGLY == 1:
            told = _workday(started + timedelta(days=3), hour=11)
            self._add(told, end, _step(self.deeds.started_later, person, number, started))
        if person.number % _LEAVES == 1:
            left = _workday(started + timedelta(days=70), hour=11)
            self._add(left, end, _step(self.deeds.left, person, number, left))

    def _attest(self, start: datetime, end: datetime) -> None:
        """Each month's attestation, but the second agency's last one: that is late."""
        month = start.astimezone(TOKYO).replace(day=1)
        while (month := _next_month(month)) < end:
            when = _workday(month.replace(day=3), hour=10)
            for number, _ in enumerate(self.world.demo["agencies"]):
                last = _next_month(month) >= end and number == 1
                if not last:
                    self._add(when, end, _step(self.deeds.attested, number, month))

    def _spend_credits(self, end: datetime) -> None:
        for months, opening, used in ((2, "経理(課長候補)", True), (0, "組込みエンジニア", False)):
            when = _workday(end - timedelta(days=30 * months + 9), hour=16)
            self._add(when, end, _step(self.deeds.reserved, opening, used, when))

    def _disagree(self, end: datetime) -> None:
        """A correction waits for its second person, and a dispute for the company's answer."""
        asked = _workday(end - timedelta(days=12), hour=15)
        self._add(asked, end, self.deeds.asked_for_a_correction)
        opened = _workday(end - timedelta(days=4), hour=15)
        self._add(opened, end, self.deeds.opened_a_dispute)

    def _ask(self, cast: list[Person], end: datetime) -> None:
        """Two ask for feedback and two about their data: one of each is answered, one waits.

        They were told without feedback, and have not taken their consent back.
        """
        after = self.afterwards
        free = [one for one in cast if one.consents and not one.withdraws and not one.feedback]
        free.reverse()
        self._asked(free, end, 33, after.asked_for_feedback, after.answered_feedback)
        self._asked(free, end, 3, after.asked_for_feedback)
        self._asked(free, end, 45, after.asked_who_has_what, after.answered_request)
        self._asked(free, end, 4, after.asked_what_for)
        held = _workday(end - timedelta(days=3), hour=19)
        self._add(held, end, _step(after.joined_unknown, "見本 さくら", "経理"))

    def _asked(
        self,
        free: list[Person],
        end: datetime,
        days: int,
        ask: Callable[[Person], Awaitable[None]],
        answer: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """The newest who had agreed by then, and nobody twice."""
        asked = _workday(end - timedelta(days=days), hour=20)
        agreed = asked - timedelta(days=2)
        person = next((one for one in free if _answered_at(one) < agreed), None)
        if person is None:
            return
        free.remove(person)
        self._add(asked, end, _step(ask, person))
        if answer is not None:
            self._add(_workday(asked + timedelta(days=4), hour=15), end, answer)

    def _agree_for(self, student: Person, end: datetime) -> None:
        """A guardian agrees for a student, and HR hands the link over."""
        deeds, after, begins = self.deeds, self.afterwards, student.interview_ends
        for days, hour, act in (
            (0, 17, deeds.applied),
            (1, 11, deeds.turned_down),
            (4, 15, after.recorded_guardian),
            (5, 16, after.handed_over),
        ):
            self._add(_workday(begins + timedelta(days=days), hour=hour), end, _step(act, student))
        read = _workday(begins + timedelta(days=7), hour=14)
        self._add(read, end, _step(deeds.reported, student, 0, "accepted", read))

    def _go_wrong(self, end: datetime) -> None:
        """An incident is registered, reported and closed."""
        known = _workday(end - timedelta(days=75), hour=10)
        self._add(known, end, self.afterwards.opened_incident)
        reported = _workday(known + timedelta(days=17), hour=10)
        self._add(reported, end, self.afterwards.closed_incident)

    # the place

    def _add(self, at: datetime, end: datetime, act: Callable[[], Awaitable[None]]) -> None:
        if at < end:
            self._steps.append(Step(at.astimezone(UTC), len(self._steps), act))

    async def _to(self, moment: datetime) -> None:
        if moment > self.runtime.clock():
            rests = moment - self._rested >= _REST
            await clock.advance(self.runtime, moment, self._lock, on_the_way=not rests)
            self._rested = moment if rests else self._rested


def _step(act: Callable[..., Awaitable[None]], *values: Any) -> Callable[[], Awaitable[None]]:
    return lambda: act(*values)


def _decided_at(person: Person) -> datetime:
    return _workday(person.interview_ends + timedelta(days=7 if person.late else 1), hour=11)


def _answered_at(person: Person) -> datetime:
    return _workday(_decided_at(person) + timedelta(days=2), hour=20)


def _next_month(moment: datetime) -> datetime:
    """Midnight in Tokyo on the first of the month after."""
    first = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def _workday(moment: datetime, *, hour: int) -> datetime:
    """The same day at an hour in Tokyo, or the next weekday."""
    local = moment.astimezone(TOKYO).replace(hour=hour, minute=0, second=0, microsecond=0)
    while local.weekday() >= 5:  # noqa: PLR2004
        local += timedelta(days=1)
    return local
