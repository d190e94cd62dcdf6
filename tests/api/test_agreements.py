"""Agreements as data: proposed by one side, accepted by the other, never changed."""

from datetime import date

import pytest

from tests.ledger_doors import TODAY

pytestmark = pytest.mark.anyio


def doors(table):
    return {"company": table.company, "agency": table.agency}


async def propose(table, side="company", effective_on="2026-07-01", **terms):
    agreement = table.world.agreements[0].id
    return await doors(table)[side].post(
        f"/v1/{side}/agreements/{agreement}/proposals",
        json={"terms": terms, "effective_on": effective_on},
    )


async def answer(table, side, proposal, word):
    return await doors(table)[side].post(
        f"/v1/{side}/agreements/proposals/{proposal.json()['id']}/{word}"
    )


async def test_one_proposes_the_other_accepts_and_what_was_granted_keeps_its_terms(table):
    await table.start()
    proposal = await propose(table, credits_per_placement=2, guarantee={"days": 90})
    own = await answer(table, "company", proposal, "accept")
    yes = await answer(table, "agency", proposal, "accept")
    twice = await answer(table, "agency", proposal, "accept")
    await table.to(date(2026, 7, 1))
    await table.start(date(2026, 7, 1))

    assert (proposal.status_code, own.json()["code"]) == (201, "not_yours_to_answer")
    assert (yes.json()["state"], yes.json()["version"]) == ("accepted", 2)
    assert twice.json()["version"] == 2
    ends = [(one["agreement_version"], one["guarantee_end_on"]) for one in await table.credits()]
    assert ends == [(1, "2026-12-01"), (2, "2026-09-28"), (2, "2026-09-28")]
    entries = (await table.company.get("/v1/company/credits/entries")).json()["data"]
    assert [one["agreement_version"] for one in entries] == [2, 2, 1]
    seen = (await table.agency.get(f"/v1/agency/agreements/{table.world.agreements[0].id}")).json()
    assert [one["version"] for one in seen["versions"]] == [1, 2]
    assert (seen["in_force"]["version"], seen["proposal"]) == (2, None)


async def test_a_yes_that_comes_late_holds_from_that_day(table):
    proposal = await propose(table, effective_on="2026-06-02", credits_per_placement=3)
    await table.to(date(2026, 6, 20))
    await answer(table, "agency", proposal, "accept")
    version = await table.company.get(
        f"/v1/company/agreements/{table.world.agreements[0].id}/versions/2"
    )

    assert version.json()["effective_on"] == "2026-06-20"


@pytest.mark.parametrize(
    ("terms", "effective_on", "code"),
    [
        ({"bonus": 1}, "2026-07-01", "terms_unknown"),
        ({"guarantee": {"weeks": 3}}, "2026-07-01", "terms_unknown"),
        ({"credits_per_placement": 6}, "2026-07-01", "terms_invalid"),
        ({"credits_per_placement": True}, "2026-07-01", "terms_invalid"),
        ({"fee": {"rate_percent": "1e3"}}, "2026-07-01", "terms_invalid"),
        ({"credits_per_placement": 2}, "2026-06-01", "effective_in_past"),
    ],
)
async def test_terms_that_cannot_be_are_refused(table, terms, effective_on, code):
    refused = await propose(table, effective_on=effective_on, **terms)

    assert (refused.status_code, refused.json()["code"]) == (422, code)


async def test_one_proposal_at_a_time_until_it_is_answered(table):
    first = await propose(table, credits_per_placement=2)
    second = await propose(table, "agency", credits_per_placement=3)
    cancelled = await answer(table, "company", first, "cancel")
    late = await answer(table, "agency", first, "accept")
    third = await propose(table, "agency", credits_per_placement=3)
    no = await answer(table, "company", third, "decline")

    assert second.json()["code"] == "proposal_open"
    assert (cancelled.json()["state"], late.json()["code"]) == ("cancelled", "proposal_answered")
    assert no.json()["state"] == "declined"


async def test_an_unknown_version_and_another_agencys_agreement(table):
    agreement = table.world.agreements
    unknown = await table.company.get(f"/v1/company/agreements/{agreement[0].id}/versions/7")
    foreign = await table.agency.get(f"/v1/agency/agreements/{agreement[1].id}")

    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_agreement_version")
    assert foreign.status_code == 404


async def test_an_agreement_ends_and_its_credits_live_for_the_tail(table):
    await table.start()
    await table.to(date(2026, 12, 2))
    later = await table.start(date(2026, 12, 2))
    ended = await table.agency.post(
        f"/v1/agency/agreements/{table.world.agreements[0].id}/end", json={"ends_on": "2026-12-31"}
    )
    late = await propose(table, effective_on="2027-01-01", credits_per_placement=2)
    assert (ended.status_code, ended.json()["ends_on"]) == (200, "2026-12-31")
    assert late.json()["code"] == "agreement_ended"

    await table.to(date(2027, 1, 1))
    first, second = await table.credits()
    assert first["expires_on"] == "2027-06-30"
    assert first["life"][-1]["reason"] == "agreement_ended"
    await table.to(date(2027, 6, 2))
    second = (await table.credits())[1]
    assert (later["state"], second["state"], second["expires_on"]) == (
        "placed", "available", "2027-06-30",
    )  # fmt: skip
    await table.to(date(2027, 7, 1))
    assert await table.balance() == {"expired": 2}
    assert await table.sound()


