"""A credit's life in sentences: what each step was, why, and what it changed."""

from datetime import date

from api.catalogue import has, say
from domain.business_days import long_date
from domain.views.credit_life import Step


def sentence(step: Step, locale: str) -> str:
    """One step in a language, e.g. 「2026年10月1日 使えるようになりました。」."""
    what = say(locale, f"credit_life.{_key(step, locale)}")
    why = _why(step, locale)
    dates = [
        say(locale, f"credit_life.date_{moved.field}", day=long_date(moved.new, locale))
        for moved in step.dates
    ]
    joint = "" if locale == "ja" else " "
    return joint.join([long_date(step.effective_on, locale) + _COLON[locale], what, *why, *dates])


_COLON = {"ja": " ", "en": ":"}


def _key(step: Step, locale: str) -> str:
    """A step may have words of its own where it went from or why; else those of its kind."""
    cause = step.request.get("fact") or step.reason  # a late fact still has its cause
    for key in (f"{step.kind}_{cause}", f"{step.kind}_from_{step.from_bucket}"):
        if has(locale, f"credit_life.{key}"):
            return key
    return step.kind


def _why(step: Step, locale: str) -> list[str]:
    if step.reason is None or has(locale, f"credit_life.{step.kind}_{step.reason}"):
        return []
    key = f"credit_life.reason_{step.reason}"
    if not has(locale, key):
        return []
    fact = step.request.get("fact_on")
    return [say(locale, key, day=long_date(date.fromisoformat(fact), locale) if fact else "")]
