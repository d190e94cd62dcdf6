"""Single values of an export: dates, addresses, numbers, names, as spreadsheets leave them."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from domain.business_days import JST
from domain.import_table import Cell

EARLIEST, LATEST = date(1990, 1, 1), date(2100, 1, 1)
_EXACT = 2**53
"""From here on a spreadsheet's number has lost digits."""
_SERIAL_ZERO = datetime(1899, 12, 30)  # noqa: DTZ001 - a spreadsheet's day has no zone
_SERIALS = (30_000, 80_000)
"""1982 to 2119, as Excel counts days."""
_QUOTED = re.compile(r'="(.*)"')
_SCIENTIFIC = re.compile(r"[0-9](?:\.[0-9]+)?e\+?[0-9]{1,2}", re.IGNORECASE)
_HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""Full-width letters, digits and signs; nothing else that looks alike is taken for the same."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_TIME = (
    r"(?:[T\s]*(?P<hour>\d{1,2})(?::|時)(?P<minute>\d{1,2})?"
    r"(?:[:分]?(?P<second>\d{1,2})?(?:\.\d+)?)?[秒分]?)?"
)
_ZONE = r"(?P<zone>Z|[+-]\d{2}:?\d{2})?"
_WEEKDAY = r"(?:\s*\([日月火水木金土祝a-z]{1,4}\))?"
_BIG_FIRST = re.compile(
    rf"(?P<year>\d{{4}})\s*[-/.年]\s*(?P<month>\d{{1,2}})\s*[-/.月]\s*(?P<day>\d{{1,2}})日?"
    rf"{_WEEKDAY}\s*{_TIME}\s*{_ZONE}",
    re.IGNORECASE,
)
_ERA = re.compile(
    rf"(?P<era>令和|平成|r|h)\s*(?P<year>\d{{1,2}}|元)\s*[-/.年]\s*(?P<month>\d{{1,2}})\s*[-/.月]\s*"
    rf"(?P<day>\d{{1,2}})日?{_WEEKDAY}\s*{_TIME}\s*{_ZONE}",
    re.IGNORECASE,
)
_ERAS = {"令和": 2018, "r": 2018, "平成": 1988, "h": 1988}
_YEAR_LAST = re.compile(
    rf"(?P<one>\d{{1,2}})[-/.](?P<two>\d{{1,2}})[-/.](?P<year>\d{{4}}),?\s*{_TIME}"
    rf"(?:\s*(?P<half>[ap])\.?m\.?)?\s*{_ZONE}",
    re.IGNORECASE,
)
_COMPACT = re.compile(r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})")
_MAIL = re.compile(r"[^@\s,;<>()\"]+@[^@\s.,;<>()\"]+(?:\.[^@\s.,;<>()\"]+)+")
_ADDRESSED = re.compile(r"[^<>]*<([^<>]+)>")
_DASHES = re.compile(r"[\s\-‐‑‒–—―−ー－ｰ()()./]+")
_MONTHS = 12


