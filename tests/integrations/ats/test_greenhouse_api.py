"""Greenhouse's API over real HTTP: what is asked, what is made of the answers, on which keys."""

import base64
import copy
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.flows.hear.apply_event import _meaning
from domain.ports import (
    Aside,
    Incoming,
    Unreadable,
    VendorDown,
    VendorMissing,
    VendorRefused,
    Window,
    Word,
    WriteBack,
)
from integrations.ats import APIS, greenhouse, greenhouse_api
from tests.deliveries import SAMPLES, incoming, sample, view
from tests.vendors import Said, api_of, vendor_stub

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 6, 2, 4, 0, tzinfo=UTC)
WINDOW = Window(datetime(2026, 6, 2, 0, 0, 0, 5, tzinfo=UTC), NOW)
QUICK = SimpleNamespace(**{**vars(greenhouse_api), "PER_SECOND": 1000.0})
"""The module itself, but for the vendor's pace."""
POLLED = Incoming(b"", {}, NOW)
HANAKO = "48206133001"


def recorded(name):
    return json.loads((SAMPLES / "greenhouse" / "api" / f"{name}.json").read_text())


def chosen(rows, key="id", ask="ids"):
    """Answers with the rows whose ids were asked for, as the vendor does."""
    return lambda call: [row for row in rows if str(row[key]) in call.query[ask][0].split(",")]


def lay_lists(stub, **changed):
    """A small organisation. Applications are found by status, or by their ids."""
    rejected, hired, active = (
        changed.get(name, recorded(f"applications_{name}"))
        for name in ("rejected", "hired", "in_process")
    )
    by_status = {"rejected": rejected, "hired": hired, "active": active}

    def applications(call):
        if "ids" in call.query:
            return chosen([*rejected, *hired, *active])(call)
        return by_status[call.query["status"][0]]

    stub.lay("GET", "/v3/applications", applications)
    for name in ("candidates", "jobs", "sources", "departments", "offices"):
        stub.lay("GET", f"/v3/{name}", chosen(changed.get(name, recorded(name))))
    details = changed.get("rejection_details", recorded("rejection_details"))
    stub.lay("GET", "/v3/rejection_details", chosen(details, "application_id", "application_ids"))
    for name in ("rejection_reasons", "interviews", "candidate_tags"):
        stub.lay("GET", f"/v3/{name}", changed.get(name, recorded(name)))


async def polled(stub, window=WINDOW, cursor=None, **told):
    """A whole poll: every fact, and every cursor on the way. Facts survive being kept as JSON."""
    facts, cursors = [], []
    async with api_of(QUICK, stub, NOW, **told) as (api, connection):
        while True:
            found = await greenhouse_api.page(api, connection, window, cursor)
            facts += json.loads(json.dumps(found.facts))
            cursor = json.loads(json.dumps(found.cursor))
            if cursor is None:
                return facts, cursors
            cursors.append(cursor)


def understood(facts, **told):
    return greenhouse_api.understand(facts, POLLED, view(settings=told), "poll")


def ended(**changed):
    """Facts about a rejected application, without HTTP."""
    facts = {
        "kind": "application",
        "application": recorded("applications_rejected")[0],
        "candidate": recorded("candidates")[0],
        "job": recorded("jobs")[0],
        "source": recorded("sources")[0],
        "department": recorded("departments")[0],
        "office": recorded("offices")[0],
        "detail": recorded("rejection_details")[0],
        "reason": recorded("rejection_reasons")[0],
    }
    for way, value in changed.items():
        place, _, name = way.partition("__")
        facts = {**facts, place: {**facts[place], name: value} if name else value}
    return facts


# ---- signing in -----------------------------------------------------------------------------


async def test_client_credentials_become_a_token_for_the_user_named():
    async with vendor_stub() as stub:
        stub.lay("POST", "/token", {"access_token": "tok-1", "expires_at": "2026-06-02T05:00:00Z"})
        lay_lists(stub)
        told = {"api_key": "client-1:secret:2", "api_user": 4080}
        async with api_of(QUICK, stub, NOW, **told) as (api, connection):
            await greenhouse_api.words(api, connection)

    token, asked = stub.calls
    basic = base64.b64encode(b"client-1:secret:2").decode()
    assert token.headers["authorization"] == f"Basic {basic}"
    assert token.form == {"grant_type": ["client_credentials"], "sub": ["4080"]}
    assert asked.headers["authorization"] == "Bearer tok-1"


async def test_without_a_user_the_credential_s_own_is_meant():
    async with vendor_stub() as stub:
        stub.lay("POST", "/token", {"access_token": "tok-1"})
        async with api_of(QUICK, stub, NOW, api_key="client-1:secret"):
            pass

    assert stub.calls[0].form == {"grant_type": ["client_credentials"]}


async def test_tokens_come_from_the_root_of_another_host_also_when_its_api_has_a_path():
    async with vendor_stub() as stub:
        stub.lay("POST", "/token", {"access_token": "tok-1"})
        stub.lay("GET", "/gateway/harvest/rejection_reasons", [])
        told = {"api_base": f"{stub.base}/gateway/harvest", "api_key": "a:b"}
        async with api_of(QUICK, stub, NOW, **told) as (api, connection):
            await greenhouse_api.words(api, connection)

    assert [call.path for call in stub.calls] == ["/token", "/gateway/harvest/rejection_reasons"]


