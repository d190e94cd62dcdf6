"""The terms of an agreement in words: what a version says, and what a proposal would change."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.catalogue import has, say
from domain.fees import FeeTerms, RefundTerms
from domain.periods import Period, Tier
from domain.terms import Terms, terms_of

_WHOLE = 100
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "granting": ("rule", "guarantee", "available", "max_open", "credit_unit"),
    "using": ("validity", "scope", "value_cap", "reservation", "while_owed", "restore"),
    "leaving": ("early_leave", "settle", "tail"),
    "belonging": ("ownership", "attribution", "registered", "reapplication"),
    "money": ("fee", "refund", "reference"),
    "duties": ("words", "attestation", "pause"),
}
"""What is said of an agreement, in the order people ask for it."""


@dataclass(frozen=True)
class Line:
    """One thing agreed, in a sentence."""

    key: str
    text: str


@dataclass(frozen=True)
class Change:
    """One thing a proposal would change."""

    key: str
    old: str
    new: str


def sections(stored: Mapping[str, Any], locale: str) -> dict[str, list[Line]]:
    """A version's terms in a language, section by section."""
    terms = terms_of(stored)
    return {
        name: [Line(key, _LINES[key](terms, _Words(locale))) for key in keys]
        for name, keys in SECTIONS.items()
    }


def changes(old: Mapping[str, Any], new: Mapping[str, Any], locale: str) -> list[Change]:
    """What one version says otherwise than another."""
    words = _Words(locale)
    before, after = terms_of(old), terms_of(new)
    said = [(key, _LINES[key](before, words), _LINES[key](after, words)) for key in _LINES]
    return [Change(key, was, becomes) for key, was, becomes in said if was != becomes]


class _Words:
    """The sentences of one language."""

    def __init__(self, locale: str) -> None:
        self._locale = locale

    def __call__(self, key: str, **values: Any) -> str:
        return say(self._locale, f"ledger.terms_{key}", **values)

    def either(self, key: str, value: str) -> str:
        """The word for a value of a party's own making; the value itself where there is none."""
        name = f"ledger.terms_{key}_{value}"
        return say(self._locale, name) if has(self._locale, name) else value

    def yen(self, amount: int) -> str:
        return self("yen", amount=f"{amount:,}")

    def listed(self, parts: Sequence[str]) -> str:
        return say(self._locale, "common.between").join(parts)

    def sentences(self, *parts: str) -> str:
        joint = "" if self._locale == "ja" else " "
        return joint.join(part for part in parts if part)


def _rule(terms: Terms, words: _Words) -> str:
    start = words("rule_start", count=terms.credits_per_placement)
    event = words.either("event", terms.per_n.counted_event)
    many = words("rule_many", n=terms.per_n.n, event=event)
    return words.sentences(
        start if terms.grants_on_placement else "", many if terms.counts_relays else ""
    )


def _period(period: Period, words: _Words) -> str:
    if period.months:
        return words("months", count=period.months)
    return words("days", count=period.days)


def _guarantee(terms: Terms, words: _Words) -> str:
    return words("guarantee", period=_period(terms.guarantee, words))


def _validity(terms: Terms, words: _Words) -> str:
    return words(f"validity_{terms.validity_from}", count=terms.validity_months)


def _scope(terms: Terms, words: _Words) -> str:
    scope, parts = terms.scope, []
    if scope.job_types:
        parts.append(words("scope_jobs", jobs=words.listed(scope.job_types)))
    if scope.employment_terms:
        named = [words.either("contract", one) for one in scope.employment_terms]
        parts.append(words("scope_contracts", contracts=words.listed(named)))
    if scope.salary_cap_jpy is not None:
        parts.append(words("scope_salary", amount=words.yen(scope.salary_cap_jpy)))
    return words.sentences(*parts) if parts else words("scope_none")


def _value_cap(terms: Terms, words: _Words) -> str:
    if terms.value_cap_jpy is None:
        return words("value_cap_none")
    return words("value_cap", amount=words.yen(terms.value_cap_jpy))


def _max_open(terms: Terms, words: _Words) -> str:
    return (
        words("max_open_none")
        if terms.max_open is None
        else words("max_open", count=terms.max_open)
    )


def _reservation(terms: Terms, words: _Words) -> str:
    stops = "stops" if terms.reservation_stops_expiry else "goes_on"
    return words.sentences(
        words("reservation", count=terms.reservation_days), words(f"reservation_{stops}")
    )


