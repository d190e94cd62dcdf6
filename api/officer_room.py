"""What the privacy officer's pages share: who may come in, their forms, their words."""

from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query, Request
from fastapi.responses import RedirectResponse, Response

from api.page_forms import Form, Refilled, known
from api.pages import page
from api.rooms import day as a_day
from api.session import SignedIn, signed_in
from domain.flows.person.open_rights_request import HANDLERS

HOME = "/dashboard/privacy"
Officer = Annotated[SignedIn, signed_in("company", "privacy_officer")]
Handler = Annotated[SignedIn, signed_in("company", *HANDLERS)]
Done = Annotated[str, Query(pattern=r"^[a-z_]{0,40}$")]


class PrivacyForm(Form):
    """A form of the officer's own pages."""

    areas = ("privacy",)

    def day(self, name: str) -> date | None:
        """A day that was entered; null for nothing and for what is no day."""
        return a_day(self.values[name])


class RightsForm(Form):
    """A form of the pages of requests and holds."""

    areas = ("rights",)


def show(
    request: Request,
    area: str,
    template: str,
    again: Refilled | None = None,
    *,
    done: str = "",
    **values: Any,
) -> Response:
    """A page of the room, also with a form to correct. It says what was done in our words only."""
    again = again or Refilled()
    return page(
        request, f"{area}/{template}.html", status=again.status, again=again,
        done=known(area, done), **values,
    )  # fmt: skip


def to(path: str, done: str) -> Response:
    """On to a page of this room, which says what was done."""
    return RedirectResponse(f"{HOME}{path}?{urlencode({'done': done})}", 303)
