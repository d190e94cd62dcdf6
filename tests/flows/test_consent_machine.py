"""Any story of a consent, against a small model in memory and against the rows themselves.

The five invariants of the domain rules 5.5 and C1 to C12 of the consent rules 23, after every step.
"""

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from datetime import timedelta
from urllib.parse import urlsplit

import asyncpg
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from joserfc import jwe
from joserfc.jwk import ECKey
from sqlalchemy import update
from sqlmodel import col, select

from api.app import create_app
from api.clock import Clock
from api.runtime import Runtime
from domain import consent_text
from domain.agency import Agency
from domain.application import Application
from domain.candidate import Candidate
from domain.company import Company
from domain.consent import ConsentEvent, ConsentTextEnd, broken_at
from domain.errors import Gone
from domain.flows.consent.acknowledge_stop import acknowledge_stop
from domain.flows.consent.keep_consent import Answer as Said
from domain.flows.consent.record_consent import decline, give
from domain.flows.consent.renew_consent import renew
from domain.flows.consent.withdraw_consent import withdraw
from domain.flows.person import change_person
from domain.flows.person import hold as holds
from domain.flows.person.correct_profile import correct_profile
from domain.flows.person.keep_file import keep_file
from domain.flows.person.restrict_person import lift, restrict
from domain.flows.relay.ask_gate import ask_gate
from domain.flows.relay.manage_endpoint import EndpointWish, register_endpoint
from domain.flows.ways_in.invite import invite_again
from domain.flows.ways_in.open_candidate_link import agencies_offered, open_candidate_link
from domain.flows.ways_in.stop_invitations import stop_invitations
from domain.ids import new_id
from domain.notice import Notice
from domain.relay import Relay as RelayRow
from domain.store import lock
from domain.views.my_data import my_data
from tests.applications import an_application
from tests.conftest import START, _admin, api_client, own_database, settings_for
from tests.documents import pdf
from tests.factories import make_world, work
from tests.flows.consent_facts import what_must_never_be
from tests.flows.consent_model import LEASE, LINK, OPEN, Model, Record, Relay, day_of
from tests.relays import PROFILE, Answer, receiver

WHICH = st.integers(min_value=0, max_value=5)
AGENCIES = st.sampled_from([(0,), (1,), (0, 1)])
MORE = ("phone", "name_kana", "desired_job", "resume_file")
ITEMS = st.sets(st.sampled_from(MORE)).map(lambda more: frozenset({"name", "email", *more}))
LATER = st.sampled_from(
    [timedelta(minutes=5), timedelta(minutes=31), timedelta(days=1), timedelta(days=9),
     timedelta(days=36)]
)  # fmt: skip
OPENINGS = ["read", "placed", "merged", "restricted", "renewed"]
EXAMPLES, STEPS = 10, 40
KEY = ECKey.generate_key("P-256")


class Standing(Clock):
    """A clock that stands still until it is moved: a story is the same whenever it is told."""

    def __call__(self):
        return START + self.offset