def test_the_vendor_s_own_tokens_come_from_its_sign_in_host():
    assert greenhouse_api._token_url(view()) == "https://auth.greenhouse.io/token"
    assert list(greenhouse_api.HOSTS) == ["https://auth.greenhouse.io"]


async def test_a_key_without_a_colon_is_a_token_already():
    async with vendor_stub() as stub:
        lay_lists(stub)
        async with api_of(QUICK, stub, NOW, api_key=" tok-9 ") as (api, connection):
            await greenhouse_api.words(api, connection)

    assert [call.headers["authorization"] for call in stub.calls] == ["Bearer tok-9"]


@pytest.mark.parametrize("key", [None, "", "  ", 7])
async def test_without_a_key_a_person_must_act(key):
    async with vendor_stub() as stub:
        with pytest.raises(VendorRefused, match="setting_missing"):
            async with api_of(QUICK, stub, NOW, api_key=key):
                pass

    assert stub.calls == []


@pytest.mark.parametrize(("said", "error", "code"), [
    (Said({"message": "invalid client"}, 401), VendorRefused, "api_unauthorised"),
    (Said({"error": "invalid_request"}, 400), VendorRefused, "api_refused"),
    (Said({"error": "slow down"}, 429), VendorDown, "api_busy"),
    (Said(None, 503), VendorDown, "api_unavailable"),
    (Said({"token_type": "Bearer"}), VendorDown, "api_answer_unreadable"),
    (Said({"access_token": ""}), VendorDown, "api_answer_unreadable"),
    (Said([]), VendorDown, "api_answer_unreadable"),
])  # fmt: skip
async def test_a_token_that_is_not_given(said, error, code):
    async with vendor_stub() as stub:
        stub.lay("POST", "/token", said)
        with pytest.raises(error) as caught:
            async with api_of(QUICK, stub, NOW, api_key="a:b"):
                pass

    assert caught.value.code == code


# ---- polling --------------------------------------------------------------------------------


async def test_a_poll_goes_through_every_part_and_asks_for_the_window_only():
    async with vendor_stub() as stub:
        lay_lists(stub)
        facts, cursors = await polled(stub)

    assert [one["part"] for one in cursors] == ["hired", "active", "interviews"]
    lists = [call for call in stub.asked("/v3/applications") if "ids" not in call.query]
    since = "gte|2026-06-02T00:00:00Z"
    assert [call.query for call in lists] == [
        {"status": [status], "last_activity_at": [since], "per_page": ["500"]}
        for status in ("rejected", "hired", "active")
    ]
    assert stub.asked("/v3/interviews")[0].query == {"updated_at": [since], "per_page": ["500"]}
    assert [(one["kind"], one["application"]["id"]) for one in facts] == [
        ("application", 48206133001), ("application", 48206133002), ("application", 48206133003),
        ("application", 48206133004), ("interviews", 48206133001), ("interviews", 48206133004),
    ]  # fmt: skip


async def test_people_jobs_and_reasons_are_asked_for_together():
    async with vendor_stub() as stub:
        lay_lists(stub)
        async with api_of(QUICK, stub, NOW) as (api, connection):
            await greenhouse_api.page(api, connection, WINDOW, None)

    assert [(call.path, call.query.get("ids")) for call in stub.calls[1:]] == [
        ("/v3/candidates", ["31,32"]), ("/v3/jobs", ["204"]), ("/v3/sources", ["27"]),
        ("/v3/departments", ["3"]), ("/v3/offices", ["6"]),
        ("/v3/rejection_details", None), ("/v3/rejection_reasons", None),
    ]  # fmt: skip
    assert stub.asked("/v3/rejection_details")[0].query["application_ids"] == [
        "48206133001,48206133002"
    ]
    assert stub.asked("/v3/rejection_reasons")[0].query["include_defaults"] == ["true"]


async def test_reasons_are_asked_for_by_what_an_application_says_of_itself():
    rows = recorded("applications_rejected")
    async with vendor_stub() as stub:
        lay_lists(stub, hired=rows, in_process=rows)
        facts, _ = await polled(stub)

    found = [
        understood(one).events[0] for one in facts
        if one["kind"] == "application" and one["application"]["id"] == rows[0]["id"]
    ]  # fmt: skip
    assert len(found) == 3
    assert found[0]["rejection"]["initiated_by"] == "company"
    assert found[0] == found[1] == found[2]