def _restore(terms: Terms, words: _Words) -> str:
    if not terms.restore_on_early_leave:
        return words("restore_none")
    if not terms.restore_min_months:
        return words("restore")
    return words("restore_least", count=terms.restore_min_months)


def _tiers(tiers: Sequence[Tier], words: _Words) -> str:
    ordered = sorted(tiers, key=lambda tier: (tier.unit != "day", tier.up_to))
    return words.listed([
        words(f"tier_{tier.unit}", count=tier.up_to, percent=tier.percent) for tier in ordered
    ])  # fmt: skip


def _early_leave(terms: Terms, words: _Words) -> str:
    if not terms.early_leave_tiers:
        return words("early_leave_all")
    tiers = _tiers(terms.early_leave_tiers, words)
    return words.sentences(
        words("early_leave", tiers=tiers), words(f"rounding_{terms.early_leave_rounding}")
    )


def _registered(terms: Terms, words: _Words) -> str:
    return words(
        "registered", days=terms.already_registered_declare_days,
        contact=terms.already_registered_contact_days,
    )  # fmt: skip


def _reapplication(terms: Terms, words: _Words) -> str:
    if not terms.reapplication_exempt_months:
        return words("reapplication_none")
    return words("reapplication", count=terms.reapplication_exempt_months)


def _fee(terms: Terms, words: _Words) -> str:
    fee: FeeTerms | None = terms.fee
    if fee is None:
        return words("fee_none")
    rate = words("fee_rate", percent=f"{fee.rate_percent:f}") if fee.rate_percent else ""
    flat = words("fee_flat", amount=words.yen(fee.flat_jpy)) if fee.flat_jpy is not None else ""
    return words.sentences(
        rate, flat, words("fee_incentive") if fee.incentive_counts else "",
        words("fee_rounding", fee=words.either("round", fee.rounding),
              tax=words.either("round", fee.tax_rounding)),
    )  # fmt: skip


def _refund(terms: Terms, words: _Words) -> str:
    refund: RefundTerms | None = terms.refund
    if refund is None:
        return words("refund_none")
    covered = [words.either("leave", one) for one in refund.covered_reasons]
    excluded = [words.either("leave", one) for one in refund.excluded_reasons]
    contracts = [words.either("contract", one) for one in refund.employment_terms_covered]
    return words.sentences(
        words("refund", tiers=_tiers(refund.tiers, words)),
        words("refund_first_day" if refund.count_first_day else "refund_next_day"),
        words("refund_covered", reasons=words.listed(covered)) if covered else "",
        words("refund_excluded", reasons=words.listed(excluded)) if excluded else "",
        words("refund_contracts", contracts=words.listed(contracts)) if contracts else "",
        words("refund_within", days=refund.claim_within_days),
        words("refund_replacement") if refund.replacement_allowed else "",
    )  # fmt: skip


def _reference(terms: Terms, words: _Words) -> str:
    if not terms.reference_value_jpy:
        return words("reference_none")
    return words("reference", amount=words.yen(terms.reference_value_jpy))


def _attestation(terms: Terms, words: _Words) -> str:
    duties = terms.duties
    if not duties.attestation:
        return words("attestation_none")
    return words("attestation", days=duties.attestation_business_days)


def _pause(terms: Terms, words: _Words) -> str:
    duties = terms.duties
    return words("pause", days=duties.grace_business_days) if duties.pause else words("pause_none")


_LINES: Mapping[str, Callable[[Terms, _Words], str]] = {
    "rule": _rule,
    "guarantee": _guarantee,
    "available": lambda terms, words: words(f"available_{terms.available_after}"),
    "max_open": _max_open,
    "credit_unit": lambda terms, words: words(f"unit_{terms.credit_unit}"),
    "validity": _validity,
    "scope": _scope,
    "value_cap": _value_cap,
    "reservation": _reservation,
    "while_owed": lambda terms, words: words(
        "while_owed_yes" if terms.reserve_while_owed else "while_owed_no"
    ),
    "restore": _restore,
    "early_leave": _early_leave,
    "settle": lambda terms, words: words(f"settle_{terms.settle_owed}"),
    "tail": lambda terms, words: words("tail", count=terms.tail_months),
    "ownership": lambda terms, words: words("ownership", count=terms.ownership_window_months),
    "attribution": lambda terms, words: words(f"attribution_{terms.attribution}"),
    "registered": _registered,
    "reapplication": _reapplication,
    "fee": _fee,
    "refund": _refund,
    "reference": _reference,
    "words": lambda terms, words: words("words", days=terms.duties.status_days),
    "attestation": _attestation,
    "pause": _pause,
}
