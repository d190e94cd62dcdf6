import asyncio
import json
import random
from datetime import timedelta

import pytest
from sqlalchemy import text, update

from domain.flows.relay.announce import announce
from domain.relay import Relay
from domain.store import lock
from domain.views import feed
from tests.conftest import api_client, forward
from tests.factories import work
from tests.relays import PROFILE, forwarded

pytestmark = pytest.mark.anyio

FEED = "/v1/agency/feed"


async def change(runtime, relay, kind="relay.updated", **values):
    async with runtime.database.transaction(company_id=relay.company_id) as db:
        held = await lock(db, Relay, relay.company_id, relay.id)
        for name, value in values.items():
            setattr(held, name, value)
        await announce(db, held, kind, runtime.clock())


async def follow(api, cursor=None, limit=200):
    """Everything after a cursor, page by page, and the cursor to go on from."""
    lines = []
    while True:
        at = f"&cursor={cursor}" if cursor else ""
        page = (await api.get(f"{FEED}?limit={limit}{at}")).json()
        lines += page["data"]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            return lines, cursor


async def test_each_relay_has_one_line_that_moves_with_every_change(runtime, world, agency_api):
    first, second = await forwarded(runtime, world), await forwarded(runtime, world)
    start, cursor = await follow(agency_api)
    await change(runtime, first, state="met")
    await change(runtime, first, state="offered")
    later, end = await follow(agency_api, cursor)
    nothing, _ = await follow(agency_api, end)
    everything, _ = await follow(agency_api)

    assert [line["relay_id"] for line in start] == [first.id, second.id]
    (line,) = later
    assert line["type"] == "relay.upserted"
    assert (line["version"], line["relay"]["state"]) == (3, "offered")
    assert line["package_url"] == f"http://relay.test/v1/agency/relays/{first.id}/package"
    assert line["relay"]["company"] == {"id": world.company.id, "name": world.company.name}
    assert nothing == []
    assert [line["relay_id"] for line in everything] == [second.id, first.id]


async def test_pages_follow_each_other(runtime, world, agency_api):
    relays = [await forwarded(runtime, world) for _ in range(5)]
    first = (await agency_api.get(f"{FEED}?limit=2")).json()
    lines, _ = await follow(agency_api, limit=2)

    assert (len(first["data"]), first["has_more"]) == (2, True)
    assert [line["relay_id"] for line in lines] == [relay.id for relay in relays]


@pytest.mark.parametrize("kind", ["relay.withdrawn", "relay.erased"])
async def test_what_was_taken_away_stays_away(runtime, world, agency_api, kind):
    relay = await forwarded(runtime, world)
    _, cursor = await follow(agency_api)
    await change(runtime, relay, kind)
    await change(runtime, relay, "relay.updated", state="placed")
    (line,), _ = await follow(agency_api, cursor)
    snapshot = await agency_api.get(f"{FEED}/snapshot")

    assert (line["type"], line["relay"], line["package_url"]) == ("relay.removed", None, None)
    assert (line["reason"], line["version"]) == (kind.removeprefix("relay."), 3)
    assert relay.id not in snapshot.text


async def test_the_feed_holds_no_personal_data(runtime, world, agency_api):
    await forwarded(runtime, world)
    answers = [await agency_api.get(FEED), await agency_api.get(f"{FEED}/snapshot")]
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        stored = (await db.execute(text("SELECT to_jsonb(f)::text FROM feed_item f"))).all()
        queue = (await db.execute(text("SELECT payload, dedupe_key FROM pgq.pgqueuer"))).all()
    everything = " ".join([*(one.text for one in answers), str(stored), str(queue)])

    for value in PROFILE.values():
        assert value not in everything


async def test_ndjson_has_a_line_per_relay_and_says_where_it_ends(runtime, world, agency_api):
    relay = await forwarded(runtime, world)
    answer = await agency_api.get(FEED, headers={"accept": "application/x-ndjson"})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    plain = (await agency_api.get(FEED)).json()

    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert [line["type"] for line in lines] == ["relay.upserted", "feed.cursor"]
    assert lines[0] == plain["data"][0]
    assert lines[0]["relay_id"] == relay.id
    rest, _ = await follow(agency_api, lines[1]["next_cursor"])
    assert rest == []


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
async def test_packages_can_be_taken_along(runtime, world, agency_api, accept):
    relay = await forwarded(runtime, world)
    gone = await forwarded(runtime, world)
    async with runtime.database.transaction(company_id=gone.company_id) as db:
        await db.execute(
            text("UPDATE consent SET state = 'withdrawn' WHERE id = :id"), {"id": gone.consent_id}
        )
    answer = await agency_api.get(f"{FEED}?include=package", headers={"accept": accept})
    if accept == "application/json":
        lines = answer.json()["data"]
        assert answer.json()["has_more"] is False
    else:
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert lines.pop()["type"] == "feed.cursor"
    alone = (await agency_api.get(f"/v1/agency/relays/{relay.id}/package")).json()
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        records = (await db.execute(text("SELECT relay_id, channel FROM provision"))).all()

    assert [line["relay_id"] for line in lines] == [relay.id, gone.id]
    assert lines[0]["package"]["candidate"] == alone["candidate"]
    assert lines[0]["package_unavailable"] is None
    assert (lines[1]["package"], lines[1]["package_unavailable"]) == (None, "consent_withdrawn")
    assert sorted(tuple(row) for row in records) == [(relay.id, "api"), (relay.id, "feed")]


