"""The forms of HR's room for applicant tracking systems. A refusal shows the page again, filled."""

import re
import secrets as randomness
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Path, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.deps import Db, Kit, Now
from api.page_forms import Form, Refilled
from api.routes.ats import connections
from api.routes.dashboard_ats import (
    SOURCES,
    ConnectionId,
    DeliveryId,
    Provider,
    connection_page,
    delivery_page,
    new_page,
    setup_of,
)
from api.routes.dashboard_forms import Actor
from api.session import SignedIn
from domain.ats_secrets import open_secrets
from domain.company import Company
from domain.delivery import AtsConnection
from domain.errors import Invalid
from domain.flows.hear import map_sources, map_words
from domain.flows.hear.change_connection import (
    begin_asking,
    begin_rotation,
    change_connection,
    check_keys,
    finish_rotation,
    made_secret,
)
from domain.flows.hear.poll_connection import poll_now
from domain.flows.hear.replay_delivery import replay_delivery
from domain.flows.hear.replay_range import ask_for_replay
from domain.flows.office import open_account
from domain.ports import Tools
from domain.store import lock
from integrations.ats.setup import Setting, Setup

router = APIRouter(prefix="/dashboard/ats", include_in_schema=False)

Kind = Annotated[str, Path(pattern="^(reason|status)$")]
_LONGEST_NAME = 200
_LONGEST_SECRET = 500
_LONGEST_KEY = 1000
_LONGEST_SETTING = 200
_LONGEST_LIST = 5000
_MOST_WORDS = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class AtsForm(Form):
    """A form of this room: its faults have words of their own."""

    areas = ("ats",)


# ---- connect ---------------------------------------------------------------------------------


@router.post("/new/{provider}")
async def connect(
    *, provider: Provider, request: Request, person: Actor, db: Db, tools: Kit, now: Now
) -> Response:
    """Connect a system. A secret of ours is shown this once, in the step that asks for it."""
    setup = setup_of(tools, provider)
    form = await AtsForm.read(request, "new", "new-name", *_fields(setup, "name", "secret"))
    given = form.values["secret"]
    secret = given or (_made(setup) if setup.maker == "ours" else "")
    fault = _name_fault(form.values["name"]) or _setting_fault(setup, form.values)
    if any(form.values[one] for one in _key_fields(setup)):
        fault = fault or _key_fault(setup, form.values)
    if fault is not None:
        form.control, code = fault
        form.refuse(code)
    else:
        form.control = "new-secret"
        await form.run(db, lambda: _connect(db, tools, person, provider, form, secret, now))
    if form.refilled is not None:
        again = _without_secrets(form)
        return new_page(request, person, tools, provider, again)
    if given or not secret:
        return _to(form.result, "connected")
    again = Refilled(made=secret)
    shown = await connection_page(
        request, person, db, tools, now=now, connection_id=form.result, again=again
    )
    # A reload of what htmx shows opens the connection, and does not connect it once more.
    shown.headers["hx-push-url"] = f"/dashboard/ats/connections/{form.result}"
    return shown


async def _connect(  # noqa: PLR0917 - what a connection is made of
    db: AsyncSession,
    tools: Tools,
    person: SignedIn,
    provider: str,
    form: AtsForm,
    secret: str,
    now: Any,
) -> str:
    setup = setup_of(tools, provider)
    secrets = [secret] if secret else []
    _check_length(secret)
    check_keys(tools, provider, secrets, None)
    settings = {name: value for name, value in _settings(setup, form.values).items() if value}
    key = _api_key(setup, form.values)
    made = await open_account.connect_ats(
        db, tools.sealer, person.company_id or "",
        provider=provider, name=form.values["name"], secrets=secrets, now=now,
        settings={**settings, **({"api_key": key} if key else {})},
    )  # fmt: skip
    await begin_asking(db, tools, made, now)
    return made.id


# ---- one connection --------------------------------------------------------------------------


@router.post("/connections/{connection_id}/name")
async def rename(
    *, connection_id: ConnectionId, request: Request, person: Actor, db: Db, tools: Kit, now: Now
) -> Response:
    """Another name for people."""
    form = await AtsForm.read(request, "name", "name", "name")
    if _name_fault(form.values["name"]) is not None:
        form.refuse("name_missing")
    else:
        change = {"name": form.values["name"]}
        await _change(form, db, tools, person, connection_id, change, now)
    return await _back(request, person, db, tools, now, connection_id, form, "saved")


