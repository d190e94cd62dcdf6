"""HR connects an ATS and sees what it delivered."""

import secrets
from base64 import b64encode
from datetime import timedelta

import pytest

from api.app import create_app
from api.runtime import Runtime
from domain.flows.hear.map_words import keep_words
from domain.ports import Word
from tests.conftest import api_client, settings_for
from tests.deliveries import Ats, greenhouse_headers, person, rejection, sample
from tests.factories import make_world, token_for, work
from tests.vendors import Said, vendor_stub

pytestmark = pytest.mark.anyio

CONNECTIONS = "/v1/company/ats/connections"
DELIVERIES = "/v1/company/ats/deliveries"


@pytest.fixture
async def ats(runtime, client):
    return Ats(client, runtime, await make_world(runtime))


class Hr:
    """A program of the company."""

    def __init__(self, client, token):
        self.client = client
        self.headers = {"authorization": f"Bearer {token}"}

    async def get(self, path, **params):
        return await self.client.get(path, params=params, headers=self.headers)

    async def post(self, path, body=None, key=None):
        headers = {**self.headers, "idempotency-key": key or secrets.token_hex(8)}
        return await self.client.post(path, json=body, headers=headers)

    async def patch(self, path, body):
        return await self.client.patch(path, json=body, headers=self.headers)


@pytest.fixture
async def hr(ats):
    return Hr(ats.client, await token_for(ats.client, ats.world.company_client))


def a_connection(**more):
    return {
        "provider": "greenhouse",
        "name": "本社",
        "secrets": ["gh-doc-secret-4e1d9a7b2c"],
        "settings": {"reason_map": {"1": "candidate"}},
        **more,
    }


# ---- connections ----------------------------------------------------------------------------


@pytest.mark.parametrize("base", [
    "http://127.0.0.1:9", "https://10.0.0.1", "https://localhost", "http://api.example.com",
    "https://169.254.169.254/latest",
])  # fmt: skip
async def test_a_private_address_of_an_api_is_refused_unless_the_instance_allows_it(
    clock, world, database_url, base
):
    strict = Runtime.build(settings_for(database_url, allow_private_networks=False), clock)
    told = a_connection(settings={"api_base": base, "api_key": "k"})
    try:
        async with api_client(strict, world.company_client, app=create_app(strict)) as api:
            made = await api.post(CONNECTIONS, json=told)
            plain = await api.post(CONNECTIONS, json=a_connection())
            path = f"{CONNECTIONS}/{plain.json()['id']}"
            changed = await api.patch(path, json={"settings": {"api_base": base}})
    finally:
        await strict.database.close()

    assert (made.status_code, made.json()["code"]) == (422, "url_refused")
    assert (changed.status_code, changed.json()["code"]) == (422, "url_refused")


async def test_a_new_connection_hears_at_its_own_address(ats, hr):
    answer = await hr.post(CONNECTIONS, a_connection())
    made = answer.json()
    raw = b'{"action":"ping"}'
    heard = await ats.client.post(
        made["webhook_url"],
        content=raw,
        headers=greenhouse_headers(raw, "gh-doc-secret-4e1d9a7b2c"),
    )

    assert answer.status_code == 201
    assert {name: made[name] for name in made if name not in {"id", "created_at"}} == {
        "provider": "greenhouse",
        "name": "本社",
        "enabled": True,
        "webhook_url": f"http://relay.test/v1/ats/greenhouse/{made['id']}",
        "public_keys": [],
        "settings": {"reason_map": {"1": "candidate"}},
        "refused_signatures": 0,
        "greeted_at": None,
        "last_delivery_at": None,
        "polls": [],
        "words_open": 0,
    }
    assert heard.status_code == 200


async def test_secrets_and_credentials_are_never_shown(hr):
    told = a_connection(settings={"api_key": "key-of-the-api", "api_base": "https://ats.example"})
    made = await hr.post(CONNECTIONS, told)
    listed = await hr.get(CONNECTIONS)
    changed = await hr.patch(f"{CONNECTIONS}/{made.json()['id']}", {"name": "x"})

    for answer in (made, listed, changed):
        assert answer.is_success
        assert "gh-doc-secret" not in answer.text
        assert "key-of-the-api" not in answer.text
    assert made.json()["settings"] == {"api_base": "https://ats.example"}


