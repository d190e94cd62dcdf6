"""What companies, candidates and agencies do in the demo's story, each through their own door."""

from datetime import datetime, timedelta
from typing import Any

import httpx2

from api.demo import visitor
from api.demo.afterwards import Afterwards
from api.demo.people import TOKYO, Person
from api.demo.visitor import Browser
from api.demo.world import World
from api.shapes import utc_text


class Deeds:
    """What happens to one person, and between the sides of the ledger."""

    def __init__(self, world: World, afterwards: Afterwards) -> None:
        self.world, self.afterwards = world, afterwards

    async def interviewed(self, person: Person) -> None:
        """The ATS tells that the interview took place."""
        await self._deliver("interview.completed", person, person.interview_ends, {
            "interview": {
                "external_id": f"I-{person.number:04d}",
                "starts_at": utc_text(person.interview_ends - timedelta(hours=1)),
                "ends_at": utc_text(person.interview_ends),
                "all_day": False,
                "status": "completed",
            }
        })  # fmt: skip

    async def applied(self, student: Person) -> None:
        """By post: HR enters it, and the interview."""
        company, number = self.world.company, student.external_id
        ends = student.interview_ends
        made = await company.post(
            "/v1/company/applications",
            {
                "external_id": number, "applicant_type": "minor", "source": student.source,
                "stage": student.stage,
                "candidate": {
                    "family_name": student.family, "given_name": student.given,
                    "email": student.email, "phone": student.phone,
                },
                "job": {"title": "製造スタッフ(アルバイト)", "department": "製造部"},
            },
            key=f"history-applied-{number}",
        )  # fmt: skip
        await company.post(
            f"/v1/company/applications/{made.json()['id']}/interviews",
            {"status": "completed", "starts_at": utc_text(ends - timedelta(hours=1)),
             "ends_at": utc_text(ends)},
            key=f"history-interviewed-{number}",
        )  # fmt: skip

    async def turned_down(self, student: Person) -> None:
        """HR enters the decision."""
        found = await self.world.application(student)
        if found is not None:
            await self.world.company.post(
                f"/v1/company/applications/{found['id']}/decision", {"outcome": "rejected"},
                key=f"history-decided-{student.external_id}",
            )  # fmt: skip

    async def decided(self, person: Person, at: datetime) -> None:
        """The ATS tells how the application ended."""
        if person.ending == "hired":
            await self._deliver("application.hired", person, at, {})
            return
        by = {"withdrawn": "candidate", "unclear": "unknown"}.get(person.ending, "company")
        kind = "application.withdrawn" if by == "candidate" else "application.rejected"
        rejection = {"initiated_by": by, "reason_id": None, "reason_text": None,
                     "rejected_at": utc_text(at), "not_before": None}  # fmt: skip
        await self._deliver(kind, person, at, {"rejection": rejection})

    async def turned_down_on_paper(self, person: Person, at: datetime) -> None:
        """A rejection before any interview, in the other ATS."""
        there = self.world.connection("greenhouse")
        body = {"action": "reject_candidate", "payload": {"application": _greenhouse(person, at)}}
        await visitor.deliver_greenhouse(
            self.world.http, there["webhook_url"], there["secret"], body, f"gh-{person.number}"
        )

    async def feedback_written(self, person: Person) -> None:
        """HR adds words for the candidate before the notice goes."""
        found = await self.world.application(person)
        if found is None:
            return
        path = f"/v1/company/notices?application_id={found['id']}"
        for notice in (await self.world.company.get(path))["data"]:
            await self.world.company.patch(
                f"/v1/company/notices/{notice['id']}", {"feedback": person.feedback}
            )

    async def acknowledged(self, person: Person, number: int) -> None:
        """The agency says that it has deleted what it held."""
        relay = await self.world.relay(person, number)
        if relay is not None:
            body = {"answer": "deleted", "at": utc_text(self.world.now)}
            await self.world.agency_says(number, relay, f"ack-{relay}", "withdrawal-ack", body)

    async def answered(self, person: Person) -> None:
        """The person decides on the form."""
        ids = [agency["id"] for agency in self.world.demo["agencies"]]
        chosen = {"both": set(ids), "first": {ids[0]}, "second": {ids[1]}, "decline": None}
        async with Browser() as browser:
            if not await self.afterwards.to_form(browser, person):
                return
            form = str(browser.page.url)
            if person.sends_file:
                await self.afterwards.send_file(browser, person)
            await visitor.answer_form(browser.http, form, agencies=chosen[person.answer])

    async def withdrew(self, person: Person) -> None:
        """The person takes everything back."""
        link = await self.world.link(person.email, "/c/", subject="控え")
        if link is not None:
            async with Browser() as browser:
                await visitor.withdraw(browser.http, link)

    async def reported(self, person: Person, number: int, kind: str, at: datetime) -> None:
        """The agency tells how far it has come; having accepted, it reads the package."""
        relay = await self.world.relay(person, number)
        if relay is None:
            return
        if kind == "accepted":
            await self.afterwards.read_by_agency(number, relay)
        await self.world.agency_says(
            number, relay, f"{kind}-{relay}", "events", {"type": kind, "at": utc_text(at)}
        )

    async def declined(self, person: Person, number: int) -> None:
        """The agency has nothing to offer."""
        relay = await self.world.relay(person, number)
        if relay is not None:
            body = {
                "type": "declined",
                "reason": "out_of_scope",
                "at": utc_text(self.world.now),
            }
            await self.world.agency_says(number, relay, f"declined-{relay}", "events", body)

    async def placed(self, person: Person, number: int, started: datetime) -> None:
        """The person starts somewhere."""
        relay = await self.world.relay(person, number)
        if relay is not None:
            day = started.astimezone(TOKYO).date().isoformat()
            body = {"started_on": day, "employment_term": "permanent", "attestation": True}
            await self.world.agency_says(number, relay, f"placed-{relay}", "placement", body)

    async def no_news(self, person: Person, number: int, months: int) -> None:
        """The agency says that nothing has changed."""
        relay = await self.world.relay(person, number)
        if relay is not None:
            await self.world.agency_says(number, relay, f"status-{months}-{relay}", "status", None)

    async def started_later(self, person: Person, number: int, started: datetime) -> None:
        """The first day was told wrongly."""
        placement = await self._placement(person, number)
        if placement is not None:
            day = (started.astimezone(TOKYO).date() + timedelta(days=1)).isoformat()
            await self.world.agencies[number].post(
                f"/v1/agency/placements/{placement}/corrections", {"started_on": day},
                key=f"history-corrected-{placement}",
            )  # fmt: skip

    async def left(self, person: Person, number: int, left: datetime) -> None:
        """The person leaves within the guarantee."""
        placement = await self._placement(person, number)
        if placement is not None:
            day = left.astimezone(TOKYO).date().isoformat()
            await self.world.agencies[number].post(
                f"/v1/agency/placements/{placement}/early-leave", {"last_day_employed": day},
                key=f"history-left-{placement}",
            )  # fmt: skip

    async def _placement(self, person: Person, number: int) -> str | None:
        relay = await self.world.relay(person, number)
        if relay is None:
            return None
        found = await self.world.agencies[number].get(f"/v1/agency/relays/{relay}")
        return str(found["placement_id"]) if found["placement_id"] else None

    async def attested(self, number: int, month: datetime) -> None:
        """An agency's word for a month."""
        told = (month - timedelta(days=1)).strftime("%Y-%m")
        body = {"statement": True, "manager": "職業紹介責任者"}
        await self.world.agencies[number].post(
            f"/v1/agency/attestations/{told}", body, key=f"history-attested-{told}"
        )

    async def asked_for_a_correction(self) -> None:
        """An agency wants to give a credit by hand."""
        body = {
            "counterparty_id": self.world.demo["company"]["id"], "kind": "issue", "count": 1,
            "reason": "goodwill", "note": "ご契約の更新に伴う追加です。",
        }  # fmt: skip
        await self.world.agencies[0].post("/v1/agency/adjustments", body, key="history-correction")

    async def opened_a_dispute(self) -> None:
        """An agency does not agree with a start."""
        placed = (await self.world.agencies[0].get("/v1/agency/placements?state=placed"))["data"]
        if not placed:
            return
        body = {
            "counterparty_id": self.world.demo["company"]["id"], "subject": "placement",
            "placement_id": placed[0]["id"], "reason": "wrong_start",
            "note": "入社日の記録が当社の控えと異なるため、確認をお願いします。",
        }  # fmt: skip
        await self.world.agencies[0].post("/v1/agency/disputes", body, key="history-dispute")

    async def reserved(self, opening: str, used: bool, at: datetime) -> None:  # noqa: FBT001
        """HR reserves a credit for an opening, and uses it."""
        body = {"agency_id": self.world.demo["agencies"][0]["id"], "opening": opening}
        made = await self.world.company.post(
            "/v1/company/credits/reservations", body, key=f"history-reserve-{at:%Y%m%d}"
        )
        if made.status_code == httpx2.codes.CREATED and used:
            path = f"/v1/company/credits/reservations/{made.json()['id']}/use"
            day = at.astimezone(TOKYO).date().isoformat()
            await self.world.company.post(path, {"hired_on": day}, key=f"history-use-{at:%Y%m%d}")

    async def _deliver(self, kind: str, person: Person, at: datetime, more: dict[str, Any]) -> None:
        name = f"msg_{person.external_id}_{kind.replace('.', '_')}"
        await self.world.deliver(kind, at, {**_facts(person, kind), **more}, name=name)


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