class Unclear(ValueError):  # noqa: N818 - an expected "no", as `Refusal`
    """A value that is not one of its kind; the code says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class When:
    """A moment, or a day of which nobody said the time."""

    day: date
    at: datetime | None = None

    @property
    def text(self) -> str:
        """As exact as it was told: the same for the same statement, whenever it is read."""
        return self.at.isoformat() if self.at is not None else self.day.isoformat()

    def latest(self) -> datetime:
        """The moment, or the last one of the day in Japan."""
        return self.at or datetime.combine(self.day, time(23, 59, 59), JST).astimezone(UTC)


def text_of(cell: Cell) -> str:
    """A cell as a person would type it. Raises `Unclear` for what cannot be kept."""
    if isinstance(cell, str):
        said = cell.strip()
        quoted = _QUOTED.fullmatch(said)  # how exports keep Excel's hands off a number
        said = quoted[1] if quoted else said
        if _CONTROL.search(said):
            raise Unclear("character_invalid")
        return said
    if isinstance(cell, float | int):
        if abs(cell) >= _EXACT:
            raise Unclear("digits_lost")
        return str(int(cell)) if cell == int(cell) else repr(cell)
    if isinstance(cell, datetime) and cell.time() == time():
        return cell.date().isoformat()
    return cell.isoformat(sep=" ") if isinstance(cell, datetime) else cell.isoformat()


def number_text(cell: Cell) -> str:
    """A number or an id in half width; digits a spreadsheet has thrown away are not made up."""
    said = text_of(cell).translate(_HALF_WIDTH)
    if _SCIENTIFIC.fullmatch(said):
        raise Unclear("digits_lost")
    return said.removeprefix("'")


def mail_of(cell: Cell) -> str:
    """An address: half width, without a name around it."""
    said = unicodedata.normalize("NFKC", text_of(cell)).removeprefix("mailto:").strip()
    around = _ADDRESSED.fullmatch(said)
    said = (around[1] if around else said).strip()
    local, _, domain = said.rpartition("@")
    if not _MAIL.fullmatch(said) or len(said) > 254:  # noqa: PLR2004 - RFC 5321
        raise Unclear("email_invalid")
    return f"{local}@{domain.lower()}"


def phone_of(cell: Cell) -> str:
    """A number in half-width digits; dashes and blanks stay out."""
    said = unicodedata.normalize("NFKC", number_text(cell))
    plus = "+" if said.startswith("+") else ""
    digits = _DASHES.sub("", said.replace("(0)", "").removeprefix("+"))
    if not digits.isdecimal() or not 6 <= len(digits) <= 15:  # noqa: PLR2004 - E.164
        raise Unclear("phone_invalid")
    return plus + digits


def lost_zero(phone: str) -> bool:
    """Whether this may be a Japanese number whose leading 0 a spreadsheet took."""
    mobile = len(phone) == 10 and phone[:2] in {"50", "70", "80", "90"}  # noqa: PLR2004
    return mobile or (len(phone) == 9 and phone[0] in "123456789")  # noqa: PLR2004


def kana_of(cell: Cell) -> str:
    """Full-width katakana, one blank between the parts."""
    said = unicodedata.normalize("NFKC", text_of(cell))
    turned = "".join(chr(ord(one) + 0x60) if "ぁ" <= one <= "ゖ" else one for one in said)
    return " ".join(turned.split())


@lru_cache(maxsize=4096)
def when_of(cell: Cell, order: str | None = None) -> When:
    """A day or a moment. Without a zone it is Japan's time.

    `order` (`mdy` or `dmy`) reads `11/12/2026`. Raises `Unclear`: `date_invalid`, and
    `date_order` where the order decides and is not known.
    """
    if isinstance(cell, float | int):
        return _serial(float(cell))
    if isinstance(cell, datetime):
        return _told(cell) if cell.time() != time() else _day(cell.date())
    if isinstance(cell, date):
        return _day(cell)
    said = unicodedata.normalize("NFKC", text_of(cell))
    if re.fullmatch(r"\d{5}(\.\d+)?", said):
        return _serial(float(said))
    for pattern in (_BIG_FIRST, _ERA, _COMPACT):
        if found := pattern.fullmatch(said):
            return _made(found.groupdict())
    if found := _YEAR_LAST.fullmatch(said):
        return _made(found.groupdict() | _months_and_days(found, order))
    raise Unclear("date_invalid")


def date_order_of(cell: Cell) -> str | None:
    """`mdy` or `dmy` where a date shows it, `either` where it does not; null: none of the kind."""
    found = (
        _YEAR_LAST.fullmatch(unicodedata.normalize("NFKC", cell.strip()))
        if isinstance(cell, str)
        else None
    )
    if found is None:
        return None
    one, two = int(found["one"]), int(found["two"])
    if one > _MONTHS or two > _MONTHS:
        return "dmy" if one > _MONTHS else "mdy"
    return "either" if one != two else None


def _months_and_days(found: re.Match[str], order: str | None) -> dict[str, str]:
    one, two = found["one"], found["two"]
    shown = date_order_of(found[0])
    chosen = (
        order or (shown if shown != "either" else None) or ("mdy" if int(one) == int(two) else None)
    )
    if chosen is None:
        raise Unclear("date_order")
    month, day = (one, two) if chosen == "mdy" else (two, one)
    return {"month": month, "day": day}


def _made(parts: dict[str, str | None]) -> When:
    year = 1 if parts["year"] == "元" else int(parts["year"] or 0)
    year += _ERAS[str(parts["era"]).lower()] if parts.get("era") else 0
    try:
        day = date(year, int(parts["month"] or 0), int(parts["day"] or 0))
        if parts.get("hour") is None:
            return _day(day)
        hour = int(parts["hour"] or 0)
        if parts.get("half"):
            hour = hour % 12 + (12 if str(parts["half"]).lower() == "p" else 0)
        clock = time(hour, int(parts.get("minute") or 0), int(parts.get("second") or 0))
        zone = (parts.get("zone") or "").upper().replace("Z", "+00:00")
        if zone:
            return _told(datetime.fromisoformat(f"{day}T{clock}{zone}"))
        # Many systems write a day as its midnight.
        return _told(datetime.combine(day, clock)) if clock != time() else _day(day)
    except ValueError:
        raise Unclear("date_invalid") from None


def _serial(days: float) -> When:
    if not _SERIALS[0] <= days <= _SERIALS[1]:
        raise Unclear("date_invalid")
    at = _SERIAL_ZERO + timedelta(seconds=round(days * 86400))
    return _told(at) if at.time() != time() else _day(at.date())


def _told(at: datetime) -> When:
    aware = at.replace(tzinfo=JST) if at.tzinfo is None else at
    moment = aware.astimezone(UTC)
    return When(_day(aware.astimezone(JST).date()).day, moment)


def _day(day: date) -> When:
    if not EARLIEST <= day < LATEST:
        raise Unclear("date_invalid")
    return When(day)


def clock_of(cell: Cell) -> time | None:
    """A time of day alone (`15:30`), as some systems write the end of an interview."""
    found = re.fullmatch(
        r"(\d{1,2}):(\d{2})(?::\d{2})?", unicodedata.normalize("NFKC", text_of(cell))
    )
    try:
        return time(int(found[1]), int(found[2])) if found else None
    except ValueError:
        return None
