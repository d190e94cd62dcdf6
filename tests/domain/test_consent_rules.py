"""Consent without a database: states, dates, the chain, the statement, the form."""

import dataclasses
import json
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import FormData

from api import candidate_form
from domain import consent_text, data_items
from domain.agency import Agency
from domain.business_days import at, calendar_of, due_before
from domain.canonical import canon
from domain.company import DEFAULT_CALENDAR, Company
from domain.consent import (
    EVENTS,
    FORM,
    GENESIS,
    NEXT,
    PURPOSE,
    STATES,
    WORD,
    ConsentEvent,
    advance,
    broken_at,
    expires_at,
    last_day,
    renew_ask_at,
)
from domain.errors import Invalid, StepNotAllowed
from domain.flows.consent.keep_consent import browser, check_choices
from integrations.calendars import JapaneseHolidays
from tests.factories import AGENCY, COMPANY

NOW = datetime(2026, 6, 2, 1, 0, tzinfo=UTC)
FIXTURES = Path(__file__).parents[1] / "fixtures"


def company(**facts: Any) -> Company:
    return Company(**{"id": "cmp_1", "slug": "mirai", "created_at": NOW, **COMPANY, **facts})


def agency(number: int = 1, **facts: Any) -> Agency:
    return Agency(**{"id": f"agy_{number}", "created_at": NOW, **AGENCY, **facts})


def statement(locale: str = "ja", agencies: int = 2) -> consent_text.Statement:
    shown = [agency(number + 1) for number in range(agencies)]
    return consent_text.build(company(), shown, data_items.DEFAULT, locale)


def event(seq: int, before: str, **facts: Any) -> ConsentEvent:
    values = {
        "company_id": "cmp_1", "id": f"cev_{seq}", "candidate_id": "cnd_1", "seq": seq,
        "kind": "given", "agency_id": "agy_1", "application_id": "app_1", "text_sha256": "ab",
        "recipient": {"name": "あおぞら", "country": "JP"}, "shown": ["agy_1", "agy_2"],
        "items": ["name", "email"], "locale": "ja", "method": "web_form", "ip_hash": "cd",
        "user_agent_family": "firefox", "submission_id": "s-1", "at": NOW,
        "expires_at": NOW + timedelta(days=180), "prev_hash": before, "hash": "", **facts,
    }  # fmt: skip
    made = ConsentEvent(**values)
    made.hash = made.sealed_hash()
    return made


def chain(length: int) -> list[ConsentEvent]:
    made: list[ConsentEvent] = []
    for seq in range(1, length + 1):
        made.append(event(seq, made[-1].hash if made else GENESIS))
    return made


def test_the_canonical_form_is_the_one_of_the_ledger():
    assert canon("a", None, "日本") == "1:a,0:,6:日本,"


@given(st.lists(st.text()), st.lists(st.text()))
def test_two_lists_have_one_form_only_if_they_are_one_list(first, second):
    assert (canon(*first) == canon(*second)) == (first == second)


def test_an_event_has_the_hash_it_always_had():
    assert event(1, GENESIS).hash == (
        "2d4162898433f808b19dd5d07536e5c37ff43ec2fe8fc3bb85329639f6f69b18"
    )  # fmt: skip


def test_an_event_of_the_second_form_has_the_hash_it_always_had():
    made = event(1, GENESIS, form=FORM, actor="candidate", purpose_code=PURPOSE)

    assert made.hash == "29afb088b371f171e035805776e0448b03f8798ad9662a9901044dc4daf95a3a"


@given(st.lists(st.sampled_from([WORD, FORM]), min_size=1, max_size=6))
def test_events_of_both_forms_make_one_chain(forms):
    made: list[ConsentEvent] = []
    for seq, form in enumerate(forms, start=1):
        made.append(event(seq, made[-1].hash if made else GENESIS, form=form, actor="system"))

    assert broken_at(made) is None


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("actor", "usr_1"), ("purpose_code", "followup"), ("guardian_consent_id", "grd_2"),
        ("cross_border_basis", None), ("superseded_by", "cns_9"), ("form", WORD),
    ],
)  # fmt: skip
def test_what_the_second_form_covers_cannot_be_changed(fact, value):
    made = event(
        1, GENESIS, form=FORM, actor="candidate", purpose_code=PURPOSE, guardian_consent_id="grd_1",
        cross_border_basis="consent_28",
    )  # fmt: skip
    setattr(made, fact, value)

    assert broken_at([made]) == 1