@pytest.mark.parametrize(("told", "code"), [
    ({"provider": "nobody"}, "unknown_provider"),
    ({"secrets": ["short"]}, "unusable_keys"),
    ({"public_keys": ["whpk_x"]}, "unusable_keys"),
    ({"provider": "standard-webhooks", "secrets": ["not base64"]}, "unusable_keys"),
    ({"settings": {"reason_map": {"1": "nobody"}}}, "invalid"),
    ({"settings": {"source_map": {"Indeed": "Not A Code"}}}, "invalid"),
    ({"settings": {"excluded_reasons": "x"}}, "invalid"),
    ({"name": ""}, "invalid"), ({"name": "a\0b"}, "invalid"), ({"more": 1}, "invalid"),
    ({"secrets": "gh-doc-secret-4e1d9a7b2c"}, "invalid"),
])  # fmt: skip
async def test_a_connection_that_could_not_work_is_refused(hr, told, code):
    before = (await hr.get(CONNECTIONS)).json()["data"]
    answer = await hr.post(CONNECTIONS, a_connection(**told))

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert (await hr.get(CONNECTIONS)).json()["data"] == before


async def test_a_repeated_request_makes_one_connection(hr):
    first = await hr.post(CONNECTIONS, a_connection(), key="k-1")
    again = await hr.post(CONNECTIONS, a_connection(), key="k-1")

    assert first.json() == again.json()
    assert len((await hr.get(CONNECTIONS)).json()["data"]) == 3


async def test_secrets_rotate_without_a_gap(ats, hr):
    old, new = ats.world.secrets["greenhouse"], "a-new-secret-of-greenhouse"
    path = f"{CONNECTIONS}/{ats.world.connections['greenhouse'].id}"
    raw = b'{"action":"ping"}'

    async def accepted(secret):
        headers = greenhouse_headers(raw, secret)
        answer = await ats.client.post(ats.url("greenhouse"), content=raw, headers=headers)
        return answer.status_code == 200

    before = (await accepted(old), await accepted(new))
    await hr.patch(path, {"secrets": [new, old]})
    during = (await accepted(old), await accepted(new))
    await hr.patch(path, {"secrets": [new]})
    after = (await accepted(old), await accepted(new))

    assert (before, during, after) == ((True, False), (True, True), (False, True))


async def test_a_connection_switched_off_is_not_there(ats, hr):
    path = f"{CONNECTIONS}/{ats.world.connections['greenhouse'].id}"
    await ats.greenhouse(sample("ping"))
    changed = await hr.patch(path, {"enabled": False})
    off = (await ats.greenhouse(sample("ping"))).status_code
    await hr.patch(path, {"enabled": True})

    assert changed.json()["enabled"] is False
    assert off == 404
    assert (await ats.greenhouse(sample("ping"))).status_code == 200


async def test_settings_change_one_by_one(ats, hr):
    path = f"{CONNECTIONS}/{ats.world.connections['greenhouse'].id}"
    await hr.patch(path, {"settings": {"source_map": {"A": "event"}, "excluded_reasons": ["7"]}})
    answer = await hr.patch(path, {"settings": {"excluded_reasons": None}})

    assert answer.json()["settings"] == {"source_map": {"A": "event"}}


async def test_a_change_that_could_not_work_changes_nothing(ats, hr):
    path = f"{CONNECTIONS}/{ats.world.connections['greenhouse'].id}"
    answer = await hr.patch(path, {"secrets": ["short"], "name": "x"})

    assert (answer.status_code, answer.json()["code"]) == (422, "unusable_keys")
    assert {row["name"] for row in (await hr.get(CONNECTIONS)).json()["data"]} == {
        "greenhouse", "standard-webhooks",
    }  # fmt: skip


async def test_the_list_counts_what_was_refused_and_when_something_came(ats, hr):
    await ats.greenhouse(sample("ping"))
    await ats.client.post(ats.url("greenhouse"), content=b"{}")

    found = {row["provider"]: row for row in (await hr.get(CONNECTIONS)).json()["data"]}
    assert found["greenhouse"]["refused_signatures"] == 1
    assert found["greenhouse"]["last_delivery_at"].startswith("2026-06-02T01:00:0")
    assert found["standard-webhooks"]["last_delivery_at"] is None


