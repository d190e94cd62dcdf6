"""What the pages of requests and holds share: who may come in, their forms, their words."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from api.pages import catalogues, page
from api.routes.dashboard import Fault, Refilled
from api.routes.dashboard_forms import Form
from api.session import SignedIn, signed_in
from domain.flows.person.open_rights_request import HANDLERS

HOME = "/dashboard/privacy"
Handler = Annotated[SignedIn, signed_in("company", *HANDLERS)]
Officer = Annotated[SignedIn, signed_in("company", "privacy_officer")]


class RightsFault(Fault):
    """A fault of these pages' forms, with words in the catalogue `rights`."""

    @property
    def words(self) -> str:
        """The catalogue's key for what to tell the person."""
        key = f"fault_{self.code}"
        return f"rights.{key if key in _written() else 'fault_other'}"


class FactFault(Fault):
    """A fault in what is put right about a person; said as it is to the person."""

    @property
    def words(self) -> str:
        """The catalogue's key for what to tell whoever corrects."""
        return f"candidate.fault_{self.code}"


class RightsForm(Form):
    """A form of these pages."""

    fault = RightsFault


async def sent(request: Request, name: str, control: str, *fields: str) -> RightsForm:
    """The form with these fields."""
    form = await request.form()
    values = {one: str(form.get(one, "")).replace("\x00", "").strip() for one in fields}
    return RightsForm(name, control, values)


def show(
    request: Request, template: str, again: Refilled | None = None, *, done: str = "", **values: Any
) -> Response:
    """A page of the room, also with a form to correct. It says what was done in our words only."""
    again = again or Refilled()
    said = done if f"done_{done}" in _written() else ""
    return page(
        request, f"dashboard/{template}.html", status=again.status, again=again, done=said, **values
    )


def to(path: str, done: str) -> Response:
    """On to a page of this room, which says what was done."""
    return RedirectResponse(f"{HOME}{path}?{urlencode({'done': done})}", 303)


def _written() -> dict[str, str]:
    return dict(catalogues()["ja"]["rights"])