@pytest.mark.parametrize(
    ("ends_on", "asked_on"),
    [
        (date(2026, 12, 2), date(2026, 11, 19)),  # Thursday
        (date(2026, 12, 12), date(2026, 11, 30)),  # Sunday the 29th: the Monday after
        (date(2027, 1, 15), date(2027, 1, 4)),  # the company is closed over the new year
    ],
)
def test_the_one_question_comes_two_weeks_before_the_end_in_the_office(ends_on, asked_on):
    calendar = calendar_of(DEFAULT_CALENDAR, JapaneseHolidays())

    asked = renew_ask_at(calendar, due_before(ends_on))

    assert asked == at(asked_on, time(10))


def test_a_whole_chain_fits():
    assert broken_at(chain(5)) is None
    assert broken_at([]) is None


@given(
    st.integers(0, 4),
    st.sampled_from(
        [
            ("kind", "declined"), ("agency_id", "agy_2"), ("items", ["name"]), ("shown", []),
            ("items", ["email", "name"]), ("at", NOW + timedelta(seconds=1)), ("locale", "en"),
            ("expires_at", None), ("text_sha256", "cd"), ("recipient", None), ("ip_hash", ""),
            ("submission_id", None), ("application_id", None), ("channel", "paper"),
            ("method", ""), ("identity_check", "none"), ("user_agent_family", "other"),
        ]
    ),
)  # fmt: skip
def test_any_change_shows_where_it_was_made(place, change):
    events = chain(5)
    setattr(events[place], *change)

    assert broken_at(events) == place + 1


@given(st.integers(0, 3))
def test_a_missing_event_shows(place):
    events = chain(5)
    del events[place]

    assert broken_at(events) == place + 1


@given(st.lists(st.sampled_from(EVENTS), max_size=8))
def test_only_a_given_consent_stands_and_only_giving_makes_it_so(steps):
    state, gave = "invited", False
    for step in steps:
        if (state, step) not in NEXT:
            with pytest.raises(StepNotAllowed):
                advance(state, step)
            continue
        state = advance(state, step)
        gave = step in {"given", "renewed", "items_changed"}

        assert state in STATES
        assert (state == "given") == gave


@pytest.mark.parametrize(
    ("given_at", "months", "last"),
    [
        (datetime(2026, 6, 2, 1, 0, tzinfo=UTC), 6, date(2026, 12, 2)),
        (datetime(2026, 6, 2, 14, 59, tzinfo=UTC), 6, date(2026, 12, 2)),
        (datetime(2026, 6, 2, 15, 0, tzinfo=UTC), 6, date(2026, 12, 3)),
        (datetime(2026, 8, 31, 1, 0, tzinfo=UTC), 6, date(2027, 2, 28)),
        (datetime(2027, 8, 31, 1, 0, tzinfo=UTC), 6, date(2028, 2, 29)),
        (datetime(2026, 12, 31, 1, 0, tzinfo=UTC), 12, date(2027, 12, 31)),
    ],
)
def test_a_consent_lasts_to_the_end_of_its_day_in_japan(given_at, months, last):
    ends = expires_at(given_at, months)

    assert last_day(ends) == last
    assert (ends + timedelta(hours=9)).time().isoformat() == "00:00:00"


@pytest.mark.parametrize("locale", ["ja", "en"])
def test_the_statement_says_everything_the_law_asks_for(locale):
    content = statement(locale).content

    assert [key for key in consent_text.KEYS if not content[key]] == []
    for key, heading in consent_text.headings(content):
        assert heading in consent_text.as_text(content)
        assert consent_text.said(content, key) in consent_text.as_text(content)


@pytest.mark.parametrize("key", consent_text.KEYS)
def test_a_statement_without_one_of_its_parts_is_refused(key):
    content = {**statement().content, key: ""}

    with pytest.raises(Invalid) as refused:
        consent_text.check(content)
    assert refused.value.code == "statement_incomplete"
    assert key in refused.value.detail


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"address": ""}, "statement_incomplete"),
        ({"representative": ""}, "statement_incomplete"),
        ({"license_number": ""}, "statement_incomplete"),
        ({"privacy_url": "javascript:alert(1)"}, "statement_incomplete"),
        ({"country": "SG"}, "cross_border_basis_missing"),
        ({"purpose": "ご登録の方にお祝い金を進呈します"}, "reward_offered"),
    ],
)
def test_an_agency_we_cannot_show_in_full_is_not_shown(facts, code):
    with pytest.raises(Invalid) as refused:
        consent_text.build(company(), [agency(**facts)], data_items.DEFAULT, "ja")
    assert refused.value.code == code


