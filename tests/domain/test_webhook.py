from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.webhook import WebhookEndpoint, WebhookMessage, wait_after

NOW = datetime(2026, 6, 2, 1, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def endpoint(**values):
    given = {"agency_id": "agy_1", "id": "whe_1", "url": "https://a.example", "secrets": b"",
             "created_at": NOW}  # fmt: skip
    return WebhookEndpoint(**{**given, **values})


def message(**values):
    given = {"agency_id": "agy_1", "id": "msg_1", "endpoint_id": "whe_1", "type": "relay.created",
             "key": "k", "next_attempt_at": NOW, "created_at": NOW}  # fmt: skip
    return WebhookMessage(**{**given, **values})


def failed_tries(one, *, retry_after=None):
    """The pauses between the tries of a message that is never taken."""
    now, pauses = one.created_at, []
    for _ in range(400):
        one.claim(now)
        one.fail(now, retry_after=retry_after)
        if one.next_attempt_at is None:
            break
        pauses.append(one.next_attempt_at - now)
        now = one.next_attempt_at
    return pauses


def test_ten_tries_over_three_days_then_it_is_given_up():
    one = message()
    pauses = failed_tries(one)

    assert (one.state, one.attempts, len(pauses)) == ("failed", 10, 9)
    planned = [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    for pause, seconds in zip(pauses, planned, strict=True):
        assert 0.9 * seconds <= pause.total_seconds() <= 1.1 * seconds


def test_a_stop_is_tried_faster_and_hourly_for_a_week():
    one = message(urgent=True)
    pauses = failed_tries(one)

    assert one.state == "failed"
    assert timedelta(days=7) <= sum(pauses, timedelta()) <= timedelta(days=7, hours=2)
    planned = [5, 30, 120, 600, 1800, 3600, 3600]
    for pause, seconds in zip(pauses, planned, strict=False):
        assert 0.9 * seconds <= pause.total_seconds() <= 1.1 * seconds


@given(st.text("abc", min_size=1), st.integers(1, 9), st.booleans())
def test_jitter_stays_within_a_tenth_and_is_the_same_for_the_same_message(name, attempts, urgent):
    age = timedelta()
    pause = wait_after(name, attempts, urgent=urgent, age=age)

    assert pause == wait_after(name, attempts, urgent=urgent, age=age)
    assert pause is not None
    assert pause > timedelta()


def test_retry_after_is_honoured_up_to_a_day_and_never_shortens():
    asked = message()
    asked.claim(NOW)
    asked.fail(NOW, retry_after=timedelta(seconds=90))
    too_long = message()
    too_long.claim(NOW)
    too_long.fail(NOW, retry_after=timedelta(days=9))
    hasty = message()
    hasty.claim(NOW)
    hasty.fail(NOW, retry_after=timedelta())

    assert asked.next_attempt_at == NOW + timedelta(seconds=90)
    assert too_long.next_attempt_at == NOW + timedelta(hours=24)
    assert hasty.next_attempt_at >= NOW + timedelta(seconds=4.5)


def test_a_claimed_message_is_not_due_until_the_claim_ends():
    one = message()
    one.claim(NOW)

    assert not one.due(NOW + timedelta(seconds=59))
    assert one.due(NOW + timedelta(seconds=60))


def test_health_goes_down_by_failures_and_up_by_one_success():
    one = endpoint()
    states = []
    for number in range(6):
        one.note_failure(NOW + number * HOUR, gone=False)
        states.append(one.state)
    one.note_success(NOW + 7 * HOUR)

    assert states == ["healthy"] * 4 + ["degraded"] * 2
    assert (one.state, one.failures, one.first_failure_at) == ("healthy", 0, None)


@pytest.mark.parametrize(
    ("failures", "hours_apart", "state"),
    [(19, 10, "degraded"), (20, 10, "disabled"), (23, 5, "degraded"), (24, 5, "disabled")],
)
def test_disabled_after_120_hours_without_success_and_20_tries(failures, hours_apart, state):
    one = endpoint()
    for number in range(1, failures + 1):
        one.note_failure(NOW + number * hours_apart * HOUR, gone=False)

    assert one.state == state


def test_twenty_failures_within_twelve_hours_do_not_disable():
    one = endpoint(last_success_at=NOW - timedelta(days=30))
    for number in range(25):
        one.note_failure(NOW + number * timedelta(minutes=28), gone=False)

    assert one.state == "degraded"


def test_gone_disables_at_once_and_enabling_starts_anew():
    one = endpoint()
    one.note_failure(NOW, gone=True)
    gone = one.state
    one.enable()

    assert (gone, one.state, one.failures) == ("disabled", "healthy", 0)


@pytest.mark.parametrize(
    ("types", "kind", "state", "wanted"),
    [
        (None, "relay.updated", "healthy", True),
        (["relay.created"], "relay.updated", "healthy", False),
        (["relay.created"], "relay.created", "degraded", True),
        (["relay.created"], "relay.withdrawn", "healthy", True),
        ([], "relay.erased", "healthy", True),
        ([], "relay.corrected", "healthy", True),
        (None, "relay.withdrawn", "disabled", False),
    ],
)
def test_a_stop_is_told_to_everyone_who_can_hear(types, kind, state, wanted):
    assert endpoint(event_types=types, state=state).wants(kind) is wanted