async def test_no_more_than_fifty_ids_fit_into_a_call():
    template = recorded("applications_rejected")[0]
    many = [{**template, "id": 1000 + n, "candidate_id": 100 + n} for n in range(120)]
    people = [{**recorded("candidates")[0], "id": 100 + n} for n in range(120)]
    async with vendor_stub() as stub:
        lay_lists(stub, rejected=many, candidates=people, rejection_details=[])
        async with api_of(QUICK, stub, NOW) as (api, connection):
            found = await greenhouse_api.page(api, connection, WINDOW, None)

    for path, ask in (("candidates", "ids"), ("rejection_details", "application_ids")):
        asked = [call.query[ask][0].split(",") for call in stub.asked(f"/v3/{path}")]
        assert [len(ids) for ids in asked] == [50, 50, 20]
        assert len({one for ids in asked for one in ids}) == 120
    assert len(stub.asked("/v3/jobs")) == 1
    assert stub.asked("/v3/rejection_reasons") == []
    assert [one["candidate"]["id"] for one in found.facts] == [100 + n for n in range(120)]


async def test_after_the_first_page_nothing_but_the_cursor_is_sent():
    rows = recorded("applications_rejected")
    async with vendor_stub() as stub:
        lay_lists(stub)
        link = f'<{stub.base}/v3/applications?cursor=abc%3D%3D>; rel="next"'
        stub.lay("GET", "/v3/applications", Said(rows[:1], headers={"link": link}), rows[1:])
        async with api_of(QUICK, stub, NOW) as (api, connection):
            first = await greenhouse_api.page(api, connection, WINDOW, None)
            kept = json.loads(json.dumps(first.cursor))
            second = await greenhouse_api.page(api, connection, WINDOW, kept)

    assert kept == {"part": "rejected", "at": "abc=="}
    assert stub.asked("/v3/applications")[1].query == {"cursor": ["abc=="]}
    assert [one["application"]["id"] for one in first.facts] == [48206133001]
    assert [one["application"]["id"] for one in second.facts] == [48206133002]
    assert second.cursor == {"part": "hired", "at": None}


async def test_a_poll_cut_off_goes_on_where_it_was():
    async with vendor_stub() as stub:
        lay_lists(stub)
        facts, cursors = await polled(stub, cursor={"part": "active", "at": None})

    assert [one["application"]["id"] for one in facts][:1] == [48206133004]
    assert [one["part"] for one in cursors] == ["interviews"]


@pytest.mark.parametrize(("said", "code"), [
    (lambda stub: Said([], headers={"link": f'<{stub.base}/v3/applications?page=2>; rel="next"'}),
     "api_answer_unreadable"),
    (lambda _: {"message": "being prepared"}, "api_answer_unreadable"),
    (lambda _: [1], "api_answer_unreadable"),
    (lambda _: Said(None, 502), "api_unavailable"),
], ids=["no cursor", "an object", "numbers", "broken"])  # fmt: skip
async def test_an_answer_that_is_no_list_is_asked_for_again(said, code):
    async with vendor_stub() as stub:
        stub.lay("GET", "/v3/applications", said(stub))
        async with api_of(QUICK, stub, NOW) as (api, connection):
            with pytest.raises(VendorDown, match=code):
                await greenhouse_api.page(api, connection, WINDOW, None)


async def test_a_cursor_that_leads_to_itself_is_not_followed_for_ever():
    async with vendor_stub() as stub:
        link = f'<{stub.base}/v3/rejection_reasons?cursor=x>; rel="next"'
        stub.lay("GET", "/v3/rejection_reasons", Said([], headers={"link": link}))
        async with api_of(QUICK, stub, NOW) as (api, connection):
            with pytest.raises(VendorDown, match="api_paging_stuck"):
                await greenhouse_api.words(api, connection)

    assert len(stub.calls) == 2


async def test_too_many_calls_wait_as_long_as_the_vendor_says():
    async with vendor_stub() as stub:
        stub.lay("GET", "/v3/applications", Said(None, 429, {"retry-after": "21"}))
        async with api_of(QUICK, stub, NOW) as (api, connection):
            with pytest.raises(VendorDown) as caught:
                await greenhouse_api.page(api, connection, WINDOW, None)

    assert caught.value.retry_after == timedelta(seconds=21)


async def test_a_user_who_may_not_list_must_be_changed_by_a_person():
    async with vendor_stub() as stub:
        stub.lay("GET", "/v3/applications", Said({"message": "Site Admin only"}, 403))
        async with api_of(QUICK, stub, NOW) as (api, connection):
            with pytest.raises(VendorRefused) as caught:
                await greenhouse_api.page(api, connection, WINDOW, None)

    assert (caught.value.code, caught.value.status) == ("api_unauthorised", 403)


# ---- ends -----------------------------------------------------------------------------------


