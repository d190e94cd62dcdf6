"""The statement a person reads before any input (domain rules 5.2, 17.3), complete or refused.

Pure: the same company, agencies and language always make the same content, the same canonical form
and the same SHA-256. What is shown is what is stored, word by word.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from domain import data_items
from domain.agency import Agency
from domain.canonical import canon, flat, sha256
from domain.company import Company
from domain.errors import Invalid
from domain.retention import rules_of

WORD = "consent-text-v1"
VERSION = "2026-11"
EFFECTIVE_ON = date(2026, 11, 1)
GRACE_MINUTES = 30
"""Between the consent and the first possible hand-over; the statement says so."""
MOST_AGENCIES = 8
"""More than this on one screen nobody reads (consent mechanics 17)."""

KEYS = (
    "provider_name", "provider_address", "provider_representative", "privacy_officer", "purpose",
    "recipients", "data_items", "means", "voluntary", "free_of_charge", "company_benefit",
    "withdrawal", "validity", "retention", "rights_contact", "processors", "special_care_warning",
    "followup", "followup_agreement", "agreement", "version", "effective_on", "locale",
)  # fmt: skip
"""What must be there. `cross_border` joins them when a recipient is abroad."""
CROSS_BORDER = "cross_border"
CROSS_BORDER_BASES = ("consent_28", "designated_country", "equivalent_system")
"""On what a hand-over abroad may rest (個人情報保護法 28; domain rules 6.4)."""
RECIPIENT_KEYS = (
    "id", "name", "address", "representative", "licence", "country", "purpose", "privacy_url",
)  # fmt: skip
FOLLOWUP = "followup"
"""What the person agrees to apart from any hand-over: to be asked later whether they started. In
the evidence it stands where items stand, in an event of its own that names no agency."""
FORBIDDEN = ("お祝い金", "プレゼント", "ギフト", "ポイント進呈", "謝礼を")
"""Rewards near an opt-in are banned (domain rules 15); a statement offering one is refused."""

_JA = {
    "privacy_officer": "{officer}(連絡先: {contact})",
    "purpose": (
        "ご選択いただいた人材紹介会社が、あなたに他社の求人をご紹介し、"
        "就職・転職を支援するために利用します。"
    ),
    "recipients_note": "提供先は、下記のうちご自身で選択された会社に限ります。",
    "means": "暗号化された通信により、本システムを通じて提供します。",
    "voluntary": (
        "このお申し込みは任意です。お申し込みの有無や内容が、{company}の現在および将来の選考に"
        "影響することはありません。お申し込みにならない場合、情報が提供されることはありません。"
    ),
    "free_of_charge": "費用は一切かかりません。また、お申し込みに対する謝礼等もございません。",
    "company_benefit": (
        "ご紹介を通じてあなたの就職が決まった場合、{company}は、当該人材紹介会社との提携契約に"
        "基づき、将来の採用において紹介手数料の免除を受けることがあります。"
        "あなたの就職先が{company}に知らされることはありません。"
    ),
    "withdrawal": (
        "同意はいつでも撤回できます。マイページまたは控えのメールのリンクから、理由を問わず"
        "お手続きいただけます。撤回後は新たな提供を行わず、提供済みの会社へ利用停止を依頼し、"
        "その回答をマイページでお知らせします。撤回前に行われた提供は取り消せません。"
        "お申し込みから{minutes}分間は、どの会社にも提供しません。"
    ),
    "validity": (
        "同意の有効期間は{months}か月です。期間満了前に、更新のご希望を一度だけお伺いします。"
        "ご回答がない場合、同意は期間満了をもって終了し、新たな提供は行いません。"
        "提供先、提供する項目または利用目的が変わる場合は、あらためて同意をお願いします。"
    ),
    "retention": (
        "お預かりした情報は、選考結果のご連絡から{application_months}か月後、または同意の終了から"
        "{consent_days}日後の、いずれか遅い日に{company}にて消去します。"
        "同意と提供の記録は、これとは別に、法令に基づき{evidence_years}年間保存します。"
    ),
    "rights_contact": (
        "開示、訂正、利用停止、第三者提供の停止、提供記録の開示のご請求、苦情のお申し出は "
        "{contact} で承ります。"
    ),
    "special_care_warning": (
        "健康状態、信条、犯罪歴など、配慮を要する個人情報は記入しないでください。"
    ),
    "followup": (
        "ご希望の方に限り、お取り次ぎから30日後、90日後、180日後の最大3回、"
        "その人材紹介会社を通じて就職されたかどうかをメールでおたずねします。提供の同意とは別のもので、"
        "希望されなくても不利益はありません。お答えは任意で、就職先や入社日はおたずねしません。"
        "人材紹介会社にお答えが伝わることはなく、{company}には就職が確認されたことだけが伝わります。"
        "いつでもやめられます。"
    ),
    "followup_agreement": "就職の確認のメール(最大3回)を希望します。",
    "agreement": "上記を確認し、選択した会社に、選択した項目を提供することに同意します。",
}
_EN = {
    "privacy_officer": "{officer} (contact: {contact})",
    "purpose": (
        "The placement agencies you select use your information to introduce vacancies at other "
        "companies to you and to support you in finding a job."
    ),
    "recipients_note": "Only the agencies you select yourself below will receive anything.",
    "means": "Your information is handed over through this system over an encrypted connection.",
    "voluntary": (
        "This is voluntary. Whether and how you apply has no effect on any selection by {company}, "
        "now or later. If you do not apply, nothing is handed over."
    ),
    "free_of_charge": "It is free of charge. There is no reward for applying either.",
    "company_benefit": (
        "If you find a job through such an introduction, {company} may be exempted from a "
        "placement fee for a later hire, under its agreement with that agency. {company} is never "
        "told where you work."
    ),
    "withdrawal": (
        "You can withdraw your consent at any time, without giving a reason, on your own page or "
        "through the link in the receipt. After that nothing more is handed over, and agencies "
        "that hold your information are asked to stop using it; you see their answers on your own "
        "page. What was handed over before cannot be undone. For {minutes} "
        "minutes after you apply nothing is handed over to anyone."
    ),
    "validity": (
        "Your consent is valid for {months} months. Before it ends we ask you once whether you "
        "would like to go on. Without an answer it ends, and nothing more is handed over. If a "
        "recipient, the items or the purpose changes, we ask for your consent anew."
    ),
    "retention": (
        "What we hold about you is erased at {company} {application_months} months after the "
        "result, or {consent_days} days after your consent ends, whichever is later. Apart from "
        "that, records of your consent and of what was handed over are kept for {evidence_years} "
        "years, as the law requires."
    ),
    "rights_contact": (
        "For access, correction, stopping use, stopping provision, records of provision and "
        "complaints, contact {contact}."
    ),
    "special_care_warning": (
        "Please do not write anything about health, beliefs, a criminal record or other sensitive "
        "matters."
    ),
    "followup": (
        "Only if you wish, we ask you by mail whether you started a job through the agency you "
        "were passed on to: at most three times, 30, 90 and 180 days afterwards. This is separate "
        "from your consent to a hand-over, and not wishing it has no disadvantage. Answering is "
        "voluntary, and we do not ask where you work or since when. The agency does not learn your "
        "answer; {company} learns only that a start was confirmed. You can stop it at any time."
    ),
    "followup_agreement": (
        "I would like to be asked by mail whether I started a job (at most three times)."
    ),
    "agreement": (
        "I have read the above and agree that the items I selected are handed over to the agencies "
        "I selected."
    ),
}
_SENTENCES = {"ja": _JA, "en": _EN}
_ABROAD = {
    "ja": (
        "{name}\n所在国：{country}\n個人情報の保護に関する制度：{regime}\n提供先の措置：{measures}"
    ),
    "en": (
        "{name}\nCountry: {country}\nIts law on personal data: {regime}\n"
        "The recipient's measures: {measures}"
    ),
}
"""What a person is told of each recipient abroad (規則 17)."""
_HEADINGS = {
    "ja": {
        "voluntary": "はじめに",
        "free_of_charge": "費用",
        "purpose": "利用目的",
        "recipients": "提供先",
        "data_items": "提供する項目",
        "means": "提供の方法",
        "cross_border": "外国にある会社への提供",
        "company_benefit": "{company}が得る可能性のある利益",
        "withdrawal": "撤回",
        "validity": "有効期間",
        "retention": "保存期間",
        "processors": "取扱いの委託",
        "followup": "就職の確認(ご希望の方のみ)",
        "special_care_warning": "ご注意",
        "rights_contact": "ご請求・お問い合わせ",
        "provider_name": "事業者",
        "privacy_officer": "個人情報保護管理者",
    },
    "en": {
        "voluntary": "Before you begin",
        "free_of_charge": "Cost",
        "purpose": "What it is used for",
        "recipients": "Who receives it",
        "data_items": "What is handed over",
        "means": "How it is handed over",
        "cross_border": "Recipients abroad",
        "company_benefit": "What {company} may gain",
        "withdrawal": "Withdrawing",
        "validity": "How long it is valid",
        "retention": "How long records are kept",
        "processors": "Who handles the data for the company",
        "followup": "Asking you later (only if you wish)",
        "special_care_warning": "Please note",
        "rights_contact": "Requests and questions",
        "provider_name": "The company",
        "privacy_officer": "Privacy officer",
    },
}


@dataclass(frozen=True)
class Statement:
    """What is shown, and the hash under which it is stored."""

    content: dict[str, Any]
    sha256: str

    @property
    def locale(self) -> str:
        """The language it is written in."""
        return str(self.content["locale"])

    @property
    def agency_ids(self) -> list[str]:
        """The agencies shown, in the order shown."""
        return [recipient["id"] for recipient in self.content["recipients"]]

    @property
    def item_codes(self) -> list[str]:
        """The items shown, in the order shown."""
        return [item["code"] for item in self.content["data_items"]]

    def basis(self, agency_id: str) -> str | None:
        """On what a hand-over to an agency abroad rests; null in Japan."""
        return self.recipient(agency_id).get("cross_border_basis")

    def recipient(self, agency_id: str) -> dict[str, Any]:
        """An agency as it was shown. Raises `Invalid` (`agency_not_offered`)."""
        found = (one for one in self.content["recipients"] if one["id"] == agency_id)
        recipient = next(found, None)
        if recipient is None:
            detail = "this agency was not on the form"
            raise Invalid(detail, code="agency_not_offered")
        return dict(recipient)


def build(
    company: Company, agencies: Sequence[Agency], items: Iterable[str], locale: str
) -> Statement:
    """The statement for these agencies and items in `ja` or `en`.

    Raises `Invalid`: `statement_incomplete` (a fact is missing; the detail names the keys) or
    `cross_border_basis_missing` (個人情報保護法 28: a recipient abroad needs a basis, and the
    statement says what kind of country it is and what the recipient does).
    """
    abroad = [agency for agency in agencies if agency.country != "JP"]
    if not all(may_be_abroad(agency) for agency in abroad):
        detail = "a recipient abroad needs information on its country and its measures"
        raise Invalid(detail, code="cross_border_basis_missing")
    content = {
        **_sentences(company, locale),
        **({CROSS_BORDER: _cross_border(abroad, locale)} if abroad else {}),
        "headings": {
            key: heading.format(company=named(company, locale))
            for key, heading in _HEADINGS[locale].items()
            if abroad or key != CROSS_BORDER
        },
        "provider_name": named(company, locale),
        "provider_address": company.address,
        "provider_representative": company.representative,
        "processors": company.processors if locale == "ja" else company.processors_en,
        "recipients": [recipient_of(agency, locale) for agency in agencies],
        "data_items": _items(agencies, items, locale),
        "version": VERSION,
        "effective_on": EFFECTIVE_ON.isoformat(),
        "locale": locale,
    }
    check(content)
    return Statement(content, hash_of(content))


def hash_of(content: Mapping[str, Any]) -> str:
    """The SHA-256 of the canonical form: the word, the number of pairs, then path and value."""
    pairs = list(flat(content))
    return sha256(canon(WORD, len(pairs), *(part for pair in pairs for part in pair)))


def check(content: Mapping[str, Any]) -> None:
    """Every key has something to say, and nothing is promised in return. Else `Invalid`."""
    abroad = any(one.get("country") != "JP" for one in content.get("recipients") or [])
    keys = (*KEYS, CROSS_BORDER) if abroad else KEYS
    missing = [key for key in keys if not content.get(key)]
    missing += [
        f"recipients.{key}"
        for key in RECIPIENT_KEYS
        if not all(one.get(key) for one in content.get("recipients") or [])
    ]
    links = [str(one.get("privacy_url")) for one in content.get("recipients") or []]
    if not all(link.startswith(("https://", "http://")) for link in links):
        missing.append("recipients.privacy_url")
    if missing:
        raise Invalid(", ".join(missing), code="statement_incomplete")
    said = content["processors"] + "".join(one["purpose"] for one in content["recipients"])
    if any(word in said for word in FORBIDDEN):
        detail = "a statement must not offer a reward"
        raise Invalid(detail, code="reward_offered")


def as_text(content: Mapping[str, Any], *, followup: bool = False) -> str:
    """The statement as plain text for the receipt, in the order of the form.

    `followup`: the box under it was ticked, so its sentence was agreed to as well.
    """
    parts = [f"■ {heading}\n{said(content, key)}" for key, heading in headings(content)]
    agreed = [content["agreement"], *([content["followup_agreement"]] if followup else [])]
    return "\n\n".join([*parts, *agreed])


def headings(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(key, heading) in the order of the form. JSON does not keep an order, so it is kept here.

    A statement of an earlier version says what it said: it lacks what came later.
    """
    written = content["headings"]
    return [(key, written[key]) for key in _HEADINGS["ja"] if key in written]