@router.post("/connections/{connection_id}/switch")
async def switch(
    *, connection_id: ConnectionId, request: Request, person: Actor, db: Db, tools: Kit, now: Now
) -> Response:
    """Off: nothing is taken in and nobody is asked. On again: what was missed is asked for."""
    form = await AtsForm.read(request, "switch", "switch", "enabled")
    on = form.values["enabled"] == "on"
    await _change(form, db, tools, person, connection_id, {"enabled": on}, now)
    done = "switched_on" if on else "switched_off"
    return await _back(request, person, db, tools, now, connection_id, form, done)


@router.post("/connections/{connection_id}/key")
async def set_key(
    *, connection_id: ConnectionId, request: Request, person: Actor, db: Db, tools: Kit, now: Now
) -> Response:
    """The credential for the vendor's API, and the settings it needs; or none any more."""
    row = await lock(db, AtsConnection, person.company_id or "", connection_id)
    setup = setup_of(tools, row.provider)
    form = await AtsForm.read(request, "key", "key-0", *_fields(setup, "remove"))
    needed = [one for one in setup.settings if one.with_key]
    settings = {k: v for k, v in _settings(setup, form.values).items() if k in _names(needed)}
    if form.values["remove"]:
        change: dict[str, Any] = {"settings": {"api_key": None}}
        await _change(form, db, tools, person, connection_id, change, now)
        return await _back(request, person, db, tools, now, connection_id, form, "key_removed")
    fault = _key_fault(setup, form.values) or _setting_fault(setup, form.values)
    if fault is not None:
        form.control, code = fault
        form.refuse(code)
    else:
        change = {"settings": {**settings, "api_key": _api_key(setup, form.values)}}
        await _change(form, db, tools, person, connection_id, change, now)
    return await _back(request, person, db, tools, now, connection_id, form, "key_saved")


@router.post("/connections/{connection_id}/poll")
async def ask_now(
    *, connection_id: ConnectionId, person: Actor, db: Db, tools: Kit, now: Now
) -> Response:
    """Ask the vendor's API at once."""
    await poll_now(db, tools, person.company_id or "", connection_id, now)
    return _to(connection_id, "asked", "live")


@router.post("/connections/{connection_id}/settings")
async def save_settings(
    *, connection_id: ConnectionId, request: Request, person: Actor, db: Db, tools: Kit, now: Now
) -> Response:
    """Reasons after which nobody is contacted, notes in the vendor's system, vendor's own settings.

    Each is taken over, also when it is empty: the form shows all of them.
    """
    row = await lock(db, AtsConnection, person.company_id or "", connection_id)
    setup = setup_of(tools, row.provider)
    fields = _fields(setup, "excluded_reasons", "write_back")
    form = await AtsForm.read(request, "settings", "excluded_reasons", *fields)
    excluded = [one.strip() for one in form.values["excluded_reasons"].splitlines() if one.strip()]
    fault = _setting_fault(setup, form.values)
    if fault is not None:
        form.control, code = fault
        form.refuse(code)
    elif len(form.values["excluded_reasons"]) > _LONGEST_LIST or any(
        len(one) > _LONGEST_SETTING for one in excluded
    ):
        form.refuse("list_too_long")
    else:
        own = {one.name for one in setup.settings if not one.with_key}
        settings: dict[str, Any] = {
            **{k: v for k, v in _settings(setup, form.values).items() if k in own},
            "excluded_reasons": excluded or None,
            "write_back": True if form.values["write_back"] else None,
        }
        await _change(form, db, tools, person, connection_id, {"settings": settings}, now)
    return await _back(request, person, db, tools, now, connection_id, form, "saved")


# ---- words -----------------------------------------------------------------------------------


@router.post("/connections/{connection_id}/words/{kind}")
async def save_words(
    *, connection_id: ConnectionId, kind: Kind, request: Request, person: Actor, db: Db
) -> Response:
    """What the vendor's words mean. What waited for that is read again."""
    told = await _pairs(request)
    known = set(map_words.MEANINGS[kind])
    meanings = {word: meaning if meaning in known else None for word, meaning in told.items()}
    row = await lock(db, AtsConnection, person.company_id or "", connection_id)
    await map_words.map_words(db, row, kind, meanings)
    connections(request).forget(connection_id)
    return _to(connection_id, "words_saved", kind)