@pytest.mark.parametrize(
    "fact", ["address", "representative", "privacy_officer", "privacy_contact"]
)
def test_a_company_that_does_not_say_who_it_is_gets_no_form(fact):
    with pytest.raises(Invalid) as refused:
        consent_text.build(
            company(**{fact: " " if "privacy" in fact else ""}),
            [agency()],
            data_items.DEFAULT,
            "ja",
        )
    assert refused.value.code == "statement_incomplete"


def test_the_same_statement_has_the_same_hash_and_any_other_another():
    assert statement().sha256 == statement().sha256
    hashes = {
        statement().sha256,
        statement("en").sha256,
        statement(agencies=1).sha256,
        consent_text.build(
            company(address="別の住所"), [agency(), agency(2)], data_items.DEFAULT, "ja"
        ).sha256,
        consent_text.build(company(), [agency(2), agency()], data_items.DEFAULT, "ja").sha256,
        consent_text.build(company(), [agency(), agency(2)], ["name", "email"], "ja").sha256,
    }
    assert len(hashes) == 6


def test_the_statement_has_the_hash_it_always_had():
    assert statement().sha256 == (
        "9884f42dc10679e55f8a56611b1e94dcb221cd9da599c30eff43581f59c92eec"
    )  # fmt: skip


def before() -> dict[str, Any]:
    """A statement as people read it in the version before."""
    return json.loads((FIXTURES / "consent-text-2025-10.json").read_text("utf-8"))


def test_a_statement_of_an_earlier_version_still_has_its_hash_and_can_be_read():
    content = before()

    assert consent_text.hash_of(content) == (
        "538093733116257486b08342d05ceeb50580674d60af49779964b629794fab34"
    )
    consent_text.check(content)
    for key, _ in consent_text.headings(content):
        assert consent_text.said(content, key) in consent_text.as_text(content)


def test_a_statement_of_the_first_version_still_has_its_hash_and_can_be_read():
    content = {key: value for key, value in before().items() if not key.startswith("followup")}
    content["headings"] = {
        key: value for key, value in content["headings"].items() if key != "followup"
    }
    content |= {"version": "2025-04", "effective_on": "2025-04-01"}

    assert consent_text.hash_of(content) == (
        "08f7d88c83eac64c0ab9d69eb127b2ba0cdd6a86965dc6ad6b8102b837e8fbb9"
    )
    assert content["purpose"] in consent_text.as_text(content)


@pytest.mark.parametrize(
    ("locale", "once", "apart"),
    [
        ("ja", "更新のご希望を一度だけお伺いします", "これとは別に、法令に基づき3年間"),
        ("en", "we ask you once whether you would like to go on", "kept for 3 years"),
    ],
)
def test_the_statement_promises_one_question_and_says_how_long_what_is_kept(locale, once, apart):
    content = consent_text.build(
        company(retention_months=7), [agency()], data_items.DEFAULT, locale
    ).content

    assert once in content["validity"]
    assert apart in content["retention"]
    assert ("7か月" if locale == "ja" else "7 months") in content["retention"]
    assert ("30日" if locale == "ja" else "30 days") in content["retention"]
    assert ("いずれか遅い日" if locale == "ja" else "whichever is later") in content["retention"]


ABROAD: dict[str, Any] = {
    "basis": "consent_28",
    "ja": {"country": "シンガポール", "regime": "個人情報保護法(PDPA)", "measures": "同等の措置"},
    "en": {"country": "Singapore", "regime": "PDPA", "measures": "equivalent measures"},
}


@pytest.mark.parametrize(("locale", "country"), [("ja", "シンガポール"), ("en", "Singapore")])
def test_a_recipient_abroad_is_shown_with_its_country_its_law_and_what_it_does(locale, country):
    far = agency(2, country="SG", cross_border=ABROAD)
    made = consent_text.build(company(), [agency(), far], data_items.DEFAULT, locale)

    assert "cross_border" not in statement(locale).content
    for fact in (country, ABROAD[locale]["regime"], ABROAD[locale]["measures"]):
        assert fact in made.content["cross_border"]
    assert made.content["cross_border"] in consent_text.as_text(made.content)
    assert "cross_border" in dict(consent_text.headings(made.content))
    assert (made.basis("agy_1"), made.basis("agy_2")) == (None, "consent_28")
    assert [one.get("country_name") for one in made.content["recipients"]] == [None, country]
    assert len(made.content["cross_border"].splitlines()) == 4