def said(content: Mapping[str, Any], key: str) -> str:
    """One entry of the statement as text; lists become lines."""
    if key == "recipients":
        return "\n".join(_recipient_line(one) for one in content[key])
    if key == "data_items":
        between = "、" if content["locale"] == "ja" else ", "
        return between.join(one["label"] for one in content[key])
    if key == "provider_name":
        names = ("provider_name", "provider_address", "provider_representative")
        return "\n".join(content[name] for name in names)
    return str(content[key])


def named(party: Company | Agency, locale: str) -> str:
    """A party's name in a language, where it has one."""
    return party.name if locale == "ja" else party.name_en or party.name


def required_of(content: Mapping[str, Any], agency_id: str) -> list[str]:
    """The items an agency shown cannot do without."""
    return [item["code"] for item in content["data_items"] if agency_id in item["required_by"]]


def _sentences(company: Company, locale: str) -> dict[str, str]:
    facts = {
        "company": named(company, locale),
        "officer": company.privacy_officer,
        "contact": company.privacy_contact,
        "months": company.consent_months,
        "minutes": GRACE_MINUTES,
        **rules_of(company.retention, company.retention_months),
    }
    if not (company.privacy_officer.strip() and company.privacy_contact.strip()):
        detail = "privacy_officer, rights_contact"
        raise Invalid(detail, code="statement_incomplete")
    return {key: sentence.format(**facts) for key, sentence in _SENTENCES[locale].items()}


