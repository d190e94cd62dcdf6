"""What a reason's or a status's words propose, in English and Japanese; silence where unclear."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.ats.wording import suggested_reason, suggested_status


@pytest.mark.parametrize("text", [
    "Withdrew", "Candidate withdrew", "WITHDRAWN", "Application withdrawal", "Declined",
    "Declined offer", "Offer declined", "Offer Declined by Candidate", "Candidate declined",
    "Rejected by candidate", "They rejected us", "Turned down our offer", "Refused the offer",
    "Accepted another offer", "Accepted a different position", "Took another job",
    "Accepted elsewhere", "Dropped out of the process", "No longer interested",
    "Staying at current company", "Accepted counter-offer", "Candidate’s side: withdrew",
    "辞退", "選考辞退", "内定辞退", "ご本人より辞退", "面接前ｷｬﾝｾﾙ・辞退", "他社に決定",
    "他社決定", "他社へ入社",
    "他社内定承諾", "応募取り下げ", "応募取下げ", "選考のキャンセル", "現職残留", "本人都合",
    "応募者都合", "候補者からのお断り",
])  # fmt: skip
def test_reasons_on_the_candidate_s_side(text):
    assert suggested_reason(text) == "candidate"


@pytest.mark.parametrize("text", [
    "Not a fit", "Not a good culture fit", "Not the right match", "Poor fit", "Unqualified",
    "Under-qualified", "Overqualified", "Lack of experience", "Lacking relevant skills",
    "Insufficient experience", "Missing required qualifications", "Not enough experience",
    "Does not meet requirements", "Failed technical assessment", "Did not pass",
    "Position closed", "Role filled", "Requisition on hold", "Hired another candidate",
    "Stronger candidate", "Rejected", "Rejected by us", "We rejected them", "Not selected",
    "Declined by hiring manager", "Offer rescinded", "Offer withdrawn", "We withdrew the offer",
    "見送り", "お見送り", "書類選考見送り", "不採用", "不合格", "スキル不足", "経験が不足",
    "ｽｷﾙ不足", "基準に達していない",
    "要件を満たさない", "他の候補者を採用", "募集終了", "募集充足", "書類落ち", "当社都合",
    "弊社より辞退", "内定取消", "内定取り消し",
])  # fmt: skip
def test_reasons_on_the_company_s_side(text):
    assert suggested_reason(text) == "company"


@pytest.mark.parametrize(("text", "meant"), [
    ("Hired", "hired"), ("採用", "hired"), ("採用決定", "hired"), ("入社済み", "hired"),
    ("入社", "hired"),
    ("Duplicate", "other"), ("Spam", "other"), ("Test candidate", "other"), ("重複応募", "other"),
    ("誤登録", "other"), ("Moved to another job", "other"),
])  # fmt: skip
def test_reasons_that_are_neither(text, meant):
    assert suggested_reason(text) == meant


@pytest.mark.parametrize("text", [
    "", " ", "Compensation", "Location", "Salary", "Timing", "Other", "Culture", "Visa",
    "No response", "No show", "条件不一致", "給与", "勤務地", "その他", "連絡が取れない",
    "タイミング", "採用条件",
    "辞退または見送り", "Withdrew / position filled", "Offer accepted", "内定承諾",
])  # fmt: skip
def test_reasons_used_for_both_sides_or_for_none_propose_nothing(text):
    assert suggested_reason(text) is None


@pytest.mark.parametrize(("text", "meant"), [
    ("Rejected", "rejected"), ("Rejected by hiring manager", "rejected"),
    ("Unqualified", "rejected"),
    ("Client rejected", "rejected"), ("不採用", "rejected"), ("見送り", "rejected"),
    ("面接不合格", "rejected"),
    ("書類選考見送り", "rejected"), ("Not selected", "rejected"), ("Offer withdrawn", "rejected"),
    ("内定取消", "rejected"), ("Disqualified", "rejected"), ("Rejected - Hirable", "rejected"),
    ("Withdrawn", "withdrawn"), ("Candidate withdrew", "withdrawn"), ("辞退", "withdrawn"),
    ("内定辞退", "withdrawn"), ("選考辞退", "withdrawn"), ("Offer declined", "withdrawn"),
    ("Offer-Declined", "withdrawn"), ("Declined by candidate", "withdrawn"),
    ("Hired", "hired"), ("Placed", "hired"), ("採用", "hired"), ("採用決定", "hired"),
    ("入社", "hired"),
    ("New", "active"), ("Applied", "active"), ("In review", "active"), ("Phone screen", "active"),
    ("1st Interview", "active"), ("Offer extended", "active"), ("応募", "active"),
    ("書類選考中", "active"),
    ("一次面接", "active"), ("最終面接", "active"), ("内定", "active"),
    ("カジュアル面談", "active"),
    ("Qualified", "active"), ("On hold", "active"),
])  # fmt: skip
def test_statuses(text, meant):
    assert suggested_status(text) == meant


@pytest.mark.parametrize("text", [
    "", "Archived", "Closed", "Declined", "Candidate rejected", "No-show", "Not interested",
    "Junk candidate", "選考終了", "面接終了", "クローズ", "重複応募", "辞退・不採用",
    "Withdrawn or rejected", "Phase 3",
])  # fmt: skip
def test_statuses_that_say_too_little_or_too_much_propose_nothing(text):
    assert suggested_status(text) is None


@given(st.text())
def test_any_text_has_an_answer(text):
    assert suggested_reason(text) in {"company", "candidate", "other", "hired", None}
    assert suggested_status(text) in {"rejected", "withdrawn", "hired", "active", None}
