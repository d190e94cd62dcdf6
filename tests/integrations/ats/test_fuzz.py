"""Whatever arrives, an adapter understands it or says that it does not; it never guesses.

Bodies are the recorded ones of every system, changed at will; so are the facts its API answers
with, which are made by asking a stub of it (`tests/systems.py`) in every state of a story.
"""

import asyncio
import copy
import functools
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.ports import Incoming, Unreadable, VendorMissing, Window
from integrations.ats import ADAPTERS, APIS
from tests.deliveries import SAMPLES, interview, person, rejection, view
from tests.systems import SYSTEMS
from tests.vendors import api_of, vendor_stub

NOW = datetime(2026, 6, 2, 1, 0, tzinfo=UTC)
KINDS = {
    "interview.scheduled", "interview.completed", "application.rejected",
    "application.rejection_reverted", "application.withdrawn", "application.hired",
    "candidate.deleted", "candidate.merged",
}  # fmt: skip
THIN = {"lever", "smartrecruiters", "teamtailor", "icims", "zoho-recruit"}
"""Their deliveries are but hints: ids alone never make an event, but for a deletion."""
ROUNDS = settings(max_examples=150, deadline=None)

# ---- what is mutated ------------------------------------------------------------------------

STANDARD = [
    {"type": kind, "timestamp": NOW.isoformat(), "data": data}
    for kind, data in (
        ("application.rejected", {**person(), **rejection(NOW)}),
        ("application.withdrawn", {**person(), **rejection(NOW, "candidate")}),
        ("interview.completed", {**person(), **interview(NOW)}),
        ("candidate.deleted", {**person(), "deletion": {"kind": "deleted"}}),
        ("candidate.merged", {"candidate": {"external_id": "1", "merged_into_external_id": "2"}}),
    )
]
BODIES = {
    name: [json.loads(path.read_text()) for path in sorted((SAMPLES / name).glob("*.json"))]
    for name in ADAPTERS
} | {"standard-webhooks": STANDARD}
JSON_TYPES = ("application/cloudevents+json", "application/cloudevents-batch+json")
READ_WITH = {
    "smartrecruiters": [
        {"event-name": name, "smartrecruiters-timestamp": str(int(NOW.timestamp()))}
        for name in (
            "application.status.updated", "interview.created", "interview.canceled",
            "candidate.deleted",
        )
    ],
    "cloudevents": [
        *({"content-type": kind, "webhook-id": "m"} for kind in JSON_TYPES),
        {"content-type": "application/json", "webhook-id": "e-1", "ce-specversion": "1.0",
         "ce-id": "e-1", "ce-source": "/s", "ce-type": "com.acme.application.rejected",
         "ce-time": NOW.isoformat()},
    ],
    "teamtailor": [{}, {"tt-signature": "dD0xLHYyPTAw"}],
    "icims": [{}, {"content-encoding": "gzip"}],
}  # fmt: skip
"""What a reading depends on beside the body."""
SETTINGS = {"type_prefix": "com.acme.", "batched": True}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from([
        "\0", "\ud800", "2026-06-02T00:00:00Z", "2026-06-02T00:00:00", "0001-01-01T00:00:00+09:00",
        "9999-12-31T23:59:59-09:00", "company", "a@b.example", 10**30, -(10**15), 1e308, "",
        [{"value": "a@b.example"}], ["a@b.example"], {"value": "a@b.example"},
    ]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
HOSTILE = (
    b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"9" * 300, b"-0.0", b"true", b"[]", b"{}",
    b'"\\u0000"', b'"\\ud800"', b'"\xff"', b'{"a": 1, "a": 2}', b'"2026-06-02T00:00:00"',
    b'"2026-13-02T00:00:00Z"', b'[{"value": "a@b.example"}]', b'["a@b.example"]',
    b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
)  # fmt: skip
"""Values as bytes, many of which no JSON library of ours would write."""
DEEP = HOSTILE[-2:]
SLOT = "@@here@@"


def places(value, way=()):
    """Every place in a document."""
    if way:
        yield way
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, one in inner:
        yield from places(one, (*way, key))


def changed(body, way, value):
    """A copy with something else at that place."""
    body = copy.deepcopy(body)
    place = body
    for step in way[:-1]:
        place = place[step]
    place[way[-1]] = value
    return body


@st.composite
def mutated(draw, bodies):
    body = copy.deepcopy(draw(st.sampled_from(bodies)))
    for _ in range(draw(st.integers(1, 3))):
        ways = list(places(body))
        if not ways:
            return body
        *way, last = draw(st.sampled_from(ways))
        place = body
        for step in way:
            place = place[step]
        if draw(st.booleans()):
            place[last] = copy.deepcopy(draw(JSON))  # the samples among them are shared
        else:
            del place[last]
    return body


# ---- what must hold -------------------------------------------------------------------------


def judge(reading):
    """An event has what nobody may guess, and can be kept and shown."""
    for event in reading.events:
        json.dumps(event, ensure_ascii=False, allow_nan=False).encode()
        about = event["candidate" if event["type"].startswith("candidate.") else "application"]
        assert event["type"] in KINDS
        assert about["external_id"]
        assert "\0" not in event["dedupe_key"]
        assert event["occurred_at"].endswith("Z")
        if event["type"] == "application.rejected":
            assert event["rejection"]["initiated_by"] != "candidate"
        if event["type"].startswith("interview."):
            times = (event["interview"] or {}).get("starts_at"), event["occurred_at"]
            assert all(one is None or one.endswith("Z") for one in times)
    for aside in reading.asides:
        assert isinstance(aside.external_id, str)
        assert aside.external_id
    for word in reading.unmapped:
        assert word.id
        f"{word.id}{word.text}".encode()
    if reading.lookup is not None:
        json.dumps(dict(reading.lookup.about), allow_nan=False).encode()
    f"{reading.provider_event}".encode()


def check(provider, raw, headers=None):
    """Nothing but `Unreadable` is raised; hints alone say nothing but that somebody is gone."""
    found = Incoming(raw, headers or {}, NOW)
    (ADAPTERS[provider].delivery_id(found) or "").encode()
    try:
        reading = ADAPTERS[provider].read(found, view(settings=SETTINGS))
    except Unreadable as why:
        assert str(why).isidentifier()  # noqa: PT017 - both ways of ending have their rule
        return
    judge(reading)
    if provider in THIN:
        assert {event["type"] for event in reading.events} <= {"candidate.deleted"}
        assert reading.lookup is None or not reading.events


def check_facts(provider, facts, settings_of):
    """The same of what an API answered; facts have been kept as JSON before."""
    facts = json.loads(json.dumps(facts))
    for found in (Incoming(b"", {}, NOW), Incoming(b"{}", {}, NOW)):
        try:
            reading = APIS[provider].understand(facts, found, view(settings=settings_of), "poll")
        except Unreadable as why:
            assert str(why).isidentifier()  # noqa: PT017
        else:
            judge(reading)
            assert reading.lookup is None


def told_with(provider):
    return READ_WITH.get(provider, [{}])


# ---- deliveries -----------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ADAPTERS)
def test_recorded_bodies_are_there_and_are_read(provider):
    assert BODIES[provider]
    for body in BODIES[provider]:
        for headers in told_with(provider):
            check(provider, json.dumps(body).encode(), headers)


@pytest.mark.parametrize("provider", ADAPTERS)
@given(data=st.data())
@ROUNDS
def test_mutated_bodies(provider, data):
    body = data.draw(mutated(BODIES[provider]))
    headers = data.draw(st.sampled_from(told_with(provider)))
    batch = headers.get("content-type") == JSON_TYPES[1]
    check(provider, json.dumps([body] if batch else body).encode(), headers)


@pytest.mark.parametrize("provider", ADAPTERS)
def test_hostile_values_at_every_place(provider):
    for body in BODIES[provider]:
        for number, way in enumerate(places(body)):
            raw = json.dumps(changed(body, way, SLOT)).encode()
            for value in HOSTILE if number == 0 else HOSTILE[: -len(DEEP)]:
                for headers in told_with(provider):
                    check(provider, raw.replace(f'"{SLOT}"'.encode(), value), headers)


@pytest.mark.parametrize("provider", ADAPTERS)
def test_hostile_values_alone(provider):
    for value in (*HOSTILE, b"", b" ", b"\xef\xbb\xbf{}", b"{", b'{"a"', b"token=%ff&token=1",
                  b"&" * 1000, b"\x1f\x8b" + b"x" * 50):  # fmt: skip
        for headers in told_with(provider):
            check(provider, value, headers)


@pytest.mark.parametrize("provider", ADAPTERS)
@given(body=JSON, number=st.integers(0, 9))
@ROUNDS
def test_any_json(provider, body, number):
    headers = told_with(provider)
    check(provider, json.dumps(body).encode(), headers[number % len(headers)])


@pytest.mark.parametrize("provider", ADAPTERS)
@given(st.binary(max_size=200))
@ROUNDS
def test_any_bytes(provider, raw):
    check(provider, raw)


# ---- facts ----------------------------------------------------------------------------------


@functools.cache
def facts_of(provider):
    """Everything an API is asked for in a story, and the settings it is understood by."""
    return asyncio.run(_asked(provider))


async def _asked(provider):
    api = SimpleNamespace(**{**vars(APIS[provider]), "PER_SECOND": 1000.0})
    now, found = [NOW - timedelta(minutes=10)], []
    async with vendor_stub() as stub:
        system = SYSTEMS[provider](stub, lambda: now[0])
        told = system.told()["settings"]
        if provider == "bullhorn":
            system.queue("ats_1")
        async with api_of(api, stub, NOW, **told) as (client, connection):
            for step in (
                lambda: system.plan(NOW + timedelta(hours=1), NOW + timedelta(hours=2)),
                lambda: system.plan(NOW - timedelta(hours=2), NOW - timedelta(hours=1)),
                lambda: system.end("company"), system.revert, lambda: system.end("candidate"),
                system.delete,
            ):  # fmt: skip
                now[0] += timedelta(minutes=1)
                step()
                found += await _everything(api, client, connection, system)
    return found, told


async def _everything(api, client, connection, system):
    """A poll to its end, its nightly form, the interviews, and what deliveries ask for."""
    found = []
    for full in (False, True):
        window = Window(NOW - timedelta(days=1), NOW + timedelta(hours=1), full=full)
        page = await api.page(client, connection, window, None)
        found += page.facts
        while page.cursor is not None:
            page = await api.page(client, connection, window, json.loads(json.dumps(page.cursor)))
            found += page.facts
    questions = [{"kind": "interviews", "application_id": system.application_id}]
    for step in ("planned", "ended", "deleted"):
        system.connection = {"webhook_url": "http://relay.test/v1/ats/x/ats_1"}
        sent = _said(system, step)
        if sent is not None:
            reading = ADAPTERS[system.provider].read(Incoming(sent.body, sent.headers, NOW), view())
            questions += [] if reading.lookup is None else [reading.lookup.about]
    for about in questions:
        try:
            found.append(await api.look_up(client, connection, about))
        except VendorMissing:
            continue
    return [json.loads(json.dumps(one)) for one in found]


def _said(system, step):
    """What would be said of it now; about some things there is nothing to say yet, or any more."""
    here = {
        "planned": system.talk is not None and not system.gone, "ended": system.ended,
        "deleted": system.gone,
    }  # fmt: skip
    return system.delivery(step) if here[step] else None


@pytest.mark.parametrize("provider", APIS)
def test_facts_are_there_and_are_understood(provider):
    found, told = facts_of(provider)
    readings = [
        APIS[provider].understand(one, Incoming(b"", {}, NOW), view(settings=told), "poll")
        for one in found
        if one["kind"] != "reasons"
    ]
    kinds = {event["type"] for reading in readings for event in reading.events}

    assert kinds >= {"application.rejected", "application.withdrawn"}
    assert ("interview.completed" in kinds) is ("planned" not in SYSTEMS[provider].cannot)


@pytest.mark.parametrize("provider", APIS)
@given(data=st.data())
@ROUNDS
def test_mutated_facts(provider, data):
    found, told = facts_of(provider)
    facts = data.draw(mutated(found))
    try:
        json.dumps(facts, allow_nan=False)
    except ValueError:
        return  # the client lets no such number in
    if isinstance(facts, dict):
        check_facts(provider, facts, told)


@pytest.mark.parametrize("provider", APIS)
def test_wrong_types_at_every_place_of_the_facts(provider):
    found, told = facts_of(provider)
    seen = {json.dumps(one, sort_keys=True): one for one in found}
    for facts in list(seen.values())[:12]:
        for way in places(facts):
            for value in (
                None, True, 7, 10**30, -(10**16), 1.5, "", "\0", "\ud800", "x", [], [None], {},
                [[]], {"id": {}}, "2026-06-02T00:00:00", "9999-12-31T23:59:59-09:00",
                [{"value": "a@b.example"}], ["a@b.example"],
            ):  # fmt: skip
                check_facts(provider, changed(facts, way, value), told)


# ---- signatures -----------------------------------------------------------------------------

CLAIMS = (
    "signature", "webhook-id", "webhook-timestamp", "webhook-signature", "ashby-signature",
    "x-workable-signature", "smartrecruiters-signature", "smartrecruiters-timestamp", "event-id",
    "event-name", "event-version", "link", "tt-signature", "teamtailor-signature",
    "x-recruitee-signature", "x-merge-webhook-signature", "authorization", "x-icims-date",
    "x-icims-content-sha256", "content-type", "content-encoding", "ce-specversion", "ce-id",
    "ce-source", "ce-type", "ce-time", "greenhouse-event-id", "x-hook-secret",
)  # fmt: skip
"""Every header any of the schemes looks at."""
VALUES = st.text() | st.text(st.characters(max_codepoint=255)) | st.sampled_from([
    "v1,", "v1a,AAAA", "sha256 ", "sha256=", "v1=;v1=", ",", ";" * 50, "dD0xLHYyPTAw", "Basic ",
    "Basic YTpi", str(int(NOW.timestamp())), "9" * 30, "msg_1", "1.0", "%ff", "%e3%81%82",
    "<http://[>; rel=self", "<https://x/candidates/%ff/jobs/>", "2026-06-02T01:00:00+0000",
    "x-icims-v1-hmac-sha256 user=U,signedheaders=x-icims-date;x-icims-content-sha256,signature=0",
    "application/cloudevents+json", "é" * 64, "A" * 10_000, "t=1,v1=2,v0=fake",
])  # fmt: skip
KEYS = view(
    secrets=["whsec_" + "A" * 32, "é", "user:", "user:password", ""],
    public_keys=["whpk_" + "A" * 43 + "=", "x"],
    secrets_by_event={"candidateArchiveChange": "whsec_" + "B" * 32},
    settings={"accept_v1": True},
)
SIGNED = {
    "lever": {"event": "candidateArchiveChange", "token": "t", "triggeredAt": 1790000000123,
              "signature": "0" * 64},
    "teamtailor": {"payload": {"data": {"id": "1"}}, "partner-event": {"id": "1"}},
    "zoho-recruit": {"token": "x", "module": "Applications"},
}  # fmt: skip


@pytest.mark.parametrize("provider", ADAPTERS)
@given(st.binary(max_size=50), st.dictionaries(st.sampled_from(CLAIMS), VALUES, max_size=8))
@settings(max_examples=250, deadline=None)
def test_no_header_breaks_the_check_of_a_signature(provider, body, headers):
    found = Incoming(body, headers, NOW, path="/v1/ats/x/ats_1", query="a=b")

    assert ADAPTERS[provider].verify(found, KEYS) is False
    greeting = ADAPTERS[provider].greet(found, KEYS)
    assert greeting is None or provider == "smartrecruiters"
    (ADAPTERS[provider].delivery_id(found) or "").encode()
    check(provider, body, headers)


@pytest.mark.parametrize("provider", SIGNED)
@given(data=st.data())
@ROUNDS
def test_no_body_breaks_the_check_of_a_signature_in_it(provider, data):
    body = data.draw(mutated([SIGNED[provider]]))
    headers = data.draw(st.dictionaries(st.sampled_from(CLAIMS), VALUES, max_size=3))

    found = Incoming(json.dumps(body).encode(), headers, NOW)
    assert ADAPTERS[provider].verify(found, KEYS) is False


@pytest.mark.parametrize("provider", SIGNED)
def test_hostile_values_in_what_is_signed(provider):
    for way in places(SIGNED[provider]):
        raw = json.dumps(changed(SIGNED[provider], way, SLOT)).encode()
        for value in HOSTILE:
            body = raw.replace(f'"{SLOT}"'.encode(), value)
            assert ADAPTERS[provider].verify(Incoming(body, {}, NOW), KEYS) is False