async def test_include_package_needs_its_own_scope(runtime, world):
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        await db.execute(text("""UPDATE oauth_client SET scopes = '["feed:read"]'"""))
    async with api_client(runtime, world.agency_clients[0]) as api:
        plain = await api.get(FEED)
        packages = await api.get(f"{FEED}?include=package")

    assert plain.status_code == 200
    assert (packages.status_code, packages.json()["code"]) == (403, "insufficient_scope")


async def test_an_unchanged_page_is_304_and_counts_as_a_read(runtime, clock, world, agency_api):
    relay = await forwarded(runtime, world)
    _, cursor = await follow(agency_api)
    url = f"{FEED}?cursor={cursor}"
    first = await agency_api.get(url)
    forward(clock, hours=3)
    same = await agency_api.get(url, headers={"if-none-match": first.headers["etag"]})
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        read_at = (await db.execute(text("SELECT feed_read_at FROM agency"))).scalars().all()
    await change(runtime, relay, state="met")
    changed = await agency_api.get(url, headers={"if-none-match": first.headers["etag"]})

    assert (same.status_code, same.content) == (304, b"")
    assert any(moment and clock() - moment < timedelta(minutes=1) for moment in read_at)
    assert (changed.status_code, len(changed.json()["data"])) == (200, 1)


@pytest.mark.parametrize("cursor", ["x", "AAAA", "not base64 ✓", "A" * 60, "=" * 20])
async def test_a_cursor_that_is_not_ours_is_refused(agency_api, cursor):
    answer = await agency_api.get(FEED, params={"cursor": cursor})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


async def test_a_cursor_cannot_be_altered_or_lent_to_another_agency(runtime, world, agency_api):
    await forwarded(runtime, world)
    _, cursor = await follow(agency_api)
    altered = cursor[:20] + ("A" if cursor[20] != "A" else "B") + cursor[21:]
    mine = await agency_api.get(f"{FEED}?cursor={altered}")
    async with api_client(runtime, world.agency_clients[1]) as other:
        theirs = await other.get(f"{FEED}?cursor={cursor}")

    assert [one.json()["code"] for one in (mine, theirs)] == ["invalid_cursor"] * 2


async def test_old_cursors_and_those_from_before_a_restore_lead_to_the_snapshot(
    runtime, clock, world, agency_api
):
    relay = await forwarded(runtime, world)
    _, cursor = await follow(agency_api)
    forward(clock, days=181)
    old = await agency_api.get(f"{FEED}?cursor={cursor}")
    _, fresh = await follow(agency_api)
    async with runtime.database.transaction() as db:
        await db.execute(
            text("INSERT INTO instance_fact (name, value) VALUES (:name, '2')"),
            {"name": feed.EPOCH_FACT},
        )
    restored = await agency_api.get(f"{FEED}?cursor={fresh}")
    lines = (await agency_api.get(f"{FEED}/snapshot")).text.splitlines()
    head, *rows, end = [json.loads(line) for line in lines]
    after, _ = await follow(agency_api, head["resume_cursor"])

    assert (old.status_code, old.json()["code"]) == (410, "cursor_expired")
    assert (restored.status_code, restored.json()["code"]) == (410, "cursor_reset")
    assert (head["type"], head["feed_epoch"]) == ("snapshot.begin", 2)
    assert [row["relay_id"] for row in rows] == [relay.id]
    assert end == {"type": "snapshot.end", "count": 1, "complete": True}
    assert after == []


async def test_the_snapshot_is_what_following_the_feed_leads_to(
    runtime, world, agency_api, monkeypatch
):
    monkeypatch.setattr(feed, "SNAPSHOT_PAGE", 3)
    relays = [await forwarded(runtime, world) for _ in range(7)]
    for number, relay in enumerate(relays):
        kind = "relay.withdrawn" if number % 3 == 0 else "relay.updated"
        await change(runtime, relay, kind)
    lines, _ = await follow(agency_api, limit=2)
    current = {line["relay_id"]: line for line in lines if line["type"] == "relay.upserted"}
    answer = (await agency_api.get(f"{FEED}/snapshot")).text.splitlines()
    shown = {row["relay_id"]: row for row in map(json.loads, answer[1:-1])}

    assert shown == current
    assert len(shown) == 4
    assert json.loads(answer[-1])["count"] == 4