@router.post("/connections/{connection_id}/sources")
async def save_sources(
    *, connection_id: ConnectionId, request: Request, person: Actor, db: Db
) -> Response:
    """Which of the vendor's sources is which of ours."""
    company = await db.get_one(Company, person.company_id)
    ours = {*SOURCES, *company.allowed_sources}
    told = await _pairs(request)
    meanings = {word: code if code in ours else None for word, code in told.items()}
    row = await lock(db, AtsConnection, company.id, connection_id)
    await map_sources.map_sources(db, row, meanings)
    connections(request).forget(connection_id)
    return _to(connection_id, "sources_saved", "sources")


async def _pairs(request: Request) -> dict[str, str]:
    """`word` and `meaning` come in pairs, in the order of the page."""
    form = await request.form(max_fields=2 * _MOST_WORDS + 10)
    words = [str(one).replace("\x00", "") for one in form.getlist("word")]
    meanings = [str(one) for one in form.getlist("meaning")]
    if len(words) != len(meanings):
        raise Invalid
    return {word: meaning for word, meaning in zip(words, meanings, strict=True) if word}


# ---- secrets ---------------------------------------------------------------------------------


@router.post("/connections/{connection_id}/secret")
async def rotate(
    *, connection_id: ConnectionId, request: Request, person: Actor, db: Db, tools: Kit, now: Now
) -> Response:
    """A new secret besides the present one. One of ours is shown this once."""
    row = await lock(db, AtsConnection, person.company_id or "", connection_id)
    setup = setup_of(tools, row.provider)
    form = await AtsForm.read(request, "secret", "secret", "secret", "event")
    given = form.values["secret"]
    secret = given or (_made(setup) if setup.maker == "ours" else "")
    if not secret:
        form.refuse("secret_missing")
    elif form.values["event"] and form.values["event"] not in setup.events:
        form.control = "secret-event"
        form.refuse("event_missing")
    else:
        await form.run(db, lambda: _keep_secret(db, tools, row, form.values["event"], secret, now))
    connections(request).forget(connection_id)
    again = _without_secrets(form)
    if form.refilled is None:
        if given:
            return _to(connection_id, "secret_saved", "live")
        again = Refilled(made=secret)
    return await connection_page(
        request, person, db, tools, now=now, connection_id=connection_id, again=again
    )


async def _keep_secret(  # noqa: PLR0917 - what a secret is kept for
    db: AsyncSession, tools: Tools, row: AtsConnection, event: str, secret: str, now: Any
) -> None:
    _check_length(secret)
    check_keys(tools, row.provider, [secret], None)
    if not event:
        await begin_rotation(db, tools, row.company_id, row.id, secret)
        return
    # The event's old secret stays among the common ones, which are tried after its own.
    kept = open_secrets(tools.sealer, row)
    old = [kept["by_event"][event]] if event in kept["by_event"] else []
    change = {
        "secrets_by_event": {**kept["by_event"], event: secret},
        "secrets": [*old, *kept["secrets"]][:10],
    }
    await change_connection(db, tools, row.company_id, row.id, change=change, now=now)


@router.post("/connections/{connection_id}/secret/finish")
async def finish(
    *, connection_id: ConnectionId, request: Request, person: Actor, db: Db, tools: Kit, now: Now
) -> Response:
    """Only the newest secret counts from now on; for Lever, only those of the events."""
    row = await finish_rotation(db, tools, person.company_id or "", connection_id)
    if open_secrets(tools.sealer, row)["by_event"]:
        await change_connection(db, tools, row.company_id, row.id, change={"secrets": []}, now=now)
    connections(request).forget(connection_id)
    return _to(connection_id, "rotation_finished", "secrets")


# ---- deliveries ------------------------------------------------------------------------------


@router.post("/deliveries/{delivery_id}/replay")
async def replay(
    *, delivery_id: DeliveryId, request: Request, person: Actor, db: Db, tools: Kit, now: Now
) -> Response:
    """Read a delivery again. What took effect before takes none again."""
    form = await AtsForm.read(request, "replay", "replay")
    await form.run(db, lambda: replay_delivery(db, person.company_id or "", delivery_id, now))
    if form.refilled is not None:
        return await delivery_page(request, person, db, tools, delivery_id, again=form.refilled)
    return RedirectResponse(f"/dashboard/ats/deliveries/{delivery_id}?done=replayed", 303)


