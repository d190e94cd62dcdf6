import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import StepNotAllowed
from domain.relay import NEXT, REPORTS, STATES, advance, is_open, may_be_read

FACTS = ("forwarded", *REPORTS, "placed", "guaranteed", "early_left", "withdrawn", "expired")
OF_AGENCY = (*REPORTS, "placed", "early_left")
PROGRESS = ("accepted", "contacted", "met", "recommended", "offered")
facts = st.lists(st.sampled_from(FACTS), max_size=15)


def run(reported, state="forwarded"):
    """The state after these facts; what the table refuses is left out."""
    for fact in reported:
        if (state, fact) in NEXT:
            state = advance(state, fact)
    return state


@given(facts)
def test_every_path_to_an_agency_begins_with_forwarding(reported):
    """An agency cannot report on a relay that was never forwarded: it does not see it."""
    state, was_forwarded = "queued", False
    for fact in reported:
        if fact in OF_AGENCY and not was_forwarded:
            assert (state, fact) not in NEXT or state in {"expired", "withdrawn"}
        elif (state, fact) in NEXT:
            was_forwarded = was_forwarded or fact == "forwarded"
            state = advance(state, fact)

        assert state in STATES
        assert was_forwarded or state in {"queued", "withdrawn", "expired"}


@given(st.lists(st.sampled_from([*PROGRESS, "closed"]), max_size=8), st.randoms())
def test_reports_in_any_order_and_repeated_give_the_same_state(reported, random):
    mixed = [*reported, *reported]
    random.shuffle(mixed)

    assert run(mixed) == run(reported)


def test_the_furthest_report_stands():
    assert run(["met", "accepted"]) == "met"
    assert run(["offered", "contacted"]) == "offered"
    assert run(["closed", "met"]) == "closed_no_placement"


@given(facts)
def test_a_withdrawal_cannot_be_overtaken(later):
    assert run(later, "withdrawn") == "withdrawn"


@given(facts, facts)
def test_a_placement_is_never_lost(before, after):
    state = run([*before, "placed"])
    if state == "placed":
        assert run(after, state) in {"placed", "guaranteed", "early_left"}


def test_refusing_and_taking_up_exclude_each_other_whichever_comes_first():
    for fact in PROGRESS:
        for first, second in itertools.permutations(["declined", fact]):
            with pytest.raises(StepNotAllowed):
                advance(advance("forwarded", first), second)


@pytest.mark.parametrize(
    ("state", "fact"),
    [
        ("queued", "accepted"),
        ("queued", "placed"),
        ("withdrawn", "accepted"),
        ("placed", "closed"),
        ("placed", "declined"),
        ("forwarded", "guaranteed"),
        ("forwarded", "early_left"),
        ("early_left", "guaranteed"),
        ("forwarded", "forwarded"),
    ],
)
def test_what_the_table_does_not_list_is_refused(state, fact):
    with pytest.raises(StepNotAllowed):
        advance(state, fact)


def test_a_package_is_read_only_while_the_agency_has_a_use_for_it():
    assert {state for state in STATES if may_be_read(state)} == {
        "forwarded", "accepted", "contacted", "met", "recommended", "offered", "placed",
        "guaranteed",
    }  # fmt: skip
    assert {state for state in STATES if is_open(state)} == {
        "forwarded", "accepted", "contacted", "met", "recommended", "offered",
    }  # fmt: skip
