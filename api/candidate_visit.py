"""One visit by whoever holds a candidate's link: where it leads, what may be shown, and how."""

import re
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.exceptions import HTTPException

from api import second_step, session
from api.deps import Db, Kit, Now
from api.masked import carries, masked
from api.pages import locale_of, page
from api.runtime import Runtime
from api.settings import Settings
from domain import consent_text, data_items, vault
from domain.business_days import JST, local_day, long_date
from domain.consent import last_day
from domain.consent_text import Statement
from domain.contact import dialled
from domain.errors import NotFound
from domain.flows.tell.send_notice import feedback_told
from domain.flows.ways_in.open_candidate_link import Opened, agencies_offered, open_candidate_link
from domain.ports import Tools
from domain.views.files import kinds_of

MOST_FIELDS = 6_000
"""The form of two hundred agencies, each with every item; the body has its own limit."""
_SHOWN = re.compile(r"correct|files|requests|erase|reflection/app_[0-9a-z]+")
"""Forms that stand on a page of their own path: whoever came too late goes back there."""


async def is_ours(request: Request, settings: Settings, word: str) -> bool:
    """Whether a form was sent from our page, by somebody who has seen its hidden word."""
    try:
        await request.form(max_fields=MOST_FIELDS)
        await session.check_form(request, settings, None, nameless=True)
    except HTTPException:
        return False
    return carries(str((await request.form()).get("csrf", "")), word)


class Visit:
    """One request by whoever holds a link."""

    def __init__(
        self,
        request: Request,
        db: AsyncSession,
        tools: Tools,
        *,
        now: datetime,
        opened: Opened | None,
        proven: bool = False,
    ) -> None:
        self.request, self.db, self.tools, self.now = request, db, tools, now
        self.proven = proven
        """Whether the second step was taken in this browser, for this link."""
        self.token = request.path_params["token"]
        self.stands = opened.stands(now) if opened is not None else "unknown"
        self._opened = opened

    @property
    def opened(self) -> Opened:
        """What the link leads to; only for links we gave out."""
        if self._opened is None:
            raise NotFound
        return self._opened

    async def refusal(
        self, *stands: str, process: Runtime | None = None, proven: bool = False
    ) -> Response | None:
        """The page to show instead, unless the link stands so; a form must come from our page.

        `proven`: only after the second step. Whoever opens a page is led there and back again;
        a form that comes too late is told that nothing was done.
        """
        if self.stands not in stands:
            return self.closed()
        if process is not None and not await is_ours(self.request, process.settings, self._word):
            return self.stale()
        if proven and not self.proven:
            return self._unproven(is_form=process is not None)
        return None

    def _unproven(self, *, is_form: bool) -> Response:
        to = second_step.place(self.request.url.path.removeprefix(f"/c/{self.token}/"))
        if is_form:
            shown = to if _SHOWN.fullmatch(to) else ""
            return self.show("code", 403, sent=False, fault="", late=True, to=shown)
        return self.back(f"/code?to={to}" if to else "/code")

    @property
    def csrf(self) -> str:
        """The hidden word of this link's forms: only somebody who has seen the page knows it."""
        return masked(self._word)

    @property
    def _word(self) -> str:
        return self.tools.sealer.blind("form", self.opened.link.id).hex()

    @property
    def locale(self) -> str:
        """The reader's language."""
        return locale_of(self.request)

    def show(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page of this link."""
        company = self.opened.company
        return page(
            self.request,
            f"candidate/{template}.html",
            status=status,
            token=self.token,
            csrf=self.csrf,
            company=consent_text.named(company, self.locale),
            privacy_contact=company.privacy_contact,
            slug=company.slug,
            **values,
        )

    def back(self, where: str = "") -> Response:
        """Off to another page of the same link (303: a GET that changes nothing)."""
        return RedirectResponse(f"/c/{self.token}{where}", 303)

    def closed(self) -> Response:
        """A kind page for a link that has served its turn: what happened, what to do now.

        A link that is good for something else leads there.
        """
        if self._opened is None:
            return page(self.request, "candidate/unknown.html", status=404)
        if self.stands in {"form", "my_page"}:
            return self.back()
        return self.show("closed", 410, why=self.stands)

    def stale(self) -> Response:
        """The form was not sent from this link's page, or says what that page never offered."""
        return self.show("stale", 403)

    def no_agency(self) -> Response:
        """There is nobody to hand anything over to: nothing to decide."""
        return self.show("closed", 410, why="no_agency")

    @property
    def ends(self) -> str:
        """The last day to answer, in words."""
        invitation = self.opened.invitation
        if invitation is None:
            return ""
        return long_date(last_day(invitation.expires_at), self.locale)

    async def statement(self, locale: str) -> Statement | None:
        """What this person reads today; null when there is no agency to choose."""
        agencies = await agencies_offered(self.db, self.opened.company, self.now)
        if not agencies or self.opened.application is None:
            return None
        files = dict.fromkeys(await kinds_of(self.db, self.opened.candidate), "yes")
        told = {"interview_feedback": await self.feedback()}
        items = data_items.offered(
            await self.profile() | files | told,
            job_title=self.opened.application.job_title,
            stage=self.opened.application.stage,
        )
        return consent_text.build(self.opened.company, agencies, items, locale)

    async def feedback(self) -> str:
        """The feedback the person was sent about this application; empty without any."""
        application = self.opened.application
        if application is None:
            return ""
        told = await feedback_told(self.db, self.tools, self.opened.candidate, application.id)
        return told or ""

    async def profile(self) -> dict[str, Any]:
        """What we hold about the person."""
        return await vault.profile_of(self.db, self.tools.sealer, self.opened.candidate)


async def _visit(token: str, request: Request, db: Db, *, tools: Kit, now: Now) -> Visit:
    opened = await open_candidate_link(db, token)
    proven = await second_step.proven(request, db, opened, now)
    return Visit(request, db, tools, now=now, opened=opened, proven=proven)


Link = Annotated[Visit, Depends(_visit)]


def labels(codes: list[str], locale: str) -> list[str]:
    """Data items in the reader's language."""
    return [data_items.label(code, locale) for code in codes]


def in_words(code: str, profile: dict[str, Any]) -> str:
    """An item of the profile as people write it: yen with its commas, a number as one dials it."""
    value = data_items.value_of(code, profile)
    if code == "desired_salary" and value.isdecimal():
        return f"¥{int(value):,}"
    return dialled(value) if code == "phone" else value


def day(moment: datetime | None, locale: str) -> str:
    """A day in Japan, in words; empty without one."""
    return long_date(local_day(moment), locale) if moment is not None else ""


def moment_of(moment: datetime, locale: str) -> str:
    """A day in Japan with its hour."""
    return f"{day(moment, locale)} {moment.astimezone(JST):%H:%M}"


def as_file(content: dict[str, Any], name: str) -> Response:
    """A document to take along."""
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return JSONResponse(content, headers=headers)