async def test_a_rejection_found_by_asking_with_all_its_fields():
    async with vendor_stub() as stub:
        lay_lists(stub)
        facts, _ = await polled(stub)
    reading = understood(facts[0])

    assert reading.provider_event == "poll"
    assert reading.as_of == datetime(2026, 6, 2, 0, 41, 7, 412000, tzinfo=UTC)
    assert (reading.states, reading.undated) == (False, False)
    assert list(reading.events) == [
        {
            "type": "application.rejected",
            "schema_version": "1",
            "provider": "greenhouse",
            "connection_id": "ats_1",
            "provider_event": "poll",
            "provider_event_id": None,
            "dedupe_key": f"greenhouse:ats_1:application.rejected:{HANAKO}:2026-06-02T00:41:07Z",
            "supersedes": None,
            "occurred_at": "2026-06-02T00:41:07Z",
            "received_at": "2026-06-02T04:00:00Z",
            "application": {
                "external_id": HANAKO,
                "url": None,
                "status": "rejected",
                "applied_at": "2026-05-12T00:15:31Z",
                "stage": {"id": "71", "name": "二次面接"},
                "source": "自社採用サイト",
                "custom_fields": {
                    "desired_start": {
                        "name": "Desired start", "type": "date", "value": "2026-09-01",
                    }
                },
            },
            "candidate": {
                "external_id": "31",
                "display_name": "花子 試験",
                "given_name": "花子",
                "family_name": "試験",
                "emails": [
                    {"value": "hanako@work.example", "type": "work", "primary": False},
                    {"value": "Hanako.Shiken@mail.example", "type": "personal", "primary": False},
                ],
                "primary_email": "Hanako.Shiken@mail.example",
                "phones": [{"value": "０９０−１２３４−５６７８", "type": "mobile"}],
                "url": None,
                "tags": ["海外営業", "TOEIC 800"],
                "is_private": False,
                "is_internal": False,
                "can_email": True,
                "is_anonymized": False,
                "merged_into_external_id": None,
            },
            "job": {
                "external_id": "204",
                "title": "法人営業 R&D",
                "department": "営業部",
                "location": "東京都千代田区",
                "requisition_id": "REQ-7",
                "confidential": False,
            },
            "rejection": {
                "initiated_by": "company",
                "reason_id": "14",
                "reason_text": "経験が求める水準と異なる",
                "reason_type_raw": "We rejected them",
                "rejected_at": "2026-06-02T00:41:07.412000Z",
                "not_before": None,
            },
            "interview": None,
            "deletion": None,
            "attachments": [],
            "enrichment": "complete",
            "holds": [],
        }
    ]  # fmt: skip


@pytest.mark.parametrize(("polled_at", "sent_at"), [
    ("2026-06-02T00:41:07Z", "2026-06-02T09:41:07.412+09:00"),
    ("2026-06-02T00:41:07.412Z", "2026-06-02T09:41:07+09:00"),
    ("2026-06-02T00:41:07.412931Z", "2026-06-02T09:41:07.412+09:00"),
    ("2026-06-02T00:41:07.999Z", "2026-06-02T00:41:07.001Z"),
])  # fmt: skip
def test_webhook_and_poll_of_one_rejection_are_one_however_exact_their_times(polled_at, sent_at):
    body = sample("reject_candidate")
    body["payload"]["application"]["rejected_at"] = sent_at
    sent = greenhouse.read(incoming(body, NOW), view()).events[0]
    found = understood(ended(application__rejected_at=polled_at)).events[0]

    assert found["dedupe_key"] == sent["dedupe_key"]
    assert found["occurred_at"] == sent["occurred_at"]
    assert _meaning(found) == _meaning(sent)
    assert {"candidate", "job"} == {
        part for part in ("candidate", "job")
        if {**found[part], "url": None} == {**sent[part], "url": None}
    }  # fmt: skip


def test_webhook_and_poll_of_one_withdrawal_are_one():
    body = sample("reject_candidate_withdrew")
    sent = greenhouse.read(incoming(body, NOW), view()).events[0]
    told = body["payload"]["application"]
    reason = told["rejection_reason"]
    reason = {**reason, "type": {**reason["type"], "key": "THEY_REJECTED_US"}}
    facts = ended(
        application__id=told["id"], application__rejected_at=told["rejected_at"], reason=reason
    )
    found = understood(facts).events[0]

    assert found["type"] == sent["type"] == "application.withdrawn"
    assert found["dedupe_key"] == sent["dedupe_key"]
    assert _meaning(found) == _meaning(sent)


async def test_the_candidate_s_own_end_is_a_withdrawal():
    async with vendor_stub() as stub:
        lay_lists(stub)
        facts, _ = await polled(stub)
    event = understood(facts[1]).events[0]

    assert event["type"] == "application.withdrawn"
    assert event["rejection"]["initiated_by"] == "candidate"
    assert (event["rejection"]["reason_id"], event["rejection"]["reason_text"]) == (
        "21", "他社に決定",
    )  # fmt: skip
    assert event["holds"] == []


@pytest.mark.parametrize(("kind", "initiator", "holds"), [
    ({"key": "WE_REJECTED_THEM", "name": "Von uns"}, "company", []),
    ({"key": "SECURITY_CONCERN", "name": "Security concern"}, "company", ["reason_excluded"]),
    ({"key": "SECURITY_CONCERN", "name": "セキュリティ"}, "company", ["reason_excluded"]),
    ({"key": "NONE_SPECIFIED", "name": "None specified"}, "unknown", ["reason_unclassified"]),
    ({"key": "SOMETHING_NEW", "name": "Location"}, "unknown", ["reason_unclassified"]),
    ({"key": None, "name": "We rejected them"}, "company", []),
    (None, "unknown", ["reason_unclassified"]),
])  # fmt: skip
def test_the_type_s_key_decides_who_ended_it(kind, initiator, holds):
    event = understood(ended(reason={"id": 9, "name": "They rejected us", "type": kind})).events[0]

    assert event["type"] == "application.rejected"
    assert event["rejection"]["initiated_by"] == initiator
    assert event["holds"] == holds


