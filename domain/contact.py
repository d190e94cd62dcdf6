"""How a person writes their number, their address and the reading of their name (rules 18).

Pure. What is stored is what was meant, in one form, so that the same person is found again.
"""

import re
import unicodedata

_CHAR = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a1-\U0010ffff-]"
_LOCAL = re.compile(rf"{_CHAR}+(\.{_CHAR}+)*")
_CARRIER_LOCAL = re.compile(rf"\.*{_CHAR}({_CHAR}|\.)*")
_CARRIERS = ("docomo.ne.jp", "ezweb.ne.jp", "au.com")
"""Their old addresses with `..` or `.@` are real, though no standard allows them."""
_LABEL = r"[a-z0-9\u00a1-\U0010ffff]([a-z0-9\u00a1-\U0010ffff-]{0,61}[a-z0-9\u00a1-\U0010ffff])?"
_DOMAIN = re.compile(rf"({_LABEL}\.)+(?!\d+$){_LABEL}")
_LONGEST_LOCAL, LONGEST_ADDRESS = 64, 254
_NEVER_IN_ADDRESS = {"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"}
_NUMBER = re.compile(r"\+?[\d\s().\-‐-―−ー–—]*")
_ABROAD = re.compile(r"\+[1-9]\d{7,14}")
_HIRAGANA = range(ord("ぁ"), ord("ゖ") + 1)
_TO_KATAKANA = ord("ァ") - ord("ぁ")
_MOST_YEN = 1_000_000_000


def phone_number(value: str) -> str | None:
    """A number in E.164: a Japanese one however it is written, another with its country's code.

    Null for what is none.
    """
    plain = unicodedata.normalize("NFKC", value).strip().replace("(0)", "")
    if _NUMBER.fullmatch(plain) is None:
        return None
    digits = "".join(one for one in plain if one.isdecimal())
    if plain.startswith("+") and not digits.startswith("81"):
        return f"+{digits}" if _ABROAD.fullmatch(f"+{digits}") else None
    if plain.startswith("+"):
        digits = "0" + digits.removeprefix("81").removeprefix("0")
    fits = digits[:1] == "0" and digits[1:2] not in {"", "0"} and len(digits) in {10, 11}
    return f"+81{digits[1:]}" if fits and digits.isascii() else None


def dialled(value: str) -> str:
    """A number as one dials it in Japan (`090-1234-5678`); one from abroad stays as it is."""
    if not value.startswith("+81"):
        return value
    number = "0" + value.removeprefix("+81")
    mobile = len(number) == 11  # noqa: PLR2004 - 070, 080, 090 and 050; elsewhere area codes vary
    return f"{number[:3]}-{number[3:7]}-{number[7:]}" if mobile else number


def mail_address(value: str) -> str | None:
    """A usable address: trimmed, the domain in lower case, the local part as it is; else null.

    Addresses under reserved names (`.example`, `.test`) are addresses. Letters that only stand for
    others (the sign for Kelvin) are not taken: in lower case they name somebody else's mailbox.
    """
    local, at, domain = value.strip().rpartition("@")
    domain = domain.lower()
    form = _CARRIER_LOCAL if domain in _CARRIERS else _LOCAL
    fits = at and len(local) <= _LONGEST_LOCAL and len(local) + len(domain) < LONGEST_ADDRESS
    if not fits or not form.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        return None
    found = f"{local}@{domain}"
    strange = any(unicodedata.category(one) in _NEVER_IN_ADDRESS for one in found)
    return found if not strange and unicodedata.is_normalized("NFC", found) else None


def katakana(value: str) -> str:
    """A reading in full-width katakana with single blanks, from hiragana or half-width letters."""
    folded = unicodedata.normalize("NFKC", value)
    shifted = (
        chr(ord(one) + _TO_KATAKANA) if ord(one) in _HIRAGANA else one for one in folded
    )  # fmt: skip
    return " ".join("".join(shifted).split())


def yen(value: str) -> int | None:
    """A yearly salary as a person types it (`450万円`, `4,500,000`), in yen; null for another."""
    plain = unicodedata.normalize("NFKC", value).replace(",", "").replace(" ", "")
    found = re.fullmatch(r"[¥\\]?(\d{1,10})(万)?円?", plain, re.ASCII)
    if found is None:
        return None
    amount = int(found[1]) * (10_000 if found[2] else 1)
    return amount if amount <= _MOST_YEN else None
