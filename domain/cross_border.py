"""A recipient abroad: what the hand-over rests on, what people are told (個人情報保護法 28)."""

from collections.abc import Mapping
from typing import Any

BASES = ("consent_28", "designated_country", "equivalent_system")
DESIGNATED = frozenset({
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS",
    "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK", "GB",
})  # fmt: skip
"""Countries whose protection the commission takes for equal (規則 15): EEA and United Kingdom."""
TOLD = ("country", "regime", "measures")
"""規則 17(2): the country's name, its regime, and the recipient's measures."""
LOCALES = ("ja", "en")


def missing(country: str, facts: Mapping[str, Any] | None) -> list[str]:
    """What keeps people from being handed to an agency in this country; empty: nothing does.

    `facts` is `Agency.cross_border`: `basis`, and per language `country`, `regime`, `measures`.
    """
    if country == "JP":
        return []
    if not facts or facts.get("basis") not in BASES:
        return ["basis"]
    if facts["basis"] == "designated_country" and country not in DESIGNATED:
        return ["basis"]
    return [
        f"{locale}.{name}"
        for locale in LOCALES
        for name in TOLD
        if not str((facts.get(locale) or {}).get(name) or "").strip()
    ]