async def test_notice_for_a_far_day_binds_nobody_longer(table):
    """Either side may bring the last day forward; nobody puts it off."""
    door = f"agreements/{table.world.agreements[0].id}/end"
    far = await table.agency.post(f"/v1/agency/{door}", json={"ends_on": "2200-12-31"})
    near = await table.company.post(f"/v1/company/{door}", json={"ends_on": "2026-06-03"})
    back = await table.agency.post(f"/v1/agency/{door}", json={"ends_on": "2026-06-04"})
    assert (far.status_code, near.json()["ends_on"]) == (200, "2026-06-03")
    assert back.json()["code"] == "agreement_ended"

    await table.to(date(2026, 6, 4))
    relay = await table.somebody()
    over = await table.company.post(f"/v1/company/{door}", json={"ends_on": "2026-06-04"})
    assert (relay.reason, over.json()["code"]) == ("agreement_ended", "agreement_ended")


async def test_a_rehearsal_binds_nobody(table):
    """With `dry_run` nothing of it stands: no proposal, no answer, no notice, no key used up."""
    agreement = table.world.agreements[0].id
    door, key = f"/v1/agency/agreements/{agreement}", {"idempotency-key": "k-1"}
    offer = {"terms": {"credits_per_placement": 2}, "effective_on": "2026-07-01"}
    tried = await table.agency.post(f"{door}/proposals?dry_run=true", json=offer, headers=key)
    made = await table.agency.post(f"{door}/proposals", json=offer, headers=key)
    said = await table.company.post(
        f"/v1/company/agreements/proposals/{made.json()['id']}/accept?dry_run=true"
    )
    ended = await table.agency.post(f"{door}/end?dry_run=true", json={"ends_on": "2026-07-01"})
    there = (await table.agency.get(door)).json()

    assert [one.json()["dry_run"] for one in (tried, said, ended)] == [True] * 3
    assert said.json()["would_answer"]["state"] == "accepted"
    assert ended.json()["would_answer"]["ends_on"] == "2026-07-01"
    assert made.status_code == 201
    assert there["proposal"]["state"] == "proposed"
    assert (len(there["versions"]), there["ends_on"]) == (1, None)


async def test_names_nobody_knows_are_told_as_far_as_they_can_be(table):
    door = f"/v1/company/agreements/{table.world.agreements[0].id}/proposals"
    name = r"\ud800" + "x" * 100_000
    body = f'{{"terms": {{"{name}": 1}}, "effective_on": "2026-07-01"}}'
    kind = {"content-type": "application/json"}
    refused = await table.company.post(door, content=body, headers=kind)

    assert (refused.status_code, refused.json()["code"]) == (422, "terms_unknown")
    assert refused.json()["detail"] == "no such terms: ?" + "x" * 99


async def test_nothing_new_is_relayed_after_the_end(table):
    await table.company.post(
        f"/v1/company/agreements/{table.world.agreements[0].id}/end",
        json={"ends_on": TODAY.isoformat()},
    )
    await table.to(date(2026, 6, 3))
    relay = await table.somebody()

    assert (relay.state, relay.reason) == ("queued", "agreement_ended")


@pytest.mark.parametrize(
    ("pay", "rate", "salary", "fee"),
    [
        ({"annual_salary": 5_000_000}, "35", 5_000_000, (1_750_000, 175_000, 1_925_000)),
        (
            {"base_monthly": 300_000, "fixed_allowances_monthly": 20_000,
             "expected_full_year_bonus": 600_000},
            "35", 4_440_000, (1_554_000, 155_400, 1_709_400),
        ),
        ({"annual_salary": 4_333_333}, "33", 4_333_333, (1_429_999, 142_999, 1_572_998)),
        ({"annual_salary": 7_200_000}, "32.5", 7_200_000, (2_340_000, 234_000, 2_574_000)),
    ],
)  # fmt: skip
async def test_a_quote_follows_the_agreement(table, pay, rate, salary, fee):
    await table.terms(fee={"rate_percent": rate})
    answered = await table.agency.post(
        f"/v1/agency/agreements/{table.world.agreements[0].id}/quotes",
        json={"pay": pay, "started_on": "2026-06-02"},
    )
    found = answered.json()

    assert answered.status_code == 200, answered.text
    assert (found["theoretical_salary"], found["tax_percent"]) == (salary, 10)
    assert tuple(found["fee"].values()) == fee
    assert (found["guarantee_end_on"], found["refund"]) == ("2026-12-01", None)


async def test_a_quote_with_an_early_leave(table):
    await table.terms(
        fee={"rate_percent": "35"},
        refund={"tiers": [{"unit": "month", "up_to": 1, "percent": 80},
                          {"unit": "month", "up_to": 3, "percent": 50}]},
    )  # fmt: skip
    leave = {
        "last_day_employed": "2026-07-02", "reason": "voluntary_leave", "claimed_on": "2026-07-10",
    }  # fmt: skip
    answered = await table.company.post(
        f"/v1/company/agreements/{table.world.agreements[0].id}/quotes",
        json={"pay": {"annual_salary": 5_000_000}, "started_on": "2026-06-02", "leave": leave},
    )

    assert answered.json()["refund"] == {
        "without_tax": 875_000, "tax": 87_500, "total": 962_500, "percent": 50, "why": "covered",
    }  # fmt: skip
    none = await table.company.post(
        f"/v1/company/agreements/{table.world.agreements[1].id}/quotes",
        json={"pay": {"annual_salary": 5_000_000}, "started_on": "2026-06-02"},
    )
    assert none.json()["code"] == "no_fee_terms"
