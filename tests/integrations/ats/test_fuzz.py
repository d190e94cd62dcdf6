"""Whatever arrives, an adapter understands it or says that it does not; it never guesses."""

import copy
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.ports import Incoming, Unreadable
from integrations.ats import ADAPTERS
from tests.deliveries import SAMPLES, interview, person, rejection, view

NOW = datetime(2026, 6, 2, 1, 0, tzinfo=UTC)
KINDS = {
    "interview.scheduled", "interview.completed", "application.rejected",
    "application.rejection_reverted", "application.withdrawn", "application.hired",
    "candidate.deleted", "candidate.merged",
}  # fmt: skip
GREENHOUSE = [
    json.loads(path.read_text()) for path in sorted((SAMPLES / "greenhouse").glob("*.json"))
]
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
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from(["\0", "\ud800", "2026-06-02T00:00:00Z", "company", "a@b.example"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


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
            place[last] = draw(JSON)
        else:
            del place[last]
    return body


def check(provider, raw):
    """Nothing but `Unreadable` is raised; an event has what nobody may guess, and can be kept."""
    try:
        reading = ADAPTERS[provider].read(Incoming(raw, {}, NOW), view())
    except Unreadable as why:
        assert str(why).isidentifier()  # noqa: PT017 - both ways of ending have their rule
        return
    for event in reading.events:
        json.dumps(event, ensure_ascii=False, allow_nan=True).encode()
        about = event["candidate" if event["type"].startswith("candidate.") else "application"]
        assert event["type"] in KINDS
        assert about["external_id"]
        assert "\0" not in event["dedupe_key"]
        assert event["occurred_at"].endswith("Z")
        if event["type"] == "application.rejected":
            assert event["rejection"]["initiated_by"] != "candidate"


@given(mutated(GREENHOUSE))
@settings(max_examples=300, deadline=None)
def test_mutated_greenhouse_bodies(body):
    check("greenhouse", json.dumps(body).encode())


@given(mutated(STANDARD))
@settings(max_examples=300, deadline=None)
def test_mutated_standard_bodies(body):
    check("standard-webhooks", json.dumps(body).encode())


@pytest.mark.parametrize("provider", ADAPTERS)
@given(JSON)
@settings(max_examples=200, deadline=None)
def test_any_json(provider, body):
    check(provider, json.dumps(body).encode())


@pytest.mark.parametrize("provider", ADAPTERS)
@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes(provider, raw):
    check(provider, raw)


@pytest.mark.parametrize("provider", ADAPTERS)
@given(
    st.binary(max_size=50),
    st.dictionaries(
        st.sampled_from(["signature", "webhook-id", "webhook-timestamp", "webhook-signature"]),
        st.text()
        | st.sampled_from(["v1,", "v1a,AAAA", "sha256 ", str(int(NOW.timestamp())), "msg_1"]),
    ),
)
@settings(max_examples=300, deadline=None)
def test_no_header_breaks_the_check_of_a_signature(provider, body, headers):
    keys = view(secrets=["whsec_" + "A" * 32, "é"], public_keys=["whpk_" + "A" * 43 + "=", "x"])

    assert ADAPTERS[provider].verify(Incoming(body, headers, NOW), keys) is False
