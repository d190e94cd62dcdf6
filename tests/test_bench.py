"""The measurements measure the real thing: what they send is what the adapters verify and read."""

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from bench import ingest
from bench.samples import SAMPLES
from domain.ports import ConnectionView, Incoming
from integrations.ats import ADAPTERS

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


def delivered(provider, number=1):
    path = f"/v1/ats/{provider}/ats_1"
    body, headers = SAMPLES[provider].make(number, path, NOW)
    seen = ConnectionView("ats_1", secrets=SAMPLES[provider].secrets)
    return Incoming(body, headers, NOW, path=path), seen


def test_every_vendor_that_sends_is_measured():
    assert set(SAMPLES) == set(ADAPTERS)


@pytest.mark.parametrize("provider", sorted(ADAPTERS))
def test_a_sample_is_verified_read_and_unlike_the_next(provider):
    adapter, (incoming, seen) = ADAPTERS[provider], delivered(provider)
    reading = adapter.read(incoming, seen)
    changed = Incoming(b"x" + incoming.body, incoming.headers, NOW, path=incoming.path)

    assert adapter.verify(incoming, seen)
    assert not adapter.verify(changed, seen)
    assert SAMPLES[provider].accepted == adapter.SUCCESS
    assert reading.events or reading.lookup is not None
    assert incoming.body != delivered(provider, 2)[0].body


@pytest.mark.parametrize("provider", sorted(ADAPTERS))
def test_an_id_the_door_does_not_look_for_stands_in_the_body(provider):
    adapter, (incoming, _) = ADAPTERS[provider], delivered(provider)
    number = adapter.delivery_id(incoming)

    assert not adapter.ID_IN_BODY or (number or "").encode() in incoming.body


def test_every_part_runs(monkeypatch, tmp_path):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    plan = ingest.Plan(seconds=0.1, rounds=1, only=("lever",), burst=5, few=10, many=100)
    told = io.StringIO()

    found = ingest.measure(plan, Console(file=told, width=160))

    assert set(found) == {"throughput", "latency", "burst", "stored", "pages"}
    assert "5 deliveries at once" in told.getvalue()
