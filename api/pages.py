"""Pages for people: templates, words in two languages, and small formatting helpers.

Every word a person reads comes from a catalogue: `t("area.key", name=value)` looks into
`locale/{ja,en}/{area}.toml`. A missing word or value is an error, never an empty place.
"""

import functools
import hashlib
import tomllib
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from domain.business_days import JST
from domain.data_items import label
from domain.views.metrics import FEW

HERE = Path(__file__).parent
STATIC = HERE / "static"
LOCALES = ("ja", "en")
DEFAULT_LOCALE = "ja"
LOCALE_COOKIE = "relay_lang"
_KEEP_LOCALE_SECONDS = 365 * 24 * 3600
_WEEKDAYS = {"ja": "月火水木金土日", "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_DAYS_FROM_HOURS = 48
"""From here on a wait is said in days."""

Catalogue = Mapping[str, Mapping[str, str]]


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page in the visitor's language. Templates get `t`, `locale`, `person`, `csrf` and values.

    A language asked for with `?lang=` is kept in a cookie.
    """
    locale = locale_of(request)
    person = request.scope.get("relay.person")
    made = {
        "t": words(locale),
        "locale": locale,
        "other_locale": next(one for one in LOCALES if one != locale),
        "switch_url": _switch_url(request, locale),
        "path": request.url.path,
        "person": person,
        "csrf": person.csrf if person is not None else "",
        "show": Show(locale, request.app.state.runtime.clock()),
        **values,
    }
    response = HTMLResponse(_jinja().get_template(template).render(made), status)
    response.headers["vary"] = "Accept-Language, Cookie"
    response.headers["cache-control"] = "no-store" if person is not None else "no-cache"
    if request.query_params.get("lang") in LOCALES:
        response.set_cookie(
            LOCALE_COOKIE, locale, max_age=_KEEP_LOCALE_SECONDS, path="/", httponly=True,
            samesite="lax", secure=request.app.state.runtime.settings.secure,
        )  # fmt: skip
    return response


def locale_of(request: Request) -> str:
    """`ja` or `en`: asked for in the URL, chosen before, set for the person, or the browser's."""
    person = request.scope.get("relay.person")
    wishes = (
        request.query_params.get("lang"),
        request.cookies.get(LOCALE_COOKIE),
        person.locale if person is not None else None,
        *_accepted(request.headers.get("accept-language", "")),
    )
    return next((wish for wish in wishes if wish in LOCALES), DEFAULT_LOCALE)


def words(locale: str) -> Callable[..., str]:
    """The `t` of a language: `t("area.key", name=value)`; `KeyError` for what is not written."""
    catalogue = catalogues()[locale]

    def t(key: str, **values: Any) -> str:
        area, _, name = key.partition(".")
        return catalogue[area][name].format_map(values)

    return t


@functools.cache
def catalogues() -> Mapping[str, Catalogue]:
    """Every word of every language, by area."""
    return {
        locale: {file.stem: tomllib.loads(file.read_text()) for file in _files(locale)}
        for locale in LOCALES
    }


def asset(path: str) -> str:
    """The address of a static file: with its content's hash, so it may be kept for ever."""
    return f"/static/{path}?v={digest(path)}"


@functools.cache
def digest(path: str) -> str:
    """Sixteen hex digits of a static file's SHA-256."""
    return hashlib.sha256((STATIC / path).read_bytes()).hexdigest()[:16]


class Show:
    """How dates, waits and shares are written for people: Japan's local time, their language."""

    def __init__(self, locale: str, now: datetime) -> None:
        self._locale, self._now, self._t = locale, now, words(locale)

    def day(self, value: date | datetime | None) -> str:
        """`2026年11月26日(木)` or `Thu 26 Nov 2026`."""
        if value is None:
            return self._t("common.nothing")
        day = value.astimezone(JST).date() if isinstance(value, datetime) else value
        weekday = _WEEKDAYS[self._locale][day.weekday()]
        if self._locale == "ja":
            return f"{day.year}年{day.month}月{day.day}日({weekday})"
        return f"{weekday} {day.day} {day:%b %Y}"

    def short(self, value: date | datetime | None) -> str:
        """`11/26(木)` or `Thu 26 Nov`; with the year when it is not this one."""
        if value is None:
            return self._t("common.nothing")
        day = value.astimezone(JST).date() if isinstance(value, datetime) else value
        if day.year != self._now.astimezone(JST).year:
            return (
                f"{day.year}/{day.month}/{day.day}" if self._locale == "ja" else f"{day:%-d %b %Y}"
            )
        weekday = _WEEKDAYS[self._locale][day.weekday()]
        return (
            f"{day.month}/{day.day}({weekday})"
            if self._locale == "ja"
            else f"{weekday} {day:%-d %b}"
        )

    def moment(self, value: datetime | None) -> str:
        """A day as in `short`, and the time of day in Japan."""
        if value is None:
            return self._t("common.nothing")
        return f"{self.short(value)} {value.astimezone(JST):%H:%M}"

    def month(self, value: date) -> str:
        """`2026年11月` or `Nov 2026`."""
        return f"{value.year}年{value.month}月" if self._locale == "ja" else f"{value:%b %Y}"

    def tick(self, value: date) -> str:
        """`9月` or `Sep`."""
        return f"{value.month}月" if self._locale == "ja" else f"{value:%b}"

    def until(self, value: datetime) -> str:
        """How long until a moment, or since: in minutes, hours or days, rounded down."""
        return self._wait("left" if value >= self._now else "ago", value)

    def late(self, value: datetime) -> str:
        """By how much a promise was broken, so far."""
        return self._wait("late", value)

    def _wait(self, word: str, value: datetime) -> str:
        key, seconds = f"common.{word}_", int(abs(value - self._now).total_seconds())
        if seconds < _HOUR:
            return self._t(f"{key}minutes", count=seconds // _MINUTE)
        if seconds < _DAYS_FROM_HOURS * _HOUR:
            return self._t(f"{key}hours", count=seconds // _HOUR)
        return self._t(f"{key}days", count=seconds // _DAY)

    def item(self, code: str) -> str:
        """How a data item is called."""
        return label(code, self._locale)

    def share(self, part: int, whole: int) -> str:
        """`97.5 %` of something, or a dash where there is nothing to divide by."""
        return f"{percent(part, whole):g}%" if whole else self._t("common.nothing")

    def people(self, count: int) -> str:
        """How many people a breakdown has: never an exact number below five (nobody is shown)."""
        return f"<{FEW}" if count < FEW else self.number(count)

    def number(self, value: float | None) -> str:
        """`1,234`."""
        return self._t("common.nothing") if value is None else f"{value:,}"


def percent(part: int, whole: int) -> float:
    """A share to one decimal; 100 and 0 are only said when exact."""
    exact = 100 * part / whole if whole else 0.0
    shown = round(exact, 1)
    if shown in {0.0, 100.0} and shown != exact:
        return 99.9 if shown else 0.1
    return shown


def _accepted(header: str) -> list[str]:
    """The languages of `Accept-Language`, most wanted first."""
    found = []
    for place, part in enumerate(header.split(",")[:20]):
        tag, _, quality = part.strip().partition(";q=")
        weight = float(quality) if quality.replace(".", "", 1).isdecimal() else 1.0
        found.append((-weight, place, tag.split("-")[0].lower()))
    return [language for _, _, language in sorted(found)]


def _switch_url(request: Request, locale: str) -> str:
    """The same page in the other language."""
    other = next(one for one in LOCALES if one != locale)
    kept = [(key, value) for key, value in request.query_params.multi_items() if key != "lang"]
    return "?" + urlencode([*kept, ("lang", other)])


def _files(locale: str) -> list[Path]:
    return sorted((HERE / "locale" / locale).glob("*.toml"))


@functools.cache
def _jinja() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        undefined=StrictUndefined,
        autoescape=select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"asset": asset, "percent": percent}
    return environment