async def test_one_connection_tells_how_it_is(ats, hr):
    path = f"{CONNECTIONS}/{ats.world.connections['greenhouse'].id}"
    before = (await hr.get(path)).json()
    await ats.greenhouse(sample("reject_candidate_no_reason_type"))
    await work(ats.runtime)
    after = (await hr.get(path)).json()

    assert (before["words_open"], before["last_delivery_at"]) == (0, None)
    assert after["words_open"] == 1
    assert after["last_delivery_at"].startswith("2026-06-02T01:00:0")
    assert before["polls"] == after["polls"] == []
    assert (await hr.get(CONNECTIONS)).json()["data"][-1] == after


async def test_a_test_before_the_secret_is_told(ats, hr):
    made = (await hr.post(CONNECTIONS, a_connection(provider="recruitee", secrets=[]))).json()
    heard = await ats.client.post(made["webhook_url"], content=b'{"test":true}')
    after = (await hr.get(f"{CONNECTIONS}/{made['id']}")).json()

    assert heard.status_code == 200
    assert (made["greeted_at"], made["last_delivery_at"]) == (None, None)
    assert after["greeted_at"].startswith("2026-06-02T01:00:0")
    assert after["last_delivery_at"] is None


async def test_words_are_listed_page_by_page_with_what_they_mean(ats, hr):
    connection = ats.world.connections["greenhouse"]
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        words = [Word("reason", str(n), f"理由{n}", "candidate" if n else None) for n in range(3)]
        await keep_words(db, connection, [*words, Word("status", "s", "終了")], ats.runtime.clock())
    path = f"{CONNECTIONS}/{connection.id}"
    await hr.patch(path, {"settings": {"reason_map": {"1": "company"}}})
    first = (await hr.get(f"{path}/words", limit=3)).json()
    last = (await hr.get(f"{path}/words", limit=3, cursor=first["next_cursor"])).json()

    assert [(w["kind"], w["id"], w["text"], w["suggestion"], w["meaning"])
            for w in first["data"] + last["data"]] == [
        ("reason", "0", "理由0", None, None), ("reason", "1", "理由1", "candidate", "company"),
        ("reason", "2", "理由2", "candidate", None), ("status", "s", "終了", None, None),
    ]  # fmt: skip
    assert last["next_cursor"] is None
    assert (await hr.get(path)).json()["words_open"] == 3


async def test_somebody_asks_at_once_and_sees_how_it_went(ats, hr):
    async with vendor_stub() as stub:
        stub.lay("GET", "/api/v1/candidates", Said({}, 401), [])
        told = a_connection(
            provider="talentio", secrets=[], settings={"api_key": "k", "api_base": stub.base}
        )
        made = (await hr.post(CONNECTIONS, told)).json()
        await work(ats.runtime)
        failed = (await hr.get(f"{CONNECTIONS}/{made['id']}")).json()
        answer = await hr.post(f"{CONNECTIONS}/{made['id']}/poll")
        await work(ats.runtime)
        mended = (await hr.get(f"{CONNECTIONS}/{made['id']}")).json()

    kinds = [one["kind"] for one in made["polls"]]
    assert (made["webhook_url"], kinds) == (None, ["recent", "full"])
    assert [failed["polls"][0][name] for name in ("failures", "error", "finished_at")] == [
        1, "api_unauthorised", None,
    ]  # fmt: skip
    assert answer.status_code == 202
    assert [mended["polls"][0][name] for name in ("failures", "error", "found")] == [0, None, 0]
    assert mended["polls"][0]["finished_at"] is not None


async def test_nobody_is_asked_without_a_credential(ats, hr):
    answer = await hr.post(f"{CONNECTIONS}/{ats.world.connections['greenhouse'].id}/poll")

    assert (answer.status_code, answer.json()["code"]) == (409, "api_key_missing")


# ---- deliveries -----------------------------------------------------------------------------