async def test_tombstones_are_dropped_after_four_hundred_days(runtime, clock, world):
    relay = await forwarded(runtime, world, months_valid=20)
    kept = await forwarded(runtime, world, months_valid=20)
    await change(runtime, relay, "relay.withdrawn")

    async def left():
        async with runtime.database.transaction(agency_id=world.agency.id) as db:
            rows = await db.execute(text("SELECT relay_id FROM feed_item ORDER BY 1"))
            return [row[0] for row in rows]

    forward(clock, days=399)
    await work(runtime)
    before = await left()
    forward(clock, days=2)
    await work(runtime)

    assert before == [relay.id, kept.id]
    assert await left() == [kept.id]


async def racing(runtime, world, relays, *, writers, rounds, order):
    """Writers that commit out of turn, and a reader that follows; the versions it has seen."""
    seen, stop = {}, asyncio.Event()
    rng = random.Random(7)  # noqa: S311 - a fixed race

    async def write(mine):
        for _ in range(rounds):
            relay = rng.choice(mine)
            async with runtime.database.transaction(company_id=relay.company_id) as db:
                held = await lock(db, Relay, relay.company_id, relay.id)
                await announce(db, held, "relay.updated", runtime.clock())
                await asyncio.sleep(rng.random() * 0.03)

    async def read():
        place = feed.Place()
        while True:
            last = stop.is_set()
            async with runtime.database.transaction(agency_id=world.agency.id) as db:
                rows = (await db.execute(text(order), {
                    "agency": world.agency.id, "xid": str(place.xid), "position": place.position,
                })).all()  # fmt: skip
            for row in rows:
                seen[row.relay_id] = max(seen.get(row.relay_id, 0), row.version)
                place = feed.Place(row.xid, row.position)
            if last and not rows:
                return
            await asyncio.sleep(0.002)

    reader = asyncio.create_task(read())
    shares = [relays[number::writers] for number in range(writers)]
    await asyncio.gather(*(write(share) for share in shares))
    stop.set()
    await reader
    return seen


async def versions(runtime, world):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        rows = await db.execute(text("SELECT id, version FROM relay"))
        return {row[0]: row[1] for row in rows}


async def many(runtime, world, count):
    first = await forwarded(runtime, world)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await db.execute(
            text("""INSERT INTO relay SELECT (jsonb_populate_record(r, jsonb_build_object(
                'id', r.id || n))).* FROM relay r, generate_series(1, :count) n"""),
            {"count": count},
        )
        await db.execute(update(Relay).values(version=1))
        rows = (await db.execute(text("SELECT id FROM relay"))).all()
    return [Relay(**{**first.model_dump(), "id": row[0]}) for row in rows if row[0] != first.id]


SAFE = str(feed._PAGE).replace(":limit", "1000")
NAIVE = (
    SAFE.replace("(i.xid, i.position) > (CAST(CAST(:xid AS text) AS xid8), :position)",
                 "i.position > :position AND CAST(:xid AS text) IS NOT NULL")
    .replace("AND i.xid < pg_snapshot_xmin(pg_current_snapshot())", "")
    .replace("ORDER BY i.xid, i.position", "ORDER BY i.position")
)  # fmt: skip


async def test_nothing_is_skipped_while_transactions_commit_out_of_turn(runtime, world):
    relays = await many(runtime, world, 64)
    seen = await racing(runtime, world, relays, writers=8, rounds=40, order=SAFE)
    there = await versions(runtime, world)

    changed = {name: version for name, version in there.items() if version > 1}
    assert len(changed) > 50
    assert {name: seen.get(name) for name in changed} == changed


@pytest.mark.parametrize(("order", "lost"), [(SAFE, 0), (NAIVE, 1)], ids=["safe", "by position"])
async def test_a_line_written_first_and_committed_last_is_still_to_come(
    runtime, world, order, lost
):
    """The race above in slow motion; in the naive order it is lost, so the test above can fail."""
    early, late = await many(runtime, world, 2)
    place, seen = feed.Place(), set()

    async def read():
        nonlocal place
        async with runtime.database.transaction(agency_id=world.agency.id) as db:
            rows = (await db.execute(text(order), {
                "agency": world.agency.id, "xid": str(place.xid), "position": place.position,
            })).all()  # fmt: skip
        for row in rows:
            seen.add(row.relay_id)
            place = feed.Place(row.xid, row.position)

    async def change(relay, db):
        held = await lock(db, Relay, relay.company_id, relay.id)
        await announce(db, held, "relay.updated", runtime.clock())
        await db.flush()

    await read()
    async with runtime.database.transaction(company_id=early.company_id) as slow:
        await change(early, slow)
        async with runtime.database.transaction(company_id=late.company_id) as quick:
            await change(late, quick)
        await read()
    await read()

    assert len({early.id, late.id} - seen) == lost