class Stories(RuleBasedStateMachine):
    """A few people, a company, an agency that is told and reads, one that is handed sealed data."""

    runner: asyncio.Runner
    runtime: Runtime
    app: FastAPI
    fresh_database = None
    steps_done = 0
    seen: dict[str, int]

    def run(self, step):
        return self.runner.run(step)

    @property
    def now(self):
        return self.runtime.clock()

    def there(self):
        return self.runtime.database.transaction(company_id=self.world.company.id)

    def at_agency(self, number):
        return self.runtime.database.transaction(agency_id=self.world.agencies[number].id)

    @initialize(opening=st.sampled_from(OPENINGS))
    def begin(self, opening):
        Stories.seen[opening] += 1
        self.model, self.got, self.links, self.read_files = Model(), set(), [], 0
        self.started: set[int] = set()
        self.evidence: dict[str, list[str]] = {}
        self.run(self._begin())
        # Every story begins with something handed over, and with somebody who has said nothing.
        self.somebody()
        self.consents(0, (0, 1), frozenset({"name", "email", *MORE}), frozenset({"name", "email"}))
        self.time_passes(timedelta(minutes=31))
        self.reads_the_packages(0, opens=True)
        self.somebody()
        if opening == "placed":
            self.reports(0, "placed")
            self.withdraws(0, 0)
            self.consents(0, (0,), frozenset({"name", "email"}), frozenset())
            self.time_passes(timedelta(minutes=31))
            self.reads_the_packages(0, opens=False)
        elif opening == "merged":
            self.consents(1, (0,), frozenset({"name", "email"}), frozenset())
            self.finds_two_to_be_one(0, 1)
        elif opening == "restricted":
            self.has_it_stopped(1, "provision")
            self.finds_two_to_be_one(0, 1)
        elif opening == "renewed":
            self.goes_on(0, 0, None)
            self.reads_the_packages(0, opens=True)
            self.reads_the_feed(0)

    async def _begin(self):
        url = await self.fresh_database()
        self.runtime.clock.offset = timedelta()
        self.world = await make_world(self.runtime)
        self.numbers = {one.id: n for n, one in enumerate(self.world.agencies)}
        dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self.owner = await asyncpg.connect(dsn)
        self.doors = AsyncExitStack()
        self.apis = [
            await self.doors.enter_async_context(
                api_client(self.runtime, credentials, app=self.app)
            )
            for credentials in self.world.agency_clients
        ]
        self.ear = await self.doors.enter_async_context(receiver())
        for number, more in enumerate(
            ({}, {"payload_mode": "sealed", "encryption_key": KEY.as_dict(private=False)})
        ):
            async with self.at_agency(number) as db:
                await register_endpoint(
                    db, self.runtime.tools.sealer, self.world.agencies[number].id,
                    EndpointWish(self.ear.url, **more), self.now,
                )  # fmt: skip

    def teardown(self):
        if hasattr(self, "owner"):
            self.run(self._end())

    async def _end(self):
        await self.doors.aclose()
        await self.owner.close()
        await self.runtime.database.engine.dispose()

    def tick(self):
        self.runtime.clock.offset += timedelta(seconds=1)

    def pick(self, found, number):
        return found[number % len(found)] if found else None

    # People, and what they say

    @precondition(lambda self: len(self.model.records) < 4)
    @rule()
    def somebody(self):
        """Somebody who was turned down, with a document; nobody knows yet who they are."""
        self.tick()
        record = self.run(self._somebody())
        self.model.records[record.id] = record

    async def _somebody(self):
        application = await an_application(
            self.runtime, self.world, profile=dict(PROFILE), outcome="rejected", stage="二次面接"
        )
        async with self.there() as db:
            candidate = await db.get_one(
                Candidate, (self.world.company.id, application.candidate_id)
            )
            await keep_file(
                db, self.runtime.tools, candidate, "resume_file", pdf(), name="a.pdf", now=self.now
            )
        return Record(
            application.candidate_id, PROFILE["desired_job"], root=application.candidate_id
        )

    async def form(self, record):
        """A link to a form about another application, asked for on the own page."""
        application = await self._applied(record)
        async with self.there() as db:
            company = await db.get_one(Company, self.world.company.id)
            there = await db.get_one(Application, (company.id, application))
            url = await invite_again(db, self.runtime.tools, company, there, self.now)
        return application, url.rpartition("/")[2]

    async def _applied(self, record):
        now = self.now
        async with self.there() as db:
            made = Application(
                company_id=self.world.company.id, id=new_id("app"), external_id=new_id("A"),
                job_title="経理", candidate_id=record.id, source="company_site",
                outcome="rejected", outcome_at=now, created_at=now,
            )  # fmt: skip
            db.add(made)
            await db.flush()
            db.add(
                Notice(
                    company_id=made.company_id, id=new_id("ntc"), application_id=made.id,
                    candidate_id=record.id, kind="rejected", state="sent", sent_at=now,
                    created_at=now,
                )
            )  # fmt: skip
            return made.id

    async def said(self, step, token, choices, submission_id):
        """Answer the form, or the page that asks whether it shall go on, with these ticks."""
        async with self.runtime.database.transaction() as db:
            opened = await open_candidate_link(db, token)
            agencies = await agencies_offered(db, opened.company, self.now)
            statement = consent_text.build(opened.company, agencies, ["name", "email", *MORE], "ja")
            answer = Said(
                submission_id,
                {self.world.agencies[one].id: sorted(items) for one, items in choices.items()},
            )
            return await step(db, self.runtime.tools, opened, statement, answer, now=self.now)

    def offered(self, agencies):
        return [one for one in agencies if self.model.agencies[one].licensed]

    @rule(number=WHICH, agencies=AGENCIES, items=ITEMS, other=ITEMS)
    def consents(self, number, agencies, items, other):
        record, agencies = self.pick(self.model.roots(), number), self.offered(agencies)
        if record is None or not agencies:
            return
        self.tick()
        choices = dict(zip(agencies, (items, other), strict=False))
        _, token = self.run(self.form(record))
        submission = new_id("s").replace("_", "-")
        if record.restricted == "all":
            with pytest.raises(Gone) as refused:
                self.run(self.said(give, token, choices, submission))
            assert refused.value.code == "not_eligible"
            return
        assert self.run(self.said(give, token, choices, submission)) is True
        assert self.run(self.said(give, token, choices, submission)) is False  # C12
        record.restricted = None  # whoever agrees anew has changed their mind
        for agency, chosen in choices.items():
            self.model.gives(record, agency, chosen, self.now)
        self.run(self.learn_relays())
        if len(self.model.person(record.id)) > 1:
            self.time_passes(timedelta(seconds=1))

    @rule(number=WHICH)
    def declines(self, number):
        record = self.pick(self.model.roots(), number)
        if record is None or not self.offered((0, 1)):
            return
        self.tick()
        _, token = self.run(self.form(record))
        assert self.run(self.said(decline, token, {}, new_id("s").replace("_", "-"))) is True
        record.asked = True

    @rule(number=WHICH, agency=st.sampled_from([0, 1]), items=st.none() | ITEMS)
    def goes_on(self, number, agency, items):
        """Renew as it is (no items named), or with other items; where it stands, that is."""
        record = self.pick(self.model.roots(), number)
        if record is None or not self.offered((agency,)):
            return
        self.tick()
        _, token = self.run(self.form(record))
        yes = self.model.yes.get((record.id, agency))
        stands = yes is not None and yes.state == "given" and self.now < yes.ends
        choices = {agency: items or (yes.items if stands else frozenset({"name", "email"}))}
        submission = new_id("s").replace("_", "-")
        if not stands:
            with pytest.raises(Gone) as refused:
                self.run(self.said(renew, token, choices, submission))
            assert refused.value.code == "consent_ended"
            return
        assert self.run(self.said(renew, token, choices, submission)) is True
        self.model.gives(record, agency, choices[agency], self.now)
        self.run(self.learn_relays())
        if len(self.model.person(record.id)) > 1:
            self.time_passes(timedelta(seconds=1))

    @rule(number=WHICH, agency=st.sampled_from([None, 0, 1]))
    def withdraws(self, number, agency):
        record = self.pick(self.model.roots(), number)
        if record is None:
            return
        self.tick()

        async def take_back():
            async with self.there() as db:
                chosen = None if agency is None else [self.world.agencies[agency].id]
                return await withdraw(
                    db, self.runtime.tools, await self.row(db, record), chosen, self.now
                )

        ended = self.model.withdraws(record.id, agency, self.now)
        assert bool(self.run(take_back())) == bool(ended)
        assert self.run(take_back()) == []

    async def row(self, db, record):
        return await db.get_one(Candidate, (self.world.company.id, record.id))

    @rule(number=WHICH)
    def wants_no_more_mails(self, number):
        """It stops invitations and changes no consent."""
        record = self.pick(self.model.roots(), number)
        if record is None or not self.offered((0, 1)):
            return
        self.tick()
        _, token = self.run(self.form(record))

        async def stop():
            async with self.runtime.database.transaction() as db:
                await stop_invitations(db, token, self.now)

        self.run(stop())

    @rule(number=WHICH, wish=st.sampled_from(["法人営業", "経理", "設計"]))
    def corrects(self, number, wish):
        record = self.pick(self.model.roots(), number)
        if record is None:
            return
        self.tick()

        async def correct():
            async with self.there() as db:
                return await correct_profile(
                    db, self.runtime.tools, await self.row(db, record), {"desired_job": wish},
                    self.now,
                )  # fmt: skip

        changed = ["desired_job"] if wish != record.wish else []
        assert self.run(correct()) == changed
        record.wish = wish
        self.model.corrects(record.id, set(changed), self.now)

    @rule(number=WHICH, scope=st.sampled_from(["provision", "all"]))
    def has_it_stopped(self, number, scope):
        """A rights request: from now on nothing; or, once it was refused, as before."""
        record = self.pick(self.model.roots(), number)
        if record is None:
            return
        self.tick()
        mine = self.model.person(record.id)
        restricted = any(one.restricted for one in mine)

        async def ask():
            async with self.there() as db:
                row = await self.row(db, record)
                if restricted:
                    await lift(db, row, self.now)
                else:
                    await restrict(db, self.runtime.tools, row, scope=scope, now=self.now)

        self.run(ask())
        for one in mine:
            wider = "all" if "all" in {scope, one.restricted} else scope
            one.restricted = None if restricted else wider
        if not restricted:
            self.model.withdraws(record.id, None, self.now)

    @precondition(lambda self: len(self.model.relays) > 1)
    @rule(number=WHICH)
    def is_erased(self, number):
        record = self.pick(self.model.roots(), number)
        if record is None:
            return
        self.tick()

        async def erase():
            async with self.there() as db:
                return await change_person.delete(
                    db, self.runtime.tools, await self.row(db, record), self.now,
                    rule="request", actor="candidate",
                )  # fmt: skip

        erased = self.model.erases(record.id, self.now)
        assert (self.run(erase()) is not None) == erased
        assert self.run(erase()) is None

    # The company

    @rule(number=WHICH)
    def holds_or_releases(self, number):
        record = self.pick(self.model.roots(), number)
        if record is None:
            return
        self.tick()
        mine = {one.id for one in self.model.person(record.id)}
        held = next((one for one, whose in self.model.holds.items() if whose in mine), None)

        async def change():
            async with self.there() as db:
                if held is not None:
                    await holds.release(
                        db, self.world.company.id, held, actor="mem_1", now=self.now
                    )
                    return held
                made = await holds.hold(
                    db, self.runtime.tools, await self.row(db, record), reason="訴訟のため",
                    actor="mem_1", now=self.now,
                )  # fmt: skip
                return made.id

        hold_id = self.run(change())
        if held is None:
            self.model.holds[hold_id] = record.id
        else:
            del self.model.holds[hold_id]

    @precondition(lambda self: len(self.model.roots()) > 1)
    @rule(one=WHICH, other=WHICH)
    def finds_two_to_be_one(self, one, other):
        roots = self.model.roots()
        absorbed, survivor = self.pick(roots, one), self.pick(roots, other)
        if absorbed is survivor:
            return
        self.tick()
        self.time_passes(timedelta(seconds=1))
        if absorbed.erased or survivor.erased:
            return

        async def merge():
            async with self.there() as db:
                kept = await change_person.merge(
                    db, self.runtime.tools,
                    await lock(db, Candidate, self.world.company.id, absorbed.id),
                    await lock(db, Candidate, self.world.company.id, survivor.id),
                )  # fmt: skip
                return kept.id

        kept = self.model.records[self.run(merge())]
        other = absorbed if kept is survivor else survivor
        assert kept is survivor or (absorbed.asked and not survivor.asked)
        wish, changed = survivor.wish, survivor.wish != kept.wish
        for record in self.model.person(other.id):
            record.root = kept.id
        if other.restricted and kept.restricted != "all":
            kept.restricted = other.restricted
        kept.wish = wish
        if changed:
            self.model.corrects(kept.id, {"desired_job"}, self.now)
        self.time_passes(timedelta(seconds=1))

    @rule(number=WHICH)
    def takes_the_decision_back(self, number):
        """And says no again: what waits, waits; what was handed over goes on."""
        relay = self.pick(list(self.model.relays.values()), number)
        if relay is None:
            return
        self.tick()
        reverted = relay.application in self.model.reverted

        async def change():
            async with self.there() as db:
                await db.execute(
                    update(Application)
                    .where(col(Application.id) == relay.application)
                    .values(outcome="rejected" if reverted else "active")
                )

        self.run(change())
        self.model.reverted ^= {relay.application}

    @precondition(lambda self: len(self.model.relays) > 5 and not self.model.text_ended)
    @rule()
    def ends_the_text(self):
        """The wording was wrong: nothing rests on it from today on."""
        self.tick()
        self.run(self.end_text())
        self.model.text_ended = True

    async def end_text(self):
        async with self.there() as db:
            db.add(
                ConsentTextEnd(
                    company_id=self.world.company.id, id=new_id("cte"),
                    version=consent_text.VERSION, ends_on=day_of(self.now), reason="wrong",
                    set_by="mem_1", created_at=self.now,
                )
            )  # fmt: skip

    # The agencies

    @rule(agency=st.sampled_from([0, 1]), what=st.sampled_from(["name", "purpose"]))
    def becomes_another(self, agency, what):
        self.tick()
        self.model.agencies[agency].known_as += 1
        self.run(self.set_agency(agency, **{what: f"別の{self.model.agencies[agency].known_as}"}))

    async def set_agency(self, number, **values):
        async with self.at_agency(number) as db:
            await db.execute(
                update(Agency).where(col(Agency.id) == self.world.agencies[number].id)
                .values(**values)
            )  # fmt: skip

    @rule(agency=st.sampled_from([0, 1]))
    def loses_or_regains_its_licence(self, agency):
        self.tick()
        there = self.model.agencies[agency]
        there.licensed = not there.licensed
        self.run(self.set_agency(agency, state="active" if there.licensed else "suspended"))

    @rule(number=WHICH, answer=st.sampled_from(["deleted", "kept_register", "corrected"]))
    def answers_a_stop(self, number, answer):
        stop = self.pick([one for one in self.model.stops if not one.answered], number)
        if stop is None or (answer == "corrected" and stop.kind != "corrected"):
            return
        self.tick()

        async def acknowledge():
            async with self.runtime.database.transaction() as db:
                return await acknowledge_stop(
                    db, self.world.agencies[stop.relay.yes.agency].id, stop.relay.id, answer,
                    at=None, now=self.now,
                )  # fmt: skip

        self.run(acknowledge())
        for one in self.model.stops:
            if one.relay is stop.relay and (answer != "corrected" or one.kind == "corrected"):
                one.answered = True

    @rule(number=WHICH, what=st.sampled_from(["accepted", "declined", "closed", "placed"]))
    def reports(self, number, what):
        found = [one for one in self.model.relays.values() if one.state in OPEN]
        relay = self.pick(found, number)
        if relay is None or (what == "declined" and relay.state != "forwarded"):
            return
        self.tick()
        body = {"type": what, "at": self.now.isoformat().replace("+00:00", "Z")}
        place = f"/v1/agency/relays/{relay.id}/events"
        if what == "declined":
            body["reason"] = "out_of_scope"
        if what == "placed":
            body = {
                "started_on": day_of(self.now).isoformat(), "employment_term": "permanent",
                "attestation": True,
            }  # fmt: skip
            place = f"/v1/agency/relays/{relay.id}/placement"
        answer = self.run(self.apis[relay.yes.agency].post(place, json=body))
        if what == "placed" and relay.yes.agency in self.started:
            # All have one address: to an agency they are one person, who starts once.
            assert answer.json()["code"] == "placement_exists"
            return
        assert answer.status_code in {200, 201}, answer.text
        self.started |= {relay.yes.agency} if what == "placed" else set()
        relay.state = answer.json()["state"]

    # Reading

    @rule(number=WHICH, opens=st.booleans())
    def reads_the_packages(self, number, opens):
        """An agency asks for all it was ever given, and may open the documents at once."""
        agency = number % 2
        self.tick()
        for relay in [one for one in self.model.relays.values() if one.yes.agency == agency]:
            self.reads_a_package(relay)
        if opens:
            for link in [one for one in self.links if one[2] == self.now]:
                self.opens(link)

    def reads_a_package(self, relay):
        answer = self.run(self.apis[relay.yes.agency].get(f"/v1/agency/relays/{relay.id}/package"))
        if not relay.out:
            assert answer.status_code == 404
        elif answer.status_code == 200:
            self.handed_over(relay, answer.json())
        else:
            self.refused(relay, answer.json()["code"], answer.status_code)
        Stories.seen[f"package {answer.status_code}"] += 1

    @rule(agency=st.sampled_from([0, 1]))
    def reads_the_feed(self, agency):
        self.tick()
        answer = self.run(
            self.apis[agency].get("/v1/agency/feed", params={"include": "package", "limit": 1000})
        )
        lines = {one["relay_id"]: one for one in answer.json()["data"]}
        forwarded = {
            one.id for one in self.model.relays.values()
            if one.out and one.yes.agency == agency
        }  # fmt: skip
        assert set(lines) == forwarded
        for relay_id, line in lines.items():
            relay = self.model.relays[relay_id]
            if line["type"] == "relay.removed":
                assert relay.stopped or relay.state in {"withdrawn", "expired"}
                assert "package" not in line or line["package"] is None
            elif line["package"] is not None:
                self.handed_over(relay, line["package"])
            else:
                self.refused(relay, line["package_unavailable"])
            Stories.seen["line"] += line.get("package") is not None

    @rule(number=WHICH)
    def opens_a_document(self, number):
        """By a link of a package, however old it is."""
        link = self.pick(self.links[::-1], number)
        if link is not None:
            self.tick()
            self.opens(link)

    def opens(self, link):
        relay, url, made_at, file_id = link
        answer = self.run(self.apis[relay.yes.agency].get(url))
        Stories.seen[f"document {answer.status_code}"] += 1
        if answer.status_code == 200:
            assert self.now < made_at + LINK
            assert not self.model.against(relay, self.now)
            assert "resume_file" in relay.yes.items
            relay.held.add("resume_file")
            self.read_files += 1
            return
        code = answer.json()["code"]
        if self.now >= made_at + LINK:
            assert code == "link_expired"
        elif self.model.against(relay, self.now):
            self.refused(relay, code)
        elif "resume_file" not in relay.yes.items:
            assert code == "not_found"
        else:
            removed = "SELECT removed_at IS NOT NULL FROM candidate_file WHERE id = $1"
            assert code == "file_removed"
            assert self.run(self.owner.fetchval(removed, file_id))

    def handed_over(self, relay, package):
        """What left may leave now, and holds what was agreed to and is right."""
        assert not self.model.against(relay, self.now) or self.model.unsure(relay, self.now)
        self.look_into(relay, package)

    def look_into(self, relay, package):
        yes = relay.yes
        told = package["candidate"]
        person = self.model.records[yes.record.root]
        assert set(told) == yes.items - {"resume_file"}
        assert told.get("desired_job", person.wish) == person.wish
        assert set(package["consent"]["data_items"]) == yes.items
        assert bool(package.get("files")) <= ("resume_file" in yes.items)
        assert package["relay_id"] == relay.id
        ends = min(self.now + LEASE, yes.ends)
        assert package["use_until"] == ends.isoformat().replace("+00:00", "Z")
        relay.held |= set(told)
        self.got.add(package["package_id"])
        for file in package.get("files", []):
            address = urlsplit(file["url"])
            self.links.append((relay, f"{address.path}?{address.query}", self.now, file["id"]))

    def refused(self, relay, code, status=None):
        against = self.model.against(relay, self.now)
        if self.model.unsure(relay, self.now):
            against |= {"acknowledgement_overdue"}
        assert code in against
        if status is not None:
            gone = code in {"relay_ended", "candidate_erased"} or code.startswith("consent_")
            assert status == (410 if gone else 403)

    # Time

    @rule(by=LATER)
    def time_passes(self, by):
        """Timers and jobs run: relays go out, messages are sent, consents and patience end."""
        self.runtime.clock.offset += by
        self.passed()

    @rule(number=WHICH, late=st.booleans())
    def it_comes_to_the_edge(self, number, late):
        """A second before the grace or the consent ends, or the very moment."""
        edges = sorted(
            {edge for yes in self.model.yes.values() for edge in (yes.free_from, yes.ends)
             if self.now + timedelta(seconds=1) < edge}
        )  # fmt: skip
        edge = self.pick(edges, number)
        if edge is None:
            return
        self.runtime.clock.offset += edge - self.now - timedelta(seconds=0 if late else 1)
        self.passed()

    @rule()
    def a_delivery_fails(self):
        """The next webhook is not taken: it is tried again, with what is true then."""
        self.ear.answers.append(Answer(status=500))

    def passed(self):
        now, model = self.now, self.model
        against = {one.id: model.against(one, now) for one in model.relays.values()}
        unsure = {one.id: model.unsure(one, now) for one in model.relays.values()}
        heard = len(self.ear.received)
        due = self.run(self.waiting())
        self.run(work(self.runtime))
        model.looked_at = now
        self.run(self.learn_relays())
        found = self.run(self.relay_rows())
        for row in found:
            relay = model.relays[row["id"]]
            if row["forwarded_at"] is not None and not relay.out:
                assert not against[relay.id] or unsure[relay.id]
                relay.out, relay.state = True, "forwarded"
                Stories.seen["forwarded"] += 1
            elif relay.id in due and not relay.out and not against[relay.id]:
                assert row["reason"] == "duty_missed", "nothing was against it"
        for one in self.ear.received[heard:]:
            self.was_sent(one.json["data"], against)
        self.superseded(against)
        model.expires(now)
        model.joins()
        self.forgotten()

    async def waiting(self):
        """What a look is due for now."""
        found = await self.owner.fetch(
            "SELECT id FROM relay WHERE state = 'queued' AND forward_at <= $1", self.now
        )
        return {row[0] for row in found}

    async def relay_rows(self):
        return await self.owner.fetch("SELECT * FROM relay ORDER BY id")

    def was_sent(self, data, against):
        if "package" not in data:
            return
        relay = self.model.relays[data["relay_id"]]
        package = json.loads(jwe.decrypt_compact(data["package"], KEY).plaintext)
        assert relay.yes.agency == 1
        assert not against[relay.id] - {"decision_reverted"} or self.model.unsure(relay, self.now)
        self.look_into(relay, package)
        Stories.seen["sealed"] += 1

    def superseded(self, against):
        """A relay that waited for a consent to something else has ended with it."""
        states = "SELECT candidate_id, agency_id FROM consent WHERE state = 'superseded'"
        for candidate_id, agency_id in self.run(self.owner.fetch(states)):
            yes = self.model.yes[candidate_id, self.numbers[agency_id]]
            if yes.state != "given":
                continue
            changed = {"recipient_changed", "text_ended"}
            waiting = [one for one in self.model.relays_of(yes) if one.state == "queued"]
            if any(changed & against[one.id] for one in waiting):
                self.model.ends(yes, "superseded")

    def forgotten(self):
        """Whose time was over: no consent stands and half a year has passed, or the like."""
        rows = self.run(
            self.owner.fetch("SELECT candidate_id, rule FROM erasure WHERE key_kind = 'profile'")
        )
        for candidate_id, why in rows:
            record = self.model.records[candidate_id]
            if not record.erased:
                assert why == "retention"
                assert all(one.state != "given" for one in self.model.of([record]))
                assert self.model.erases(record.id, self.now, told=False)

    async def learn_relays(self):
        """New relays: of a consent that was just given, and of nothing else."""
        for row in await self.relay_rows():
            if row["id"] not in self.model.relays:
                agency = self.numbers[row["agency_id"]]
                self.model.relays[row["id"]] = Relay(
                    row["id"], self.model.yes[row["candidate_id"], agency], row["application_id"]
                )

    # What must hold after every step

    @invariant()
    def the_rows_hold_nothing_that_must_never_be(self):
        if hasattr(self, "model"):
            Stories.steps_done += 1
            assert self.run(what_must_never_be(self.owner)) == {}

    @invariant()
    def the_gate_and_the_model_say_the_same(self):
        if not hasattr(self, "model"):
            return
        answers = self.run(self.gate())
        for relay in self.model.relays.values():
            against, code = self.model.against(relay, self.now), answers[relay.id]
            if self.model.unsure(relay, self.now):
                against |= {code} & {"acknowledgement_overdue"}
            assert code in against if against else code is None, (relay.id, code, against)

    async def gate(self):
        found = {}
        async with self.there() as db:
            for relay in (await db.scalars(select(RelayRow))).all():
                found[relay.id] = (await ask_gate(db, relay, self.now))[1]
        return found

    @invariant()
    def rows_and_model_tell_the_same_story(self):
        if not hasattr(self, "model"):
            return
        self.run(self.compare())

    async def compare(self):
        model = self.model
        consents = await self.owner.fetch("SELECT * FROM consent")
        told = {
            (row["candidate_id"], self.numbers[row["agency_id"]]): (
                row["state"], frozenset(json.loads(row["items"])), row["expires_at"],
                row["provision_not_before"],
            )
            for row in consents
        }  # fmt: skip
        assert len(told) == len(consents)  # C5
        assert told == {
            key: (yes.state, yes.items, yes.ends, yes.free_from) for key, yes in model.yes.items()
        }
        states = {row["id"]: row["state"] for row in await self.relay_rows()}
        for relay_id, relay in model.relays.items():
            later = {"guaranteed"} if relay.state == "placed" else set()
            assert states[relay_id] in {relay.state, *later}
            relay.state = states[relay_id]
        stops = await self.owner.fetch("SELECT relay_id, kind, state FROM stop_notice")
        assert sorted((row[0], row[1], row[2] == "acknowledged") for row in stops) == sorted(
            (one.relay.id, one.kind, one.answered) for one in model.stops
        )
        erased = await self.owner.fetch("SELECT id FROM candidate WHERE erased_at IS NOT NULL")
        assert {row[0] for row in erased} == {
            one.id for one in model.records.values() if one.erased
        }

    @invariant()
    def every_hand_over_is_on_record_and_shown(self):
        """C4, and 5.5.5: a row for each read and a read for each row, all on the person's page."""
        if not hasattr(self, "model"):
            return
        self.run(self.recorded())

    async def recorded(self):
        rows = await self.owner.fetch("SELECT id, provision_id FROM file_access")
        assert len(rows) == self.read_files
        known = await self.owner.fetch(
            "SELECT p.id, coalesce(c.merged_into_id, c.id) AS root FROM provision p"
            " JOIN candidate c ON c.id = p.candidate_id"
        )
        assert {row["id"] for row in known} == self.got | {row["provision_id"] for row in rows}
        async with self.there() as db:
            for root in {row["root"] for row in known}:
                shown = await my_data(db, await self.row(db, self.model.records[root]))
                assert {one.id for agency in shown for one in agency.provisions} == {
                    row["id"] for row in known if row["root"] == root
                }

    @invariant()
    def the_evidence_stays_what_it_was(self):
        """Nothing is taken out or changed, and each hash is of what the row says."""
        if not hasattr(self, "model"):
            return
        chains = self.run(self.chains())
        for record_id, chain in chains.items():
            assert broken_at(chain) is None
            hashes = [event.hash for event in chain]
            before = self.evidence.get(record_id, [])
            assert hashes[: len(before)] == before
            self.evidence[record_id] = hashes

    async def chains(self):
        found: dict[str, list[ConsentEvent]] = {}
        async with self.there() as db:
            wanted = select(ConsentEvent).order_by(col(ConsentEvent.seq))
            for event in (await db.scalars(wanted)).all():
                found.setdefault(event.candidate_id, []).append(event)
        return found


def test_no_story_leads_around_a_consent(server, template, worker_id):
    name = f"relay_consents_{worker_id}"
    url = server.set(database=name, drivername="postgresql+asyncpg")
    Stories.fresh_database = staticmethod(lambda: own_database(server, template, name))
    Stories.runtime = Runtime.build(settings_for(url), Standing())
    Stories.app = create_app(Stories.runtime)
    Stories.steps_done, Stories.seen = 0, Counter()
    with asyncio.Runner() as runner:
        Stories.runner = runner
        run_state_machine_as_test(
            Stories,
            settings=settings(
                max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None,
                suppress_health_check=list(HealthCheck), derandomize=True, database=None,
                phases=(Phase.generate,),
            ),
        )  # fmt: skip
    asyncio.run(_admin(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))

    assert Stories.steps_done >= 200
    assert set(Stories.seen) >= {
        "forwarded", "sealed", "package 200", "document 200", "line", *OPENINGS,
    }  # fmt: skip