def may_be_abroad(agency: Agency) -> bool:
    """Whether everything stands that a person must be told of a recipient abroad (規則 17)."""
    said = agency.cross_border or {}
    return said.get("basis") in CROSS_BORDER_BASES and all(
        (said.get(locale) or {}).get(key)
        for locale in ("ja", "en")
        for key in ("country", "regime", "measures")
    )


def _cross_border(agencies: Sequence[Agency], locale: str) -> str:
    return "\n\n".join(
        _ABROAD[locale].format(name=named(agency, locale), **(agency.cross_border or {})[locale])
        for agency in agencies
    )


def recipient_of(agency: Agency, locale: str) -> dict[str, Any]:
    """An agency as a person is shown it, word by word: the evidence keeps it like this."""
    abroad = agency.country != "JP"
    told = agency.cross_border or {}
    there = {
        "cross_border_basis": told.get("basis"),
        "country_name": (told.get(locale) or {}).get("country"),
    }  # fmt: skip
    return (there if abroad else {}) | {
        "id": agency.id,
        "name": named(agency, locale),
        "address": agency.address,
        "representative": agency.representative,
        "licence": agency.license_number,
        "country": agency.country,
        "purpose": agency.purpose if locale == "ja" else agency.purpose_en,
        "privacy_url": agency.privacy_url,
    }


def _items(agencies: Sequence[Agency], items: Iterable[str], locale: str) -> list[dict[str, Any]]:
    return [
        {
            "code": code,
            "label": data_items.label(code, locale),
            "required_by": [agency.id for agency in agencies if code in agency.required_items],
        }
        for code in items
    ]


def _recipient_line(one: Mapping[str, Any]) -> str:
    facts = ("name", "licence", "address", "representative", "purpose", "privacy_url")
    return "- " + " / ".join(str(one[fact]) for fact in facts)
