"""The pure half of the ledger: the canonical form, fingerprints, what is taken back first."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.credits import FIRST_HASH, RULES, Bucket, Credit, Kind
from domain.posting import DateSet, Move, NewCredit, Posting, canon, chain_hash, flat, to_take_back

FIRST = "52bf7579a8598c832bebaf15583fe69900fa41428a84a0d08da44d598efabb75"
SECOND = "8bd838e92bfe6e22b7583f2f19a9a951629b15dd9d7be1e83b8dd68384bcb76d"
AB = bytes.fromhex("ab")


def test_the_canonical_form_counts_bytes():
    assert canon("a", None, "日本") == "1:a,0:,6:日本,".encode()


def test_the_golden_chain():
    granted = chain_hash(
        FIRST_HASH,
        [7, 1, 1, date(2026, 4, 1), datetime(2026, 4, 1, tzinfo=UTC), "granted:p-1", AB,
         "system", None],
        [(1, 42, 0, 1, 1, 1500000)],
        [],
    )  # fmt: skip
    available = chain_hash(
        granted,
        [7, 2, 2, date(2026, 10, 1), datetime(2026, 10, 1, 0, 10, tzinfo=UTC), "available:42", AB,
         "system", None],
        [(1, 42, 1, 2, 1, 1500000)],
        [(42, "available_on", date(2026, 10, 1)), (42, "expires_on", date(2027, 9, 30))],
    )  # fmt: skip

    assert (granted.hex(), available.hex()) == (FIRST, SECOND)


@given(st.lists(st.text()), st.lists(st.text()))
def test_two_lists_of_parts_never_share_a_form(one, other):
    assert (canon(*one) == canon(*other)) == (one == other)


def test_the_form_is_not_fooled_by_separators():
    assert canon("a,1:b") != canon("a", "b")


@pytest.mark.parametrize("kind", list(Kind))
def test_every_rule_keeps_the_signs_a_bucket_can_have(kind):
    """Only `issued` and `owed` give without having: nothing else may go below zero."""
    for rule in (rule for rule in RULES if rule.kind == kind):
        assert rule.source != rule.target
        assert rule.target != Bucket.ISSUED
        assert rule.touches_state or rule.unit != 1 or Bucket.OWED in {rule.source, rule.target}


def new(number="crd_1", **more):
    facts = {
        "agreement_id": "agr_1", "agreement_version": 1, "placement_id": "plc_1",
        "relay_id": "rly_1", "terms": {"guarantee": {"months": 6}}, "started_on": date(2026, 4, 1),
        "guarantee_end_on": date(2026, 9, 30),
    }  # fmt: skip
    return NewCredit(id=number, **{**facts, **more})


def grant(*made, **more):
    return Posting(
        kind=Kind.GRANTED, key="granted:plc_1", effective_on=date(2026, 4, 1), actor="agy_1",
        moves=[Move(one.id, Bucket.ISSUED, Bucket.PENDING) for one in made], credits=made,
        **more,
    )  # fmt: skip


def test_a_repeated_grant_is_recognised_though_its_ids_are_new():
    assert grant(new("crd_1")).fingerprint() == grant(new("crd_2")).fingerprint()


@pytest.mark.parametrize(
    "other",
    [
        grant(new(), new("crd_2")),
        grant(new(terms={"guarantee": {"months": 3}})),
        grant(new(agreement_version=2)),
        grant(new(reference_value_jpy=1)),
        grant(new(value_cap_jpy=0)),
        grant(new(placement_id="plc_2")),
        grant(new(started_on=date(2026, 4, 2))),
        grant(new(), reason="late_fact"),
        grant(new(), request={"fact_on": "2026-03-31"}),
    ],
)
def test_another_grant_has_another_fingerprint(other):
    assert other.fingerprint() != grant(new()).fingerprint()


def test_a_fingerprint_names_the_credits_and_dates_of_a_later_posting():
    def available(credit, day):
        return Posting(
            kind=Kind.BECAME_AVAILABLE, key="available", effective_on=day, actor="system",
            moves=[Move(credit, Bucket.PENDING, Bucket.AVAILABLE)],
            dates=[DateSet(credit, "available_on", day)],
        )  # fmt: skip

    first = available("crd_1", date(2026, 10, 1)).fingerprint()

    assert available("crd_2", date(2026, 10, 1)).fingerprint() != first
    assert available("crd_1", date(2026, 10, 2)).fingerprint() != first


def test_a_document_is_flattened_in_the_order_of_its_keys():
    terms = {"b": [1, {"z": None}], "a": {"d": True, "c": "x"}}

    assert flat(terms) == [".a.c", "x", ".a.d", "True", ".b[0]", "1", ".b[1].z", ""]
    assert flat({"a": [], "b": {}}) == [".a", "[]", ".b", "{}"]


def test_no_two_documents_look_alike():
    """`a.b` inside `a`, and a key that is written so, are different terms."""
    nested, written = {"scope": {"cap": [5]}}, {"scope.cap": [5], "scope": {"cap[0]": 5, "\\.": 5}}

    assert flat(nested) == [".scope.cap[0]", "5"]
    assert flat(written) == [
        ".scope.\\\\\\.", "5", ".scope.cap\\[0]", "5", ".scope\\.cap[0]", "5",
    ]  # fmt: skip


def credit(number, bucket, expires=None, available=None):
    return Credit(
        company_id="cmp_1", id=f"crd_{number}", agency_id="agy_1", book_id="bok_1", grant_key="g",
        agreement_id="agr_1", agreement_version=1, terms={}, bucket=int(bucket),
        started_on=date(2026, 4, 1), guarantee_end_on=date(2026, 9, 30), expires_on=expires,
        available_on=available,
    )  # fmt: skip


def test_what_costs_the_company_least_is_taken_first():
    buckets = [Bucket.USED, Bucket.RESERVED, Bucket.FROZEN, Bucket.EXPIRED, Bucket.AVAILABLE,
               Bucket.PENDING, Bucket.REVERSED]  # fmt: skip
    granted = [credit(number, bucket) for number, bucket in enumerate(buckets)]

    taken = to_take_back(granted, 7)

    assert [Bucket(one.bucket) for one in taken] == [
        Bucket.PENDING, Bucket.AVAILABLE, Bucket.EXPIRED, Bucket.FROZEN, Bucket.RESERVED,
        Bucket.USED, Bucket.REVERSED,
    ]  # fmt: skip


def test_inside_a_group_the_latest_expiry_goes_first():
    early = credit(1, Bucket.AVAILABLE, date(2027, 1, 31))
    late = credit(2, Bucket.AVAILABLE, date(2027, 9, 30))

    assert to_take_back([early, late], 1) == [late]