async def test_one_delivery_and_what_it_did(ats, hr):
    await ats.greenhouse(sample("reject_candidate"))
    await work(ats.runtime)
    (listed,) = (await hr.get(DELIVERIES)).json()["data"]
    read = await hr.get(f"{DELIVERIES}/{listed['id']}")

    assert read.status_code == 200
    assert read.json() == listed
    assert [one["effect"] for one in listed["effects"]] == ["applied"]
    assert listed["effects"][0]["did"][0] == {"what": "outcome", "from": "active", "to": "rejected"}


async def test_deliveries_of_one_status(ats, hr):
    await ats.greenhouse(sample("reject_candidate"))
    await ats.tell_raw(b"{", "msg_broken")
    await ats.greenhouse(sample("ping"))
    await work(ats.runtime)
    found = {
        status: [row["status"] for row in (await hr.get(DELIVERIES, status=status)).json()["data"]]
        for status in ("received", "processed", "ignored", "failed")
    }

    assert found == {
        "received": [], "processed": ["processed"], "ignored": ["ignored"], "failed": ["failed"],
    }  # fmt: skip
    assert (await hr.get(DELIVERIES, status="lost")).status_code == 422


async def test_deliveries_of_a_time_are_read_again(ats, hr, runtime):
    for number in range(3):
        await ats.greenhouse({"action": f"a{number}"})
        runtime.clock.offset += timedelta(minutes=10)
    await ats.tell("webhook.ping", {})
    await work(runtime)
    hr = Hr(ats.client, await token_for(ats.client, ats.world.company_client))  # the old one ended
    connection = ats.world.connections["greenhouse"].id
    rows = (await hr.get(DELIVERIES, connection_id=connection)).json()["data"]
    before = {row["provider_event"]: row["processed_at"] for row in rows}
    runtime.clock.offset += timedelta(minutes=10)
    body = {
        "connection_id": connection,
        "status": "ignored",
        "received_from": rows[1]["received_at"],
    }
    answer = await hr.post(f"{DELIVERIES}/replay", body)
    await work(runtime)
    after = {
        row["provider_event"]: row["processed_at"]
        for row in (await hr.get(DELIVERIES)).json()["data"]
    }
    said = answer.json()

    assert answer.status_code == 202
    assert (said["connection_id"], said["status"]) == (connection, "ignored")
    assert said["received_until"] is not None
    assert {name for name in before if after[name] != before[name]} == {"a1", "a2"}


@pytest.mark.parametrize(("more", "status"), [
    ({"connection_id": "ats_00000000000000000000000000"}, 404), ({"status": "lost"}, 422),
    ({"received_from": "2026-06-02"}, 422), ({"what": 1}, 422),
])  # fmt: skip
async def test_a_replay_of_what_is_not_there_is_refused(ats, hr, more, status):
    connection = ats.world.connections["greenhouse"].id
    answer = await hr.post(f"{DELIVERIES}/replay", {"connection_id": connection, **more})

    assert answer.status_code == status


async def test_deliveries_newest_first_with_their_events(ats, hr):
    now = ats.runtime.clock()
    await ats.greenhouse(sample("reject_candidate"), "ev-1")
    await ats.tell("application.rejected", {**person(), **rejection(now)})
    await ats.tell_raw(b"{", "msg_last")
    await work(ats.runtime)
    answer = await hr.get(DELIVERIES)

    newest, second, oldest = answer.json()["data"]
    assert answer.status_code == 200
    assert (newest["status"], newest["error"], newest["events"]) == ("failed", "not_json", [])
    assert (second["provider_event"], second["status"]) == ("application.rejected", "processed")
    assert second["events"][0]["candidate"]["emails"] == [
        {"value": "hanako.1@mail.example", "type": "personal", "primary": True}
    ]
    assert (oldest["provider"], oldest["provider_event"]) == ("greenhouse", "reject_candidate")
    assert oldest["events"][0]["provider_event_id"] == "ev-1"
    assert oldest["events"][0]["type"] == "application.rejected"
    assert set(oldest) == {
        "id", "connection_id", "provider", "provider_event", "origin", "received_at",
        "processed_at", "status", "events", "effects", "error", "attempts",
    }  # fmt: skip


