"""What can be handed over, item by item (domain rules 6.5), and how it is called on the form."""

from collections.abc import Iterable, Mapping
from typing import Any

from domain.contact import katakana, phone_number, yen

CODES = (
    "name", "name_kana", "email", "phone", "birth_date", "address_prefecture", "address_full",
    "education", "work_history", "skills", "qualifications", "current_salary", "desired_job",
    "desired_location", "desired_salary", "available_from", "resume_file", "cv_file",
    "portfolio_url", "applied_job_title", "stage_reached", "interview_feedback",
    "origin_company_name",
)  # fmt: skip
WISHES = ("desired_job", "desired_location", "desired_salary", "available_from")
DEFAULT = ("name", "name_kana", "email", "phone", *WISHES)
"""Always offered: without them nobody can be called back, and what is wished for is typed here."""
FACTS = ("name", "name_kana", "phone", *WISHES)
"""What the person may put right or complete on the form."""
REQUIRED = ("name", "email")
"""What an agency needs at the least to reach a person."""
OF_APPLICATION = ("applied_job_title", "stage_reached", "origin_company_name")
"""Facts of the application. The last two tell the agency that the company said no (6.5)."""
REVEALING = ("stage_reached", "interview_feedback", "origin_company_name")

LABELS: dict[str, dict[str, str]] = {
    "ja": {
        "name": "氏名",
        "name_kana": "氏名(カナ)",
        "email": "メールアドレス",
        "phone": "電話番号",
        "birth_date": "生年月日",
        "address_prefecture": "お住まいの都道府県",
        "address_full": "住所",
        "education": "学歴",
        "work_history": "職歴",
        "skills": "スキル",
        "qualifications": "資格",
        "current_salary": "現在の年収",
        "desired_job": "希望職種",
        "desired_location": "希望勤務地",
        "desired_salary": "希望年収",
        "available_from": "入社可能時期",
        "resume_file": "履歴書",
        "cv_file": "職務経歴書",
        "portfolio_url": "ポートフォリオのURL",
        "applied_job_title": "応募した職種",
        "stage_reached": "選考の到達段階",
        "interview_feedback": "面接のフィードバック",
        "origin_company_name": "応募先の会社名",
    },
    "en": {
        "name": "Name",
        "name_kana": "Name in katakana",
        "email": "E-mail address",
        "phone": "Telephone number",
        "birth_date": "Date of birth",
        "address_prefecture": "Prefecture you live in",
        "address_full": "Address",
        "education": "Education",
        "work_history": "Work history",
        "skills": "Skills",
        "qualifications": "Qualifications",
        "current_salary": "Current salary",
        "desired_job": "Job you are looking for",
        "desired_location": "Place you would like to work",
        "desired_salary": "Salary you are looking for",
        "available_from": "When you could start",
        "resume_file": "Résumé (履歴書)",
        "cv_file": "Career history (職務経歴書)",
        "portfolio_url": "Portfolio URL",
        "applied_job_title": "Job you applied for",
        "stage_reached": "Stage of the selection you reached",
        "interview_feedback": "Interview feedback",
        "origin_company_name": "Company you applied to",
    },
}


def label(code: str, locale: str) -> str:
    """How an item is called in a language."""
    return LABELS[locale][code]


def in_order(codes: Iterable[str]) -> list[str]:
    """The codes once each, in the order of the form."""
    wanted = set(codes)
    return [code for code in CODES if code in wanted]


def offered(profile: Mapping[str, Any], *, job_title: str, stage: str) -> list[str]:
    """What this person may choose: the default set, and whatever else there is to hand over."""
    filled = {code for code in CODES if code not in OF_APPLICATION and profile.get(code)}
    known = {"applied_job_title": job_title, "stage_reached": stage, "origin_company_name": "yes"}
    return in_order({*DEFAULT, *filled, *(code for code, value in known.items() if value)})


def full_name(profile: Mapping[str, Any]) -> str:
    """The person's name as their documents write it."""
    whole = profile.get("display_name") or profile.get("name")
    return str(whole or _joined(profile, "family_name", "given_name"))


def full_name_kana(profile: Mapping[str, Any]) -> str:
    """The reading of the name in katakana."""
    whole = profile.get("name_kana")
    return str(whole or _joined(profile, "family_name_kana", "given_name_kana"))


def value_of(code: str, profile: Mapping[str, Any]) -> str:
    """An item of the profile as text; empty when the person never said it."""
    if code == "name":
        return full_name(profile)
    if code == "name_kana":
        return full_name_kana(profile)
    return str(profile.get(code) or "")


def corrected(profile: Mapping[str, Any], facts: Mapping[str, str]) -> dict[str, Any]:
    """The profile with what the person put right (`FACTS`).

    A name in two parts is also kept as family and given name. An emptied field is forgotten, and
    stays so: `cleared` lists it, for what the ATS tells later.
    """
    made = dict(profile)
    for code, fact in facts.items():
        if fact == value_of(code, profile):
            continue
        fields = _fields(code, fact)
        made |= fields
        cleared = set(made.get("cleared") or ()) - set(fields)
        cleared |= set() if fact else set(fields)
        made["cleared"] = sorted(cleared)
    if not made.get("cleared"):
        made.pop("cleared", None)
    return made


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The items that say something else now, in the order of the form."""
    return [code for code in CODES if value_of(code, before) != value_of(code, after)]


def _fields(code: str, fact: str) -> dict[str, Any]:
    """The profile fields one answer of the form fills, in the form in which they are kept."""
    if code == "name":
        whole = {"display_name": fact or None, "name": fact or None}
        return whole | _parts(fact, "family_name", "given_name")
    if code == "name_kana":
        reading = katakana(fact)
        return {"name_kana": reading or None} | _parts(
            reading, "family_name_kana", "given_name_kana"
        )
    if code == "phone":
        return {"phone": phone_number(fact) or fact or None}
    if code == "desired_salary":
        return {"desired_salary": yen(fact) or None}
    return {code: fact or None}


def _joined(profile: Mapping[str, Any], *parts: str) -> str:
    return " ".join(str(profile[part]) for part in parts if profile.get(part))


def _parts(whole: str, family: str, given: str) -> dict[str, str | None]:
    first, _, second = " ".join(whole.split()).partition(" ")
    return {family: first or None, given: second or None}