@router.post("/connections/{connection_id}/replay")
async def replay_failed(
    *, connection_id: ConnectionId, person: Actor, db: Db, now: Now
) -> Response:
    """Read everything of this connection that failed again."""
    await ask_for_replay(
        db, person.company_id or "", connection_id, status="failed", span=(None, None), now=now
    )
    where = f"/dashboard/ats/deliveries?connection={connection_id}&show=failed"
    return RedirectResponse(f"{where}&done=replayed_all", 303)


# ---- leaves ----------------------------------------------------------------------------------


def _fields(setup: Setup, *more: str) -> list[str]:
    return [*_key_fields(setup), *_names(setup.settings), *more]


def _key_fields(setup: Setup) -> list[str]:
    return [f"key_{number}" for number in range(len(setup.key_parts))]


def _names(settings: Any) -> list[str]:
    return [one.name for one in settings]


def _settings(setup: Setup, values: dict[str, str]) -> dict[str, Any]:
    """The vendor's settings as the adapter reads them; null where nothing was said."""
    return {one.name: one.stored(values[one.name]) for one in setup.settings}


def _api_key(setup: Setup, values: dict[str, str]) -> str:
    parts = [values[one] for one in _key_fields(setup)]
    return ":".join(parts) if all(parts) else ""


def _name_fault(name: str) -> tuple[str, str] | None:
    return None if 1 <= len(name) <= _LONGEST_NAME else ("new-name", "name_missing")


def _key_fault(setup: Setup, values: dict[str, str]) -> tuple[str, str] | None:
    """Every part is there and what it needs; only the last may have the colon that joins them."""
    last = len(setup.key_parts) - 1
    for number in range(last + 1):
        part = values[f"key_{number}"]
        if not part:
            return f"key-{number}", "key_missing"
        joined = ":" in part and number < last
        if joined or len(part) > _LONGEST_KEY or _CONTROL.search(part):
            return f"key-{number}", "key_malformed"
    missing = [one for one in setup.settings if one.for_key and not values[one.name]]
    return (f"setting-{missing[0].name}", "setting_missing") if missing else None


def _setting_fault(setup: Setup, values: dict[str, str]) -> tuple[str, str] | None:
    for one in setup.settings:
        if not _fits(one, values[one.name]):
            return f"setting-{one.name}", "setting_malformed"
    return None


def _fits(setting: Setting, given: str) -> bool:
    if setting.choices or setting.switch:
        return not given or setting.switch or given in setting.choices
    if setting.name == "time_zone" and given:
        return _is_zone(given)
    # What becomes part of an address is a name, not a way to another address.
    plain = setting.around == "{}" or re.fullmatch(r"[A-Za-z0-9-]*", given) is not None
    return len(given) <= _LONGEST_SETTING and not _CONTROL.search(given) and plain


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _made(setup: Setup) -> str:
    return randomness.token_urlsafe(32) if setup.url_safe else made_secret()


def _check_length(secret: str) -> None:
    if len(secret) > _LONGEST_SECRET:
        detail = f"at most {_LONGEST_SECRET} characters"
        raise Invalid(detail, code="unusable_keys")


def _without_secrets(form: AtsForm) -> Refilled | None:
    """What was entered, for the form; secrets and credentials are entered again."""
    again = form.refilled
    if again is not None:
        for name in list(again.values):
            if name.partition(".")[2] == "secret" or ".key_" in name:
                del again.values[name]
    return again


async def _change(  # noqa: PLR0917 - the flow's own needs, in its own order
    form: AtsForm, db: AsyncSession, tools: Tools, person: SignedIn, connection_id: str,
    change: dict[str, Any], now: Any,
) -> None:  # fmt: skip
    company_id = person.company_id or ""
    await form.run(
        db, lambda: change_connection(db, tools, company_id, connection_id, change=change, now=now)
    )


async def _back(  # noqa: PLR0917 - the page's own needs, in its own order
    request: Request, person: SignedIn, db: Any, tools: Any, now: Any, connection_id: str,
    form: AtsForm, done: str,
) -> Response:  # fmt: skip
    connections(request).forget(connection_id)
    if form.refilled is None:
        return _to(connection_id, done)
    return await connection_page(
        request, person, db, tools,
        now=now, connection_id=connection_id, again=_without_secrets(form),
    )  # fmt: skip


def _to(connection_id: str, done: str, place: str = "") -> Response:
    where = f"/dashboard/ats/connections/{connection_id}?done={done}"
    return RedirectResponse(where + (f"#{place}" if place else ""), 303)