async def test_deliveries_of_one_connection_page_by_page(ats, hr):
    for number in range(5):
        await ats.greenhouse({"action": f"a{number}"})
    await ats.tell("webhook.ping", {})
    await work(ats.runtime)
    seen, cursor = [], None
    while True:
        params = {"connection_id": ats.world.connections["greenhouse"].id, "limit": 2}
        page = (await hr.get(DELIVERIES, **params, **({"cursor": cursor} if cursor else {}))).json()
        seen += [row["provider_event"] for row in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert seen == ["a4", "a3", "a2", "a1", "a0"]


async def replayed(ats, hr, settings):
    """(the events, the application) before and after a change of settings and a replay."""
    path = f"{CONNECTIONS}/{ats.world.connections['greenhouse'].id}"
    await ats.greenhouse(sample("reject_candidate_no_reason_type"))
    await work(ats.runtime)
    found = []
    for _ in range(2):
        (row,) = (await hr.get(DELIVERIES)).json()["data"]
        (application,) = (await hr.get("/v1/company/applications")).json()["data"]
        found.append((row["events"], application))
        await hr.patch(path, {"settings": settings})
        answer = await hr.post(f"{DELIVERIES}/{row['id']}/replay")
        assert (answer.status_code, answer.json()["status"]) == (202, "received")
        await work(ats.runtime)
    return found


async def test_a_replay_changes_nothing_by_itself(ats, hr):
    before, after = await replayed(ats, hr, {})

    assert before == after
    assert before[0][0]["holds"] == ["reason_unclassified"]


async def test_a_replay_after_the_sources_were_mapped(ats, hr):
    before, after = await replayed(ats, hr, {"source_map": {"自社採用サイト": "company_site"}})

    assert (before[1]["source"], after[1]["source"]) == ("自社採用サイト", "company_site")
    assert before[0] == after[0]


async def test_a_replay_after_the_reasons_were_mapped(ats, hr):
    before, after = await replayed(ats, hr, {"reason_map": {"14": "company"}})

    assert (before[1]["holds"], after[1]["holds"]) == (["reason_unclassified"], [])
    assert after[0][0]["supersedes"] == before[0][0]["dedupe_key"]


async def test_a_replay_after_a_reason_turned_out_to_be_the_candidate_s(ats, hr):
    before, after = await replayed(ats, hr, {"reason_map": {"14": "candidate"}})

    assert (before[1]["outcome"], after[1]["outcome"]) == ("rejected", "withdrawn")
    assert after[0][0]["type"] == "application.withdrawn"
    assert after[0][0]["supersedes"] == before[0][0]["dedupe_key"]


async def test_a_mapping_corrected_again_and_again_counts_as_it_stands(ats, hr):
    path = f"{CONNECTIONS}/{ats.world.connections['greenhouse'].id}"
    await hr.patch(path, {"settings": {"reason_map": {"14": "candidate"}}})
    await ats.greenhouse(sample("reject_candidate_no_reason_type"))
    await work(ats.runtime)
    (row,) = (await hr.get(DELIVERIES)).json()["data"]
    stood, keys = [], []
    for meaning in ("company", "candidate", "company", "company"):
        await hr.patch(path, {"settings": {"reason_map": {"14": meaning}}})
        await hr.post(f"{DELIVERIES}/{row['id']}/replay")
        await work(ats.runtime)
        (row,) = (await hr.get(DELIVERIES)).json()["data"]
        (application,) = (await hr.get("/v1/company/applications")).json()["data"]
        stood.append((application["outcome"], application["holds"]))
        keys.append((row["events"][0]["dedupe_key"], row["events"][0]["supersedes"]))

    # Once taken for a withdrawal, a person looks at it before the candidate is told anything.
    again = ("rejected", ["reason_unclassified"])
    assert stood == [again, ("withdrawn", []), again, again]
    assert [new for new, _ in keys[:2]] == [old for _, old in keys[1:3]]
    assert keys[2] == keys[3]


async def test_a_failed_delivery_can_be_replayed(ats, hr, runtime, monkeypatch):
    adapter = runtime.tools.adapters["greenhouse"]

    def broken(*_args):
        message = "a fault of ours"
        raise RuntimeError(message)

    with monkeypatch.context() as patched:
        patched.setattr(adapter, "read", broken)
        await ats.greenhouse(sample("reject_candidate"))
        await work(ats.runtime)
    (failed,) = (await hr.get(DELIVERIES)).json()["data"]
    await hr.post(f"{DELIVERIES}/{failed['id']}/replay")
    await work(ats.runtime)

    (mended,) = (await hr.get(DELIVERIES)).json()["data"]
    assert (failed["status"], failed["error"]) == ("failed", "internal_error")
    assert (mended["status"], mended["error"]) == ("processed", None)
    assert mended["events"][0]["type"] == "application.rejected"


async def test_what_was_erased_cannot_be_replayed(ats, hr):
    await ats.greenhouse(sample("reject_candidate"))
    await work(ats.runtime)
    await ats.greenhouse(sample("delete_candidate"))
    await work(ats.runtime)
    _, first = (await hr.get(DELIVERIES)).json()["data"]
    answer = await hr.post(f"{DELIVERIES}/{first['id']}/replay")

    assert first["events"] == []
    assert (answer.status_code, answer.json()["code"]) == (409, "contents_gone")


# ---- who may --------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), [
    ("GET", CONNECTIONS), ("POST", CONNECTIONS), ("PATCH", CONNECTIONS + "/{connection}"),
    ("GET", DELIVERIES), ("POST", DELIVERIES + "/{delivery}/replay"),
    ("GET", CONNECTIONS + "/{connection}"), ("GET", CONNECTIONS + "/{connection}/words"),
    ("POST", CONNECTIONS + "/{connection}/poll"), ("GET", DELIVERIES + "/{delivery}"),
    ("POST", DELIVERIES + "/replay"),
])  # fmt: skip
async def test_only_the_company_s_programs_with_the_scope_come_in(ats, hr, method, path):
    await ats.greenhouse(sample("reject_candidate"))
    await work(ats.runtime)
    (row,) = (await hr.get(DELIVERIES)).json()["data"]
    path = path.format(connection=ats.world.connections["greenhouse"].id, delivery=row["id"])
    body = a_connection() if method == "POST" else {"name": "x"} if method == "PATCH" else None
    tokens = {
        "nobody": None,
        "agency": await token_for(ats.client, ats.world.agency_clients[0]),
        "no scope": await token_for(ats.client, ats.world.company_client, "credits:read"),
    }
    statuses = {}
    for who, token in tokens.items():
        headers = {"idempotency-key": "k"} | ({"authorization": f"Bearer {token}"} if token else {})
        answer = await ats.client.request(method, path, json=body, headers=headers)
        statuses[who] = answer.status_code

    assert statuses == {"nobody": 401, "agency": 403, "no scope": 403}


