"""A year of a company's hiring, played through the real doors: deliveries, mails, forms, agencies.

Every step is safe to repeat, and the place reached is kept: a demo that is killed while it plays
goes on where it was.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from api.demo import clock, facts, people, visitor
from api.demo.people import TOKYO, Person
from api.demo.visitor import Program
from api.runtime import Runtime
from api.shapes import utc_text

_PLACE = "demo_history_place"
_START = "demo_history_start"
_LENGTH = timedelta(days=400)
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
        self.runtime, self.demo, self._lock = runtime, demo, lock
        self.http = httpx2.AsyncClient(base_url=demo["base_url"], timeout=60)
        company = demo["company"]
        self.company = Program(self.http, company["client_id"], company["client_secret"])
        self.agencies = [
            Program(self.http, a["client_id"], a["client_secret"]) for a in demo["agencies"]
        ]
        self._steps: list[Step] = []

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
        await self._to(start + _LENGTH)
        await facts.keep(self.runtime, _PLACE, "done")
        await self.http.aclose()

    # the story

    def _write(self, start: datetime, end: datetime) -> None:
        first, last = start.astimezone(TOKYO).date(), end.astimezone(TOKYO).date()
        for person in people.cast(first, last):
            self._tell_of(person, end)
        for person in people.latest(end):
            self._begin(person, end)
        self._attest(start, end)
        self._spend_credits(end)
        self._disagree(end)

    def _tell_of(self, person: Person, end: datetime) -> None:
        interview = person.interview_ends
        if person.on_paper:
            self._add(interview, end, lambda: self._turned_down_on_paper(person, interview))
            return
        self._add(interview + timedelta(minutes=20), end, lambda: self._interviewed(person))
        decided = _workday(interview + timedelta(days=7 if person.late else 1), hour=11)
        self._add(decided, end, lambda: self._decided(person, decided))
        if person.feedback and person.ending == "rejected":
            written = decided + timedelta(minutes=30)
            self._add(written, end, lambda: self._feedback_written(person))
        if person.ending != "rejected" or person.answer == "silent" or person.source == "agency":
            return
        answered = _workday(decided + timedelta(days=2), hour=20)
        self._add(answered, end, lambda: self._answered(person))
        if person.answer != "decline":
            self._follow(person, answered, end)

    def _begin(self, person: Person, end: datetime) -> None:
        """A story still open at the end: interviewed and undecided, or ended by nobody knows."""
        moment = person.interview_ends
        if person.ending == "unclear":
            self._add(moment, end, lambda: self._decided(person, moment))
        else:
            self._add(moment + timedelta(minutes=20), end, lambda: self._interviewed(person))

    def _follow(self, person: Person, answered: datetime, end: datetime) -> None:
        number = 1 if person.answer == "second" else 0
        if person.number % 11 == 0:
            taken_back = _workday(answered + timedelta(days=9), hour=21)
            self._add(taken_back, end, lambda: self._withdrew(person))
            heard = _workday(taken_back + timedelta(days=1), hour=10)
            self._add(heard, end, lambda: self._acknowledged(person, number))
            return
        if person.progress == "declined":
            when = _workday(answered + timedelta(days=2), hour=15)
            self._add(when, end, lambda: self._declined(person, number))
            return
        reached = _STEPS.index("offered" if person.progress == "placed" else person.progress)
        when = answered
        for kind in _STEPS[: reached + 1]:
            when = _workday(when + timedelta(days=2 if kind != "offered" else 9), hour=14)
            self._add(when, end, _step(self._reported, person, number, kind, when))
        if person.progress != "placed":
            self._look_on(person, number, when, end)
            return
        started = _workday(when + timedelta(days=21), hour=10)
        self._add(started, end, lambda: self._placed(person, number, started))
        self._goes_on(person, number, started, end)

    def _look_on(self, person: Person, number: int, last: datetime, end: datetime) -> None:
        """Nothing comes of it: the agency says so now and then, and closes the relay in the end."""
        for months in (1, 2):
            when = _workday(last + timedelta(days=27 * months), hour=17)
            self._add(when, end, _step(self._no_news, person, number, months))
        closed = _workday(last + timedelta(days=80), hour=17)
        self._add(closed, end, _step(self._reported, person, number, "closed", closed))

    def _goes_on(self, person: Person, number: int, started: datetime, end: datetime) -> None:
        """Some starts are told wrongly at first, and some people leave within the guarantee."""
        if person.number % _TOLD_WRONGLY == 1:
            told = _workday(started + timedelta(days=3), hour=11)
            self._add(told, end, _step(self._started_later, person, number, started))
        if person.number % _LEAVES == 1:
            left = _workday(started + timedelta(days=70), hour=11)
            self._add(left, end, _step(self._left, person, number, left))

    def _attest(self, start: datetime, end: datetime) -> None:
        """Each month's attestation, but the second agency's last one: that is late."""
        month = start.astimezone(TOKYO).replace(day=1)
        while (month := _next_month(month)) < end:
            when = _workday(month.replace(day=3), hour=10)
            for number, _ in enumerate(self.demo["agencies"]):
                last = _next_month(month) >= end and number == 1
                if not last:
                    self._add(when, end, _step(self._attested, number, month))

    def _spend_credits(self, end: datetime) -> None:
        for months, opening, used in ((2, "経理(課長候補)", True), (0, "組込みエンジニア", False)):
            when = _workday(end - timedelta(days=30 * months + 9), hour=16)
            self._add(when, end, _step(self._reserved, opening, used, when))

    def _disagree(self, end: datetime) -> None:
        """A correction waits for its second person, and a dispute for the company's answer."""
        asked = _workday(end - timedelta(days=12), hour=15)
        self._add(asked, end, self._asked_for_a_correction)
        opened = _workday(end - timedelta(days=4), hour=15)
        self._add(opened, end, self._opened_a_dispute)

    # what happens

    async def _interviewed(self, person: Person) -> None:
        await self._deliver("interview.completed", person, person.interview_ends, {
            "interview": {
                "external_id": f"I-{person.number:04d}",
                "starts_at": utc_text(person.interview_ends - timedelta(hours=1)),
                "ends_at": utc_text(person.interview_ends),
                "all_day": False,
                "status": "completed",
            }
        })  # fmt: skip

    async def _decided(self, person: Person, at: datetime) -> None:
        if person.ending == "hired":
            await self._deliver("application.hired", person, at, {})
            return
        by = {"withdrawn": "candidate", "unclear": "unknown"}.get(person.ending, "company")
        kind = "application.withdrawn" if by == "candidate" else "application.rejected"
        rejection = {"initiated_by": by, "reason_id": None, "reason_text": None,
                     "rejected_at": utc_text(at), "not_before": None}  # fmt: skip
        await self._deliver(kind, person, at, {"rejection": rejection})

    async def _turned_down_on_paper(self, person: Person, at: datetime) -> None:
        there = next(c for c in self.demo["ats"] if c["provider"] == "greenhouse")
        body = {"action": "reject_candidate", "payload": {"application": _greenhouse(person, at)}}
        await visitor.deliver_greenhouse(
            self.http, there["webhook_url"], there["secret"], body, f"gh-{person.number}"
        )

    async def _feedback_written(self, person: Person) -> None:
        found = await self.company.get(f"/v1/company/applications?external_id={person.external_id}")
        path = f"/v1/company/notices?application_id={found['data'][0]['id']}"
        for notice in (await self.company.get(path))["data"]:
            await self.company.patch(
                f"/v1/company/notices/{notice['id']}", {"feedback": person.feedback}
            )

    async def _acknowledged(self, person: Person, number: int) -> None:
        relay = await self._relay(person, number)
        if relay is not None:
            body = {"answer": "deleted", "at": utc_text(self.runtime.clock())}
            await self._agency_says(number, relay, f"ack-{relay}", "withdrawal-ack", body)

    async def _answered(self, person: Person) -> None:
        link = await self._link(person, "/c/")
        if link is None:
            return
        ids = [agency["id"] for agency in self.demo["agencies"]]
        chosen = {"both": set(ids), "first": {ids[0]}, "second": {ids[1]}, "decline": None}
        async with httpx2.AsyncClient(timeout=30) as browser:
            await visitor.answer_form(browser, link, agencies=chosen[person.answer])

    async def _withdrew(self, person: Person) -> None:
        link = await self._link(person, "/c/", subject="控え")
        if link is not None:
            async with httpx2.AsyncClient(timeout=30) as browser:
                await visitor.withdraw(browser, link)

    async def _reported(self, person: Person, number: int, kind: str, at: datetime) -> None:
        relay = await self._relay(person, number)
        if relay is None:
            return
        if kind == "accepted":
            await self.agencies[number].get(f"/v1/agency/relays/{relay}/package")
        await self._agency_says(
            number, relay, f"{kind}-{relay}", "events", {"type": kind, "at": utc_text(at)}
        )

    async def _declined(self, person: Person, number: int) -> None:
        relay = await self._relay(person, number)
        if relay is not None:
            body = {
                "type": "declined",
                "reason": "out_of_scope",
                "at": utc_text(self.runtime.clock()),
            }
            await self._agency_says(number, relay, f"declined-{relay}", "events", body)

    async def _placed(self, person: Person, number: int, started: datetime) -> None:
        relay = await self._relay(person, number)
        if relay is not None:
            day = started.astimezone(TOKYO).date().isoformat()
            body = {"started_on": day, "employment_term": "permanent", "attestation": True}
            await self._agency_says(number, relay, f"placed-{relay}", "placement", body)

    async def _no_news(self, person: Person, number: int, months: int) -> None:
        relay = await self._relay(person, number)
        if relay is not None:
            await self._agency_says(number, relay, f"status-{months}-{relay}", "status", None)

    async def _started_later(self, person: Person, number: int, started: datetime) -> None:
        placement = await self._placement(person, number)
        if placement is not None:
            day = (started.astimezone(TOKYO).date() + timedelta(days=1)).isoformat()
            await self.agencies[number].post(
                f"/v1/agency/placements/{placement}/corrections", {"started_on": day},
                key=f"history-corrected-{placement}",
            )  # fmt: skip

    async def _left(self, person: Person, number: int, left: datetime) -> None:
        placement = await self._placement(person, number)
        if placement is not None:
            day = left.astimezone(TOKYO).date().isoformat()
            await self.agencies[number].post(
                f"/v1/agency/placements/{placement}/early-leave", {"last_day_employed": day},
                key=f"history-left-{placement}",
            )  # fmt: skip

    async def _placement(self, person: Person, number: int) -> str | None:
        relay = await self._relay(person, number)
        if relay is None:
            return None
        found = await self.agencies[number].get(f"/v1/agency/relays/{relay}")
        return str(found["placement_id"]) if found["placement_id"] else None

    async def _attested(self, number: int, month: datetime) -> None:
        told = (month - timedelta(days=1)).strftime("%Y-%m")
        body = {"statement": True, "manager": "職業紹介責任者"}
        await self.agencies[number].post(
            f"/v1/agency/attestations/{told}", body, key=f"history-attested-{told}"
        )

    async def _asked_for_a_correction(self) -> None:
        body = {
            "counterparty_id": self.demo["company"]["id"], "kind": "issue", "count": 1,
            "reason": "goodwill", "note": "ご契約の更新に伴う追加です。",
        }  # fmt: skip
        await self.agencies[0].post("/v1/agency/adjustments", body, key="history-correction")

    async def _opened_a_dispute(self) -> None:
        placed = (await self.agencies[0].get("/v1/agency/placements?state=placed"))["data"]
        if not placed:
            return
        body = {
            "counterparty_id": self.demo["company"]["id"], "subject": "placement",
            "placement_id": placed[0]["id"], "reason": "wrong_start",
            "note": "入社日の記録が当社の控えと異なるため、確認をお願いします。",
        }  # fmt: skip
        await self.agencies[0].post("/v1/agency/disputes", body, key="history-dispute")

    async def _reserved(self, opening: str, used: bool, at: datetime) -> None:  # noqa: FBT001
        body = {"agency_id": self.demo["agencies"][0]["id"], "opening": opening}
        made = await self.company.post(
            "/v1/company/credits/reservations", body, key=f"history-reserve-{at:%Y%m%d}"
        )
        if made.status_code == httpx2.codes.CREATED and used:
            path = f"/v1/company/credits/reservations/{made.json()['id']}/use"
            day = at.astimezone(TOKYO).date().isoformat()
            await self.company.post(path, {"hired_on": day}, key=f"history-use-{at:%Y%m%d}")

    # the doors

    async def _deliver(self, kind: str, person: Person, at: datetime, more: dict[str, Any]) -> None:
        there = next(c for c in self.demo["ats"] if c["provider"] == "standard-webhooks")
        body = visitor.event(kind, at, {**_facts(person, kind), **more})
        name = f"msg_{person.external_id}_{kind.replace('.', '_')}"
        await visitor.deliver_standard(
            self.http,
            there["webhook_url"],
            there["secret"],
            body,
            message_id=name,
            now=self.runtime.clock(),
        )

    async def _agency_says(
        self, number: int, relay: str, key: str, what: str, body: dict[str, Any] | None
    ) -> None:
        await self.agencies[number].post(
            f"/v1/agency/relays/{relay}/{what}", body, key=f"history-{key}"
        )

    async def _relay(self, person: Person, number: int) -> str | None:
        found = await self.company.get(f"/v1/company/applications?external_id={person.external_id}")
        if not found["data"]:
            return None
        path = f"/v1/company/relays?application_id={found['data'][0]['id']}"
        agency = self.demo["agencies"][number]["id"]
        relays = (await self.company.get(path))["data"]
        return next((str(r["id"]) for r in relays if r["agency_id"] == agency), None)

    async def _link(self, person: Person, part: str, *, subject: str = "") -> str | None:
        mails = (await self.http.get("/dev/mailbox.json")).json()
        mine = [m for m in mails if person.email in m["to"] and subject in m["subject"]]
        links = [link for mail in mine for link in mail["links"] if part in link]
        return links[0] if links else None

    # the place

    def _add(self, at: datetime, end: datetime, act: Callable[[], Awaitable[None]]) -> None:
        if at < end:
            self._steps.append(Step(at.astimezone(UTC), len(self._steps), act))

    async def _to(self, moment: datetime) -> None:
        if moment > self.runtime.clock():
            await clock.advance(self.runtime, moment, self._lock)