@pytest.mark.parametrize(
    "missing",
    [{"basis": "handshake"}, {"basis": None}, {"en": None}, {"ja": {**ABROAD["ja"], "regime": ""}}],
)
def test_a_recipient_abroad_without_every_word_on_it_is_not_shown(missing):
    far = agency(country="SG", cross_border={**ABROAD, **missing})
    with pytest.raises(Invalid) as refused:
        consent_text.build(company(), [far], data_items.DEFAULT, "ja")

    assert refused.value.code == "cross_border_basis_missing"


def test_a_statement_with_a_recipient_abroad_is_incomplete_without_the_words_on_it():
    far = agency(country="SG", cross_border=ABROAD)
    content = consent_text.build(company(), [far], data_items.DEFAULT, "ja").content
    del content["cross_border"]
    with pytest.raises(Invalid) as refused:
        consent_text.check(content)

    assert refused.value.detail == "cross_border"


@pytest.mark.parametrize("locale", ["ja", "en"])
def test_being_asked_later_stands_in_the_text_and_its_box_only_if_ticked(locale):
    content = statement(locale).content
    plain = consent_text.as_text(content)
    ticked = consent_text.as_text(content, followup=True)

    assert content["followup"] in plain
    assert content["followup_agreement"] not in plain
    assert ticked == f"{plain}\n\n{content['followup_agreement']}"
    for days in ("30", "90", "180"):
        assert days in content["followup"]


@pytest.mark.parametrize(
    ("value", "ticked"), [("yes", True), ("no", False), ("", False), ("YES", False), (None, False)]
)
def test_only_the_box_itself_ticks_the_box(value, ticked):
    sent = candidate_form.read(FormData([("followup", value)] if value is not None else []))

    assert sent.followup is ticked
    assert sent.choices == {}


def test_nothing_on_the_form_promises_a_reward():
    for locale in ("ja", "en"):
        said = consent_text.as_text(statement(locale).content)
        assert not any(word in said for word in consent_text.FORBIDDEN)


@given(
    st.dictionaries(
        st.sampled_from(["agy_1", "agy_2", "agy_3"]),
        st.lists(st.sampled_from([*data_items.DEFAULT, "current_salary"]), unique=True),
        max_size=3,
    )
)
def test_only_what_was_shown_and_enough_for_each_agency_is_a_consent(choices):
    allowed = bool(choices) and all(
        agency_id in {"agy_1", "agy_2"}
        and {"name", "email"} <= set(items) <= set(data_items.DEFAULT)
        for agency_id, items in choices.items()
    )
    try:
        check_choices(statement(), choices)
        accepted = True
    except Invalid:
        accepted = False

    assert accepted == allowed


def test_every_item_has_a_name_in_both_languages():
    for locale in ("ja", "en"):
        assert tuple(data_items.LABELS[locale]) == data_items.CODES


def test_only_items_with_something_in_them_are_offered_besides_the_default_set():
    profile = {"birth_date": "1998-04-05", "skills": "", "family_name": "試験"}

    assert data_items.offered(profile, job_title="法人営業", stage="") == [
        "name", "name_kana", "email", "phone", "birth_date", "desired_job", "desired_location",
        "desired_salary", "available_from", "applied_job_title", "origin_company_name",
    ]  # fmt: skip


@given(st.text())
def test_what_is_typed_is_one_printable_line(value):
    cleaned = candidate_form.clean(value)

    assert cleaned == candidate_form.clean(cleaned)
    assert not set(cleaned) & {"\0", "\n", "\r", "\t", "\u202e", "\u2066"}
    assert cleaned == cleaned.strip()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["agency", "items.agy_1", "items.agy_9", "name", "decision", "csrf", "x"]
            ),
            st.text(max_size=20),
        )
    )
)
def test_any_form_can_be_read_and_is_a_consent_only_if_it_was_on_offer(pairs):
    sent = candidate_form.read(FormData(pairs))
    shown = statement()
    if candidate_form.is_tampered(sent, shown) or candidate_form.faults(sent, shown):
        return
    check_choices(shown, sent.choices)


@pytest.mark.parametrize(
    ("agent", "family"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0", "firefox"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0", "edg"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36", "chrome"),
        ("Mozilla/5.0 (iPhone) Version/19.0 Mobile Safari/604.1", "safari"),
        ("", "other"),
    ],
)
def test_only_the_family_of_a_browser_is_kept(agent, family):
    assert browser(agent) == family


def test_a_statement_cannot_be_changed_after_it_was_hashed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        statement().sha256 = "x"  # type: ignore[misc]