async def test_another_company_s_rows_are_not_there(ats, hr):
    other = Ats(ats.client, ats.runtime, await make_world(ats.runtime, slug="other"))
    await other.greenhouse(sample("reject_candidate"))
    await work(ats.runtime)
    theirs = Hr(ats.client, await token_for(ats.client, other.world.company_client))
    (row,) = (await theirs.get(DELIVERIES)).json()["data"]
    connection = other.world.connections["greenhouse"].id
    asked = [
        await hr.post(f"{DELIVERIES}/{row['id']}/replay"),
        await hr.post(f"{DELIVERIES}/replay", {"connection_id": connection}),
        await hr.get(f"{DELIVERIES}/{row['id']}"),
        await hr.get(f"{CONNECTIONS}/{connection}"),
        await hr.get(f"{CONNECTIONS}/{connection}/words"),
        await hr.post(f"{CONNECTIONS}/{connection}/poll"),
        await hr.patch(f"{CONNECTIONS}/{connection}", {"enabled": False}),
    ]
    listed = await hr.get(DELIVERIES, connection_id=connection)

    assert [one.status_code for one in asked] == [404] * len(asked)
    assert listed.json() == {"data": [], "next_cursor": None}


async def test_secrets_are_sealed_at_rest(ats, hr):
    made = (await hr.post(CONNECTIONS, a_connection())).json()
    raw = b64encode(b"gh-doc-secret")

    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        from domain.delivery import AtsConnection  # noqa: PLC0415

        row = await db.get_one(AtsConnection, (ats.world.company.id, made["id"]))
    assert b"gh-doc-secret" not in row.secrets
    assert raw not in row.secrets