def test_the_key_beats_the_name_the_tenant_gave():
    reason = {"id": 9, "name": "x", "type": {"key": "THEY_REJECTED_US", "name": "We rejected them"}}

    assert understood(ended(reason=reason)).events[0]["type"] == "application.withdrawn"


def test_without_details_nobody_knows_who_ended_it():
    reading = understood(ended(detail=None, reason=None))

    assert reading.events[0]["rejection"]["initiated_by"] == "unknown"
    assert reading.events[0]["holds"] == ["reason_unclassified"]
    assert list(reading.unmapped) == []


@pytest.mark.parametrize(("mapped", "kind"), [
    ("candidate", "application.withdrawn"), ("company", "application.rejected"),
    ("hired", "application.hired"),
])  # fmt: skip
def test_the_tenant_s_map_knows_a_reason_the_vendor_no_longer_lists(mapped, kind):
    reading = understood(ended(reason=None), reason_map={"14": mapped})

    assert reading.events[0]["type"] == kind
    assert list(reading.unmapped) == []


def test_a_reason_without_meaning_is_named():
    reason = {"id": 31, "name": "Withdrew", "type": {"key": "NONE_SPECIFIED"}}

    assert list(understood(ended(reason=reason)).unmapped) == [
        Word("reason", "31", "Withdrew", "candidate")
    ]


def test_the_time_of_the_end_may_stand_in_the_details_only():
    reading = understood(ended(application__rejected_at=None))

    assert reading.events[0]["occurred_at"] == "2026-06-02T00:41:07Z"
    assert reading.undated is False


def test_an_end_without_any_time_is_told_as_undated():
    reading = understood(ended(application__rejected_at=None, detail__rejected_at=None))

    assert reading.undated is True
    assert reading.events[0]["rejection"]["rejected_at"] is None
    assert reading.events[0]["occurred_at"] == "2026-06-02T00:41:07Z"


async def test_a_hire_and_an_application_that_goes_on_are_states():
    async with vendor_stub() as stub:
        lay_lists(stub)
        facts, _ = await polled(stub)
    hired, active = understood(facts[2]), understood(facts[3])

    assert (hired.states, active.states) == (True, True)
    assert [one["dedupe_key"] for one in (*hired.events, *active.events)] == [
        "greenhouse:ats_1:application.hired:48206133003:2026-06-02T02:00:00Z",
        "greenhouse:ats_1:application.rejection_reverted:48206133004:2026-06-02T03:00:00Z",
    ]
    assert active.events[0]["application"]["status"] == "active"
    assert active.events[0]["holds"] == ["no_email", "private_candidate", "can_email_false"]


@pytest.mark.parametrize("name", ["hire_candidate", "unreject_candidate"])
def test_webhook_and_poll_of_a_hire_and_of_a_reversal_have_one_key(name):
    body = sample(name)
    sent = greenhouse.read(incoming(body, NOW), view())
    status = {"hire_candidate": "hired", "unreject_candidate": "in_process"}[name]
    facts = ended(
        application__status=status, application__rejected_at=None,
        application__last_activity_at=body["payload"]["application"]["last_activity_at"],
    )  # fmt: skip
    found = understood(facts)

    assert found.events[0]["dedupe_key"] == sent.events[0]["dedupe_key"]
    assert (found.states, sent.states) == (True, False)


@pytest.mark.parametrize("status", ["converted", None, "new", 7])
def test_other_states_mean_nothing(status):
    assert list(understood(ended(application__status=status)).events) == []


def test_a_job_we_may_not_see_is_confidential():
    event = understood(ended(job=None)).events[0]

    assert event["job"]["external_id"] == "204"
    assert (event["job"]["title"], event["job"]["confidential"]) == (None, True)
    assert event["holds"] == ["confidential_job"]


@pytest.mark.parametrize(("considered", "job"), [([205, 206], "205"), ([], None), (None, None)])
def test_a_prospect_has_the_first_job_it_is_considered_for_or_none(considered, job):
    facts = ended(
        application__prospect=True, application__job_id=None, job__id=205,
        application__prospective_job_ids=considered,
    )  # fmt: skip
    event = understood(facts).events[0]

    assert (event["job"] or {}).get("external_id") == job
    assert event["application"]["applied_at"] is None
    assert event["holds"] == ["prospect"]


async def test_the_jobs_of_prospects_are_asked_for_too():
    prospect = {**recorded("applications_rejected")[0], "prospect": True, "job_id": None}
    rows = [{**prospect, "prospective_job_ids": [204, 205]}, {**prospect, "id": 2}]
    async with vendor_stub() as stub:
        lay_lists(stub, rejected=rows)
        async with api_of(QUICK, stub, NOW) as (api, connection):
            found = await greenhouse_api.page(api, connection, WINDOW, None)

    assert [call.query["ids"] for call in stub.asked("/v3/jobs")] == [["204"]]
    assert [(one["job"] or {}).get("name") for one in found.facts] == ["法人営業 R&D", None]


