"""What the rows of a file mean: nothing is guessed, everything is said."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.import_rows import Reader, Rules, default_history
from domain.import_survey import shown, survey
from domain.import_table import Book, Sheet
from domain.import_values import Unclear, kana_of, lost_zero, mail_of, phone_of, text_of, when_of
from domain.import_words import FIELDS, field_of, outcome_of, suggested_outcome

NOW = datetime(2026, 11, 21, 6, 0, tzinfo=UTC)  # a Saturday, 15:00 in Tokyo
HEAD = ["応募ID", "氏名", "メールアドレス", "求人", "面接日時", "選考結果", "結果日"]


def book(*rows):
    return Book("csv", [Sheet("", lambda: iter(list(enumerate(rows, 1))))])


def rules(**said):
    return Rules(uploaded_at=NOW, history_before=default_history(NOW), **said)


def read(header, *rows, **said):
    """The rows as understood, and what is wrong with the others: (row, field, code)."""
    reader = Reader(book(header, *rows), rules(**said))
    found = list(reader.rows())
    faults = [(one.row, one.field, one.code) for _, _, wrong in found for one in wrong]
    return [row for _, row, _ in found if row is not None], faults


def only(header, *cells, **said):
    rows, faults = read(header, list(cells), **said)
    assert faults == []
    return rows[0]


def line(**told):
    """A row of HEAD."""
    usual = {"id": "A-1", "name": "試験 花子", "mail": "hanako@mail.example", "job": "営業",
             "met": "", "result": "", "on": ""}  # fmt: skip
    return list({**usual, **told}.values())


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("応募ID", "application_id"), ("応募番号", "application_id"),
        ("Application ID", "application_id"),
        ("氏名", "name"), ("氏　名", "name"), ("氏名（必須）", "name"), ("氏名（カナ）", "kana"),
        ("姓", "family_name"),
        ("姓（カナ）", "family_kana"), ("ﾌﾘｶﾞﾅ", "kana"), ("ふりがな", "kana"),
        ("ｾｲ", "family_kana"),
        ("E-mail", "email"), ("Ｅメール", "email"), ("メールアドレス *", "email"),
        ("EMAIL_ADDRESS", "email"),
        ("電話番号", "phone"), ("携帯", "phone"), ("募集ポジション", "job"), ("ステージ", "stage"),
        ("応募経路", "source"), ("応募日", "applied_at"), ("面接日時", "interview_at"),
        ("選考結果", "outcome"), ("不採用日", "decided_at"), ("辞退・不採用理由", "reason"),
        ("備考", None), ("", None), ("生年月日", None),
    ],
)  # fmt: skip
def test_headers_are_known_by_many_names(header, field):
    assert field_of(header) == field


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("不採用", "rejected"), ("お見送り", "rejected"), ("一次面接不合格", "rejected"),
        ("書類選考：NG", "rejected"), ("Rejected", "rejected"), ("辞退", "withdrawn"),
        ("内定辞退", "withdrawn"), ("Withdrawn", "withdrawn"), ("内定承諾", "hired"),
        ("入社", "hired"),
        ("選考中", "active"), ("内定", "active"), ("一次面接", None), ("終了", "ended"),
        ("辞退検討中", None), ("不採用予定", None), ("見送り？要確認", None), ("田中", None),
    ],
)  # fmt: skip
def test_a_result_is_known_or_asked_about(word, outcome):
    assert outcome_of(word) == outcome


def test_an_unknown_word_gets_a_suggestion_that_decides_nothing():
    assert suggested_outcome("辞退検討中") == "withdrawn"
    assert read(HEAD, line(result="辞退検討中"))[1] == [(2, "outcome", "outcome_unknown")]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("2026/11/21", "2026-11-21"), ("2026-11-21 10:00", "2026-11-21T01:00:00+00:00"),
        ("2026年11月21日", "2026-11-21"),
        ("2026年11月21日(土) 10時30分", "2026-11-21T01:30:00+00:00"),
        ("２０２６／１１／２１", "2026-11-21"), ("令和8年11月21日", "2026-11-21"),
        ("20261121", "2026-11-21"),
        ("2026-11-21T10:00:00Z", "2026-11-21T10:00:00+00:00"),
        ("2026-11-21T10:00:00+09:00", "2026-11-21T01:00:00+00:00"),
        ("2026/11/21 0:00:00", "2026-11-21"), (46347, "2026-11-21"), ("46348", "2026-11-22"),
        (46347.5, "2026-11-21T03:00:00+00:00"), ("21/11/2026", "2026-11-21"),
        ("11/21/2026 3:05 PM", "2026-11-21T06:05:00+00:00"), (date(2026, 11, 21), "2026-11-21"),
        (datetime(2026, 11, 21, 10), "2026-11-21T01:00:00+00:00"),  # noqa: DTZ001
    ],
)  # fmt: skip
def test_dates_are_read_in_japans_time_unless_they_say_otherwise(cell, text):
    assert when_of(cell).text == text


@pytest.mark.parametrize(
    ("cell", "code"),
    [("2026/13/01", "date_invalid"), ("26/11/21", "date_invalid"), ("昨日", "date_invalid"),
     (5, "date_invalid"), ("11/12/2026", "date_order"), ("1800/01/01", "date_invalid")],
)  # fmt: skip
def test_a_date_that_could_be_another_is_none(cell, code):
    with pytest.raises(Unclear) as why:
        when_of(cell)

    assert why.value.code == code


def test_the_order_of_month_and_day_is_asked_once():
    said = {"on": "11/12/2026", "result": "不採用"}
    found = survey(book(HEAD, line(**said)), rules())

    assert [(one["code"], one["count"], one["answer"]) for one in found.questions] == [
        ("date_order", 1, None)
    ]
    row = only(HEAD, *line(**said), answers={"date_order": "mdy"})
    assert row.decided.day == date(2026, 11, 12)
    assert read(HEAD, line(**said), answers={"date_order": "dmy"})[1] == [
        (2, "decided_at", "date_in_the_future")
    ]


def test_names_stay_as_they_were_typed():
    row = only(["氏名", "メール"], "髙橋①  ﾊﾅｺ㈱", "ａ@ｂ.example")

    assert row.candidate["display_name"] == "髙橋①  ﾊﾅｺ㈱"
    assert row.candidate["family_name"] is None
    assert row.candidate["primary_email"] == "a@b.example"


@pytest.mark.parametrize("kana", ["ﾔﾏﾀﾞ ﾀﾛｳ", "やまだ　たろう", "ヤマダ タロウ"])
def test_kana_have_one_form(kana):
    row = only(["氏名", "フリガナ", "メール"], "山田 太郎", kana, "a@b.example")

    assert (row.candidate["family_name_kana"], row.candidate["given_name_kana"]) == (
        "ヤマダ",
        "タロウ",
    )
    assert kana_of(kana) == "ヤマダ タロウ"


@pytest.mark.parametrize(
    ("cell", "phone", "lost"),
    [
        ("０９０−１２３４−５６７８", "09012345678", False),
        ("+81(0)90-1234-5678", "+819012345678", False),
        (9012345678.0, "9012345678", True), ("312345678", "312345678", True),
        ('="09012345678"', "09012345678", False), ("'0312345678", "0312345678", False),
        ("03(1234)5678", "0312345678", False), ("4155550123", "4155550123", False),
    ],
)  # fmt: skip
def test_phone_numbers_come_in_half_width_digits(cell, phone, lost):
    assert (phone_of(cell), lost_zero(phone_of(cell))) == (phone, lost)


@pytest.mark.parametrize("number", ["Ａ－００１２", "A-0012", '="A-0012"'])
def test_numbers_have_one_form(number):
    row = only(["応募ID", "候補者ID", "メール"], number, number, "a@b.example")

    assert (row.external_id, row.candidate["external_id"]) == ("A-0012", "A-0012")


@pytest.mark.parametrize(("cell", "code"), [
    ("9.01E+09", "digits_lost"), ("なし", "phone_invalid"), ("123", "phone_invalid"),
    (1e17, "digits_lost"),
])  # fmt: skip
def test_digits_that_are_gone_are_not_made_up(cell, code):
    with pytest.raises(Unclear) as why:
        phone_of(cell)

    assert why.value.code == code


@pytest.mark.parametrize(
    "mail", ["a@b", "a b@c.example", "a@@b.example", "a@b.example;c@d.example", "@"]
)
def test_what_is_no_address_is_said(mail):
    with pytest.raises(Unclear):
        mail_of(mail)


def test_addresses_of_old_carriers_are_real():
    assert mail_of("a..b.@docomo.example") == "a..b.@docomo.example"


def test_a_lost_zero_is_asked_and_never_guessed():
    header, cells = ["氏名", "電話番号"], ["試験 花子", 9012345678]

    asked = survey(book(header, cells), rules())

    assert [(one["code"], one["choices"]) for one in asked.questions] == [
        ("leading_zero", ["restore", "keep"])
    ]
    phones = {
        answer: only(header, *cells, answers={"leading_zero": answer}).candidate["phones"][0][
            "value"
        ]
        for answer in ("restore", "keep")
    }
    assert phones == {"restore": "09012345678", "keep": "9012345678"}


@pytest.mark.parametrize(("ids", "known", "asked"), [
    (["00123", "124"], 0, (1, 5)), (["123", "124"], 5, (2, 5)), (["00123", "00124"], 0, None),
    (["123", "124"], 0, None), (["A-1", "12"], 0, None),
])  # fmt: skip
def test_numbers_shorter_than_others_are_asked_about(ids, known, asked):
    rows = [line(id=one, mail=f"{one}@mail.example") for one in ids]
    found = survey(book(HEAD, *rows), rules(), known).questions

    assert [(one["count"], one["width"]) for one in found] == ([asked] if asked else [])


def test_numbers_are_filled_up_where_a_person_says_so():
    assert only(HEAD, *line(id="124"), answers={"id_width": "5"}).external_id == "00124"
    assert only(HEAD, *line(id="124"), answers={"id_width": "0"}).external_id == "124"
    assert only(HEAD, *line(id="124"), answers={"id_width": "9" * 9}).external_id == "124"


@pytest.mark.parametrize(("on", "history"), [
    ("2026/11/13", True), ("2026/11/14", False), ("2026/11/21", False), ("2026/11/14 0:10", False),
])  # fmt: skip
def test_what_ended_more_than_a_week_ago_is_history(on, history):
    assert only(HEAD, *line(result="不採用", on=on)).history is history


@pytest.mark.parametrize(("answer", "history"), [(None, True), ("history", True), ("now", False)])
def test_a_rejection_without_a_day_tells_nobody_unless_a_person_says_so(answer, history):
    answers = {"undated_rejections": answer} if answer else {}

    found = survey(book(HEAD, line(result="不採用")), rules(answers=answers))

    assert [(one["code"], one["answer"]) for one in found.questions] == [
        ("undated_rejections", answer)
    ]
    assert only(HEAD, *line(result="不採用"), answers=answers).history is history


@pytest.mark.parametrize(("result", "reason", "mapped", "told"), [
    ("不採用", "本人都合", {}, ("rejected", "company")),
    ("不採用", "本人都合", {"本人都合": "candidate"}, ("withdrawn", "candidate")),
    ("終了", "本人都合", {"本人都合": "candidate"}, ("withdrawn", "candidate")),
    ("終了", "スキル", {"スキル": "company"}, ("rejected", "company")),
    ("終了", "", {}, ("rejected", "unknown")),
    ("辞退", "他社決定", {"他社決定": "company"}, ("withdrawn", "candidate")),
])  # fmt: skip
def test_who_ended_it_beats_what_it_is_called(result, reason, mapped, told):
    header = [*HEAD, "理由"]
    row = only(header, *line(result=result, on="2026/11/20"), reason, reason_map=mapped)

    assert (row.outcome, row.initiated_by) == told
    assert row.unclear is (told[1] == "unknown")


def test_a_word_the_person_maps_is_taken_and_stays_in_the_list():
    said = {"outcome_map": {"辞退検討中": "active"}}
    assert only(HEAD, *line(result="辞退検討中"), **said).outcome == "active"

    words = survey(book(HEAD, line(result="辞退検討中")), rules(**said)).outcome_words

    assert [(one["word"], one["count"], one["meaning"]) for one in words] == [
        ("辞退検討中", 1, "active")
    ]


@pytest.mark.parametrize(("met", "result", "on", "told"), [
    ("2026/11/20 10:00", "選考中", "", ("completed", False)),
    ("2026/11/21 16:00", "選考中", "", ("scheduled", False)),
    ("2026/11/21", "選考中", "", ("scheduled", False)),
    ("2026/11/10 10:00", "選考中", "", ("completed", True)),
    ("2026/11/20 10:00", "不採用", "2026/11/20", ("completed", False)),
    ("2026/11/20 10:00", "不採用", "2026/11/18", ("scheduled", True)),
])  # fmt: skip
def test_an_interview_was_held_once_its_time_is_over(met, result, on, told):
    meeting = only(HEAD, *line(met=met, result=result, on=on)).interview

    assert (meeting.status, meeting.past) == told


def test_times_are_shown_in_utc():
    row = only(["氏名", "メール", "面接日時"], "試験 花子", "a@b.example", "2026-11-20 10:00")

    assert shown(row)["interview_at"] == "2026-11-20T01:00:00Z"


def test_a_row_without_anything_to_know_somebody_by_is_bad():
    assert read(["氏名", "求人"], ["試験 花子", "営業"])[1] == [(2, None, "nobody_named")]


def test_everything_wrong_with_a_row_is_said_at_once():
    row = line(mail="x", met="昨日", result="???", on="2027/01/01")

    assert sorted(code for _, _, code in read(HEAD, row)[1]) == [
        "date_in_the_future", "date_invalid", "email_invalid", "outcome_unknown",
    ]  # fmt: skip


@pytest.mark.parametrize("cell", ["a\0b", "\x07", "\udc80"])
def test_what_cannot_be_stored_is_said(cell):
    with pytest.raises(Unclear):
        text_of(cell)


def test_two_rows_of_one_application_may_differ_in_their_interview_only():
    first = line(met="2026/11/18 10:00", result="選考中")
    second = line(met="2026/11/20 10:00", result="選考中")
    other = line(met="2026/11/20 10:00", result="辞退")

    alike = survey(book(HEAD, first, second, first), rules())
    clash = survey(book(HEAD, first, line(id="A-2", mail="b@mail.example"), other), rules())

    assert ([one.number for one in alike.good], alike.faults) == ([2, 3, 4], [])
    assert [one.number for one in clash.good] == [3]
    assert [(one.row, one.code) for one in clash.faults] == [(2, "told_twice"), (4, "told_twice")]


def test_without_numbers_an_application_is_known_by_whom_and_what_it_is_about():
    header = ["氏名", "メール", "求人", "応募日"]
    rows = [
        ["a", "a@mail.example", "営業", "2026/11/01"],
        ["a", "a@mail.example", "営業 ", "2026-11-01"],
    ]

    found = survey(book(header, *rows), rules())

    assert found.numbered is False
    assert (
        found.good[0].identity == found.good[1].identity == ("a@mail.example", "営業", "2026-11-01")
    )


def test_the_header_may_stand_below_a_title_and_on_a_later_sheet():
    title = Sheet("表紙", lambda: iter([(1, ["応募者一覧 2026"])]))
    table = Sheet("一覧", lambda: iter([(1, ["出力日", 46347]), (3, HEAD), (4, line())]))
    reader = Reader(Book("xlsx", [title, table]), rules())

    assert reader.sheet.name == "一覧"
    assert [row.number for _, row, _ in reader.rows()] == [4]
    assert [row.number for _, row, _ in reader.rows(5)] == []


def test_a_file_without_a_header_is_refused():
    with pytest.raises(Invalid) as why:
        survey(book(["A-1", "試験", "a@b.example"], ["A-2", "見本", "c@d.example"]), rules())

    assert why.value.code == "header_missing"


def test_unknown_headers_can_be_mapped_by_hand():
    header = ["ひと", "れんらく", "しごと"]
    blank = survey(book(header, ["a", "a@b.example", "x"]), rules())
    row = only(header, "a", "a@b.example", "x", mapping={1: "name", 2: "email", 3: "job"})

    assert [one["code"] for one in blank.questions] == ["column_missing"]
    assert (row.candidate["display_name"], row.job["title"]) == ("a", "x")


def test_two_columns_for_one_thing_that_matters_are_asked_about():
    header, cells = ["氏名", "メール", "PCメール"], ["a", "a@b.example", "c@d.example"]

    asked = survey(book(header, cells), rules()).questions
    told = only(header, *cells, mapping={3: "email", 2: None})

    assert [(one["code"], one["field"], one["columns"]) for one in asked] == [
        ("column_twice", "email", [2, 3])
    ]
    assert told.candidate["primary_email"] == "c@d.example"


def test_a_row_fills_one_of_the_columns_for_refusals_and_withdrawals():
    header = ["応募ID", "結果", "不採用日", "辞退日"]
    rows, faults = read(header, ["1", "不採用", "2026/11/19", ""], ["2", "辞退", "", "2026/11/20"])

    assert faults == []
    assert [one.decided.day.day for one in rows] == [19, 20]


def test_the_better_known_header_counts_where_little_hangs_on_it():
    columns = survey(book(["応募ID", "職種", "求人名"], ["1", "x", "y"]), rules()).columns

    assert [one.field for one in columns] == ["application_id", None, "job"]


CELLS = st.one_of(
    st.text(max_size=20), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.dates(), st.datetimes(),
    st.sampled_from(["不採用", "辞退", "2026/11/20", "a@b.example", "090"]),
)  # fmt: skip


@given(st.lists(st.lists(CELLS, max_size=8), max_size=6), st.permutations(list(FIELDS)))
def test_any_cells_give_rows_or_faults_and_every_row_is_one_of_them(rows, fields):
    header = ["応募ID", "氏名", *["x"] * 6]
    mapping = dict(enumerate(fields[:8], 1))

    found = survey(book(header, *rows), rules(mapping=mapping))

    bad = {one.row for one in found.faults}
    assert found.total == len(rows)
    assert {one.number for one in found.good} | bad == set(range(2, len(rows) + 2))
    assert {one.number for one in found.good} & bad == set()