def _step(act: Callable[..., Awaitable[None]], *values: Any) -> Callable[[], Awaitable[None]]:
    return lambda: act(*values)


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


def _facts(person: Person, kind: str) -> dict[str, Any]:
    status = {"application.rejected": "rejected", "application.withdrawn": "withdrawn",
              "application.hired": "hired"}.get(kind, "active")  # fmt: skip
    return {
        "application": {
            "external_id": person.external_id,
            "status": status,
            "applied_at": utc_text(person.interview_ends - timedelta(days=14)),
            "stage": {"id": None, "name": person.stage},
            "source": person.source,
        },
        "candidate": {
            "external_id": f"C-{person.number:04d}",
            "display_name": f"{person.family} {person.given}",
            "family_name": person.family,
            "given_name": person.given,
            "emails": [{"value": person.email, "type": "personal", "primary": True}],
            "phones": [{"value": person.phone, "type": "mobile"}],
        },
        "job": {
            "external_id": f"J-{person.job}",
            "title": person.job,
            "department": person.department,
        },
    }


def _greenhouse(person: Person, at: datetime) -> dict[str, Any]:
    """An application as Greenhouse tells it (ids are numbers there)."""
    return {
        "id": 70_000 + person.number, "status": "rejected", "prospect": False,
        "applied_at": utc_text(at - timedelta(days=5)), "rejected_at": utc_text(at),
        "last_activity_at": utc_text(at), "source": {"id": 1, "public_name": "Company site"},
        "current_stage": {"id": 1, "name": "書類選考", "interviews": []},
        "rejection_reason": {
            "id": 1, "name": "Position filled", "type": {"id": 1, "name": "We rejected them"},
        },
        "candidate": {
            # Names are joined in the vendor's order; this company keeps them 姓 名.
            "id": 80_000 + person.number,
            "first_name": person.family, "last_name": person.given,
            "is_private": False, "can_email": True, "tags": [], "attachments": [],
            "email_addresses": [{"value": person.email, "type": "personal"}],
            "phone_numbers": [{"value": person.phone, "type": "mobile"}],
        },
        "jobs": [{"id": 9, "name": person.job, "confidential": False,
                  "departments": [{"id": 3, "name": person.department}]}],
    }  # fmt: skip
