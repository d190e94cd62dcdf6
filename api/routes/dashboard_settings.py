"""The company's settings about people's data, for the privacy officer."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.deps import Db, Kit, Now
from api.officer_room import Done, Officer, PrivacyForm, show
from api.page_forms import Refilled
from api.rooms import people as names_of_people
from api.rooms import whole
from api.session import SignedIn
from domain.company import Company
from domain.errors import Invalid
from domain.flows.office.change_privacy_settings import (
    LONGEST,
    MOST_MONTHS,
    TEXTS,
    Settings,
    change_privacy_settings,
    check,
    shortens,
)
from domain.ports import Tools
from domain.retention import DEFAULTS
from domain.views.privacy import changes_of

router = APIRouter(prefix="/dashboard/settings/privacy", include_in_schema=False)

RULES = tuple(name for name in DEFAULTS if name != "application_months")
"""The months of an application stand in the notice as well, and have a field of their own."""
_FIELDS = (
    *TEXTS,
    "retention_months",
    *RULES,
    "feedback_requests",
    "reapplication_months",
    "jobs",
    "sure",
)


@router.get("")
async def read_settings(
    *, request: Request, person: Officer, db: Db, tools: Kit, done: Done = ""
) -> Response:
    """What stands on the forms and in the notices, how long data is kept, and who said so."""
    return await _page(request, person, db, tools, done=done)


@router.post("")
async def change(*, request: Request, person: Officer, db: Db, tools: Kit, now: Now) -> Response:
    """Change it. What was consented to before keeps its words."""
    form = await PrivacyForm.read(request, "settings", "settings-privacy_officer", *_FIELDS)
    wish = _wish(form)
    if wish is not None:
        try:
            async with db.begin_nested():
                await _take_over(db, person, wish, form, now)
        except Invalid as refusal:
            form.refuse_at(f"settings-{refusal.detail}", refusal.code)
    if form.refilled is None:
        return RedirectResponse("/dashboard/settings/privacy?done=settings_kept", 303)
    return await _page(request, person, db, tools, again=form.refilled)


async def _page(
    request: Request, person: SignedIn, db: AsyncSession, tools: Tools, *,
    done: str = "", again: Refilled | None = None,
) -> Response:  # fmt: skip
    company = await db.get_one(Company, person.company_id)
    start: dict[str, Any] = {name: getattr(company, name) for name in TEXTS}
    start |= {name: company.retention.get(name, DEFAULTS[name]) for name in RULES}
    start |= {
        "retention_months": company.retention_months,
        "reapplication_months": company.reapplication_months,
        "jobs": "\n".join(f"{job} = {n}" for job, n in company.job_reapplication.items()),
    }
    values = again.values if again else {}
    ticked = values.get("settings.feedback_requests") == "yes" if again else None
    changes = await changes_of(db, company.id)
    return show(
        request, "privacy", "settings", again, done=done,
        changes=changes,
        names=await names_of_people(db, tools.sealer, [one.actor for one in changes]),
        start=start, texts=TEXTS, rules=RULES, longest=LONGEST, most=MOST_MONTHS,
        feedback=company.feedback_requests if ticked is None else ticked,
    )  # fmt: skip


async def _take_over(
    db: AsyncSession, person: SignedIn, wish: Settings, form: PrivacyForm, now: datetime
) -> None:
    """Shorter times erase people: that is said, and confirmed, before it is taken over."""
    check(wish)
    company = await db.get_one(Company, person.company_id)
    if form.values["sure"] != "yes" and shortens(company, wish):
        raise Invalid("sure", code="shorter_unsure")
    await change_privacy_settings(db, company.id, wish, actor=person.member_id, now=now)


def _wish(form: PrivacyForm) -> Settings | None:
    """What was entered; nothing when the form has to be corrected first."""
    values = form.values
    numbers = {
        name: whole(values[name]) for name in ("retention_months", *RULES, "reapplication_months")
    }
    missing = next((name for name, found in numbers.items() if found is None), None)
    if missing is not None:
        form.refuse_at(f"settings-{missing}", "months_invalid")
        return None
    jobs = _jobs(values["jobs"])
    if jobs is None:
        form.refuse_at("settings-jobs", "jobs_invalid")
        return None
    told = {name: number for name, number in numbers.items() if number is not None}
    return Settings(
        **{name: values[name] for name in TEXTS},
        retention_months=told["retention_months"],
        retention={name: told[name] for name in RULES if told[name] != DEFAULTS[name]},
        feedback_requests=values["feedback_requests"] == "yes",
        reapplication_months=told["reapplication_months"],
        job_reapplication=jobs,
    )


def _jobs(said: str) -> dict[str, int] | None:
    """A line per job: its title, an equals sign, months. Null for a line that is none."""
    found: dict[str, int] = {}
    for line in said.splitlines():
        if not line.strip():
            continue
        title, sign, number = line.replace("＝", "=").rpartition("=")
        months = whole(number.strip())
        if not sign or not title.strip() or months is None:
            return None
        found[title.strip()] = months
    return found