def test_facts_hold_no_more_of_a_person_than_is_read():
    kept = greenhouse_api._kept(recorded("applications_rejected")[0], greenhouse_api._APPLICATION)

    assert "answers" not in kept
    assert "addresses" not in greenhouse_api._CANDIDATE


@pytest.mark.parametrize(("way", "value", "code"), [
    ("kind", "offer", "facts_malformed"),
    ("application", None, "application_missing"),
    ("application__id", None, "application_id_missing"),
    ("application__prospect", "no", "prospect_malformed"),
    ("application__rejected_at", "2026-06-02T00:41:07", "rejected_at_malformed"),
    ("application__last_activity_at", 5, "last_activity_at_malformed"),
    ("application__job_id", 1.5, "job_id_malformed"),
    ("candidate", None, "candidate_missing"),
    ("candidate__id", None, "candidate_id_missing"),
    ("candidate__private", "yes", "private_malformed"),
    ("candidate__can_email", 1, "can_email_malformed"),
    ("candidate__email_addresses", ["a@b.example"], "emails_malformed"),
    ("job__confidential", "no", "confidential_malformed"),
    ("detail", [], "rejection_details_malformed"),
    ("reason", "x", "rejection_reason_malformed"),
    ("reason__type", 7, "reason_type_malformed"),
])  # fmt: skip
def test_what_decides_is_never_guessed(way, value, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        understood(ended(**{way: value}))


@pytest.mark.parametrize(("way", "value"), [
    ("source", "x"), ("source", None), ("department", 7), ("office", []), ("office__location", {}),
    ("application__custom_fields", []), ("application__stage_name", 7), ("candidate__tags", "x"),
    ("candidate__phone_numbers", None), ("job__name", 7),
])  # fmt: skip
def test_a_broken_decoration_is_left_out(way, value):
    assert understood(ended(**{way: value})).events[0]["type"] == "application.rejected"


# ---- interviews -----------------------------------------------------------------------------


def meetings(*changes, **told):
    """A reading of interviews: the recorded one, changed."""
    rows = [{**recorded("interviews")[0], **one} for one in changes]
    return understood({**ended(), "kind": "interviews", "interviews": rows}, **told)


async def test_the_interviews_of_one_application_are_looked_up():
    about = {"kind": "interviews", "application_id": HANAKO}
    async with vendor_stub() as stub:
        lay_lists(stub)
        link = f'<{stub.base}/v3/interviews?cursor=n>; rel="next"'
        one = recorded("interviews")[0]
        stub.lay("GET", "/v3/interviews", Said([one], headers={"link": link}), [{**one, "id": 2}])
        async with api_of(QUICK, stub, NOW) as (api, connection):
            facts = json.loads(json.dumps(await greenhouse_api.look_up(api, connection, about)))

    first, second = stub.asked("/v3/interviews")
    assert first.query == {"application_ids": [HANAKO], "per_page": ["500"]}
    assert second.query == {"cursor": ["n"]}
    assert facts["about"] == about
    assert [one["interview"]["external_id"] for one in understood(facts).events] == [
        "31087450", "2",
    ]  # fmt: skip


async def test_an_application_that_is_gone_has_no_interviews():
    async with vendor_stub() as stub:
        lay_lists(stub)
        async with api_of(QUICK, stub, NOW) as (api, connection):
            facts = await greenhouse_api.look_up(
                api, connection, {"kind": "interviews", "application_id": "5"}
            )

    assert stub.asked("/v3/interviews") == []
    assert list(understood(facts).events) == []


@pytest.mark.parametrize("about", [
    {}, {"kind": "interviews"}, {"kind": "offers", "application_id": "1"},
    {"kind": "interviews", "application_id": "1,2"}, {"kind": "interviews", "application_id": 1.5},
])  # fmt: skip
async def test_a_lookup_that_names_nothing(about):
    async with vendor_stub() as stub, api_of(QUICK, stub, NOW) as (api, connection):
        with pytest.raises(Unreadable):
            await greenhouse_api.look_up(api, connection, about)

    assert stub.calls == []


async def test_interviews_found_by_asking_are_told_by_application():
    async with vendor_stub() as stub:
        lay_lists(stub)
        facts, _ = await polled(stub, cursor={"part": "interviews", "at": None})
    planned, held = (understood(one).events[0] for one in facts)

    assert planned["type"] == "interview.scheduled"
    assert planned["interview"] == {
        "external_id": "31087450", "starts_at": "2026-06-03T01:00:00Z",
        "ends_at": "2026-06-03T02:00:00Z", "all_day": False, "status": "scheduled",
    }  # fmt: skip
    assert planned["occurred_at"] == "2026-05-28T02:00:00Z"
    assert planned["dedupe_key"] == (
        f"greenhouse:ats_1:interview.scheduled:{HANAKO}:2026-06-03T01:00:00Z"
    )
    assert (planned["application"]["external_id"], planned["candidate"]["external_id"]) == (
        HANAKO, "31",
    )  # fmt: skip
    assert held["type"] == "interview.completed"
    assert held["occurred_at"] == "2026-05-30T02:00:00Z"
    assert held["interview"]["status"] == "completed"


async def test_an_interview_of_an_application_we_cannot_see_is_left_out():
    hidden = [{**recorded("interviews")[0], "application_id": 999}]
    async with vendor_stub() as stub:
        lay_lists(stub, interviews=hidden)
        facts, _ = await polled(stub, cursor={"part": "interviews", "at": None})

    assert facts == []


def test_what_is_known_of_interviews_is_as_new_as_the_answer():
    assert meetings({}).as_of == NOW


@pytest.mark.parametrize(("change", "kind"), [
    ({"status": "complete"}, "interview.completed"),
    ({"status": "awaiting_feedback"}, "interview.completed"),
    ({"status": "scheduled"}, "interview.scheduled"),
    ({"status": "collect_feedback"}, "interview.scheduled"),
    ({"status": "a new one"}, "interview.scheduled"),
    ({"status": None}, "interview.scheduled"),
    ({"status": "to_be_scheduled"}, "interview.scheduled"),
    ({"ends_at": "2026-06-02T03:59:59Z"}, "interview.completed"),
    ({"ends_at": "2026-06-02T04:00:00Z"}, "interview.scheduled"),
    ({"starts_at": "2026-06-02T03:59:59Z", "ends_at": None}, "interview.completed"),
    ({"starts_at": "2026-06-02T04:00:01Z", "ends_at": None}, "interview.scheduled"),
])  # fmt: skip
def test_an_interview_took_place_by_its_state_or_its_end(change, kind):
    reading = meetings(change)

    assert [one["type"] for one in reading.events] == [kind]
    assert list(reading.asides) == []


@pytest.mark.parametrize("change", [
    {"status": "skipped"},
    {"status": "skipped", "starts_at": None, "ends_at": None},
    {"status": "to_be_scheduled", "starts_at": None, "ends_at": None},
])  # fmt: skip
def test_an_interview_skipped_or_to_be_planned_anew_is_off(change):
    reading = meetings(change)

    assert (list(reading.events), list(reading.asides)) == (
        [], [Aside("interview_off", "31087450")],
    )  # fmt: skip


@pytest.mark.parametrize("change", [
    {"status": "to_be_sent"}, {"status": "sent"}, {"status": "received"},
    {"status": "collect_feedback", "starts_at": None, "ends_at": None},
    {"status": "scheduled", "starts_at": None, "ends_at": None},
])  # fmt: skip
def test_a_test_at_home_or_a_time_not_known_is_no_interview_of_ours(change):
    reading = meetings(change)

    assert (list(reading.events), list(reading.asides)) == ([], [])


def test_an_interview_held_without_a_time_in_the_calendar_counts_once():
    change = {"status": "complete", "starts_at": None, "ends_at": None}
    event = meetings(change).events[0]
    later = meetings({**change, "updated_at": "2026-06-01T00:00:00Z"}).events[0]

    assert (event["type"], event["occurred_at"]) == ("interview.completed", "2026-05-28T02:00:00Z")
    assert event["dedupe_key"] == later["dedupe_key"]


def test_without_a_time_of_planning_it_is_when_we_heard():
    assert meetings({"scheduled_at": None}).events[0]["occurred_at"] == "2026-06-02T04:00:00Z"


ALL_DAY = {"starts_at": None, "ends_at": None, "all_day_start_on": "2026-06-02"}


@pytest.mark.parametrize(("change", "zone", "starts_at", "ends_at", "kind"), [
    ({}, {}, "2026-06-01T15:00:00Z", "2026-06-02T15:00:00Z", "interview.scheduled"),
    ({"all_day_end_on": "2026-06-03"}, {}, "2026-06-01T15:00:00Z", "2026-06-03T15:00:00Z",
     "interview.scheduled"),
    ({"all_day_start_on": "2026-06-01"}, {}, "2026-05-31T15:00:00Z", "2026-06-01T15:00:00Z",
     "interview.completed"),
    ({}, {"time_zone": "America/New_York"}, "2026-06-02T04:00:00Z", "2026-06-03T04:00:00Z",
     "interview.scheduled"),
    ({}, {"time_zone": "../etc/passwd"}, "2026-06-01T15:00:00Z", "2026-06-02T15:00:00Z",
     "interview.scheduled"),
    ({}, {"time_zone": "Mars/Base"}, "2026-06-01T15:00:00Z", "2026-06-02T15:00:00Z",
     "interview.scheduled"),
])  # fmt: skip
def test_an_interview_for_the_whole_day_lasts_that_local_day(
    change, zone, starts_at, ends_at, kind
):
    event = meetings({**ALL_DAY, **change}, **zone).events[0]

    assert event["type"] == kind
    assert event["interview"] == {
        "external_id": "31087450", "starts_at": starts_at, "ends_at": ends_at, "all_day": True,
        "status": kind.removeprefix("interview."),
    }  # fmt: skip


@pytest.mark.parametrize(("change", "code"), [
    ({"id": None}, "interview_id_missing"),
    ({"starts_at": "2026-06-03T01:00:00"}, "starts_at_malformed"),
    ({"ends_at": 7}, "ends_at_malformed"),
    ({**ALL_DAY, "all_day_start_on": "soon"}, "all_day_malformed"),
    ({**ALL_DAY, "all_day_end_on": 7}, "all_day_malformed"),
    ({**ALL_DAY, "all_day_start_on": "9999-12-31"}, "all_day_malformed"),
    ({"scheduled_at": "x"}, "scheduled_at_malformed"),
])  # fmt: skip
def test_times_of_interviews_are_never_guessed(change, code):
    with pytest.raises(Unreadable, match=f"^{code}$"):
        meetings(change)


# ---- words and notes ------------------------------------------------------------------------


async def test_reasons_with_what_their_types_suggest():
    async with vendor_stub() as stub:
        lay_lists(stub)
        async with api_of(QUICK, stub, NOW) as (api, connection):
            found = await greenhouse_api.words(api, connection)

    assert stub.calls[0].query == {"include_defaults": ["true"], "per_page": ["500"]}
    assert found == [
        Word("reason", "14", "経験が求める水準と異なる", "company"),
        Word("reason", "21", "他社に決定", "candidate"),
        Word("reason", "30", "Security", "company"),
        Word("reason", "31", "Withdrew", "candidate"),
        Word("reason", "32", "その他", None),
    ]


TOLD = WriteBack(HANAKO, "31", "再応募の案内に同意がありました。", "Career Relay")


async def left(told=TOLD, **changed):
    """What was posted, in order."""
    async with vendor_stub() as stub:
        lay_lists(stub, **changed)
        for path in ("notes", "applied_candidate_tags"):
            stub.lay("POST", f"/v3/{path}", Said({"id": 1}, 201))
        stub.lay("POST", "/v3/candidate_tags", Said({"id": 99, "name": told.tag}, 201))
        async with api_of(QUICK, stub, NOW) as (api, connection):
            await greenhouse_api.write_back(api, connection, told)
    return [(call.path, call.json) for call in stub.calls if call.method == "POST"]


NOTE = ("/v3/notes", {
    "candidate_id": 31, "application_id": 48206133001, "body": TOLD.note, "note_type": "NOTE",
    "visibility": "private",
})  # fmt: skip


async def test_a_tag_and_a_note_are_left():
    assert await left() == [
        ("/v3/applied_candidate_tags", {"candidate_id": 31, "candidate_tag_id": 71}), NOTE,
    ]  # fmt: skip


async def test_a_new_tag_is_made_first():
    assert await left(candidate_tags=[]) == [
        ("/v3/candidate_tags", {"name": "Career Relay"}),
        ("/v3/applied_candidate_tags", {"candidate_id": 31, "candidate_tag_id": 99}), NOTE,
    ]  # fmt: skip


async def test_a_tag_that_is_there_is_not_set_again():
    tagged = [{**recorded("candidates")[0], "tags": ["Career Relay"]}]

    assert await left(candidates=tagged) == [NOTE]


async def test_the_person_is_found_by_the_application():
    assert (await left(WriteBack(HANAKO, None, TOLD.note, TOLD.tag)))[-1] == NOTE


@pytest.mark.parametrize("told", [
    WriteBack("5", None, "x", "y"), WriteBack(HANAKO, "999", "x", "y"),
])  # fmt: skip
async def test_nothing_is_left_with_somebody_who_is_gone(told):
    with pytest.raises(VendorMissing):
        await left(told)


# ---- in the registry, and whatever comes ----------------------------------------------------


def test_the_api_is_registered():
    assert APIS["greenhouse"] is greenhouse_api
    assert greenhouse_api.WRITES_BACK is True
    assert greenhouse_api.POLL_EVERY.total_seconds() == 900


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["\0", "\ud800", "2026-06-02T00:00:00Z", "rejected", "hired", "complete"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
FACTS = (
    ended(),
    ended(application__status="in_process"),
    {**ended(), "kind": "interviews", "interviews": recorded("interviews")},
    {**ended(), "kind": "interviews", "interviews": [{**recorded("interviews")[0], **ALL_DAY}]},
)


def places(value, way=()):
    if way:
        yield way
    listed = value.items() if isinstance(value, dict) else ()
    for key, one in enumerate(value) if isinstance(value, list) else listed:
        yield from places(one, (*way, key))


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_whatever_the_api_says_is_understood_or_unreadable(data):
    facts = copy.deepcopy(data.draw(st.sampled_from(FACTS)))
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(list(places(facts))))
        place = facts
        for step in way:
            place = place[step]
        place[last] = data.draw(JSON)
    try:
        reading = understood(facts)
    except Unreadable as why:
        assert str(why).isidentifier()  # noqa: PT017 - both ways of ending have their rule
        return
    for event in reading.events:
        json.dumps(event, ensure_ascii=False).encode()
        assert event["application"]["external_id"]
        assert "\0" not in event["dedupe_key"]
