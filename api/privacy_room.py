"""What the privacy officer's pages share: who may come in, their forms, their words."""

from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query, Request
from fastapi.responses import RedirectResponse, Response

from api.pages import catalogues, page
from api.rooms import day as a_day
from api.routes.dashboard import Fault, Refilled
from api.routes.dashboard_forms import Form
from api.session import SignedIn, signed_in

HOME = "/dashboard/privacy"
Officer = Annotated[SignedIn, signed_in("company", "privacy_officer")]
Done = Annotated[str, Query(pattern=r"^[a-z_]{0,40}$")]


class PrivacyFault(Fault):
    """A fault of these pages' forms, with words in the catalogue `privacy`."""

    @property
    def words(self) -> str:
        """The catalogue's key for what to tell the person."""
        key = f"fault_{self.code}"
        return f"privacy.{key if key in _written() else 'fault_other'}"


class PrivacyForm(Form):
    """A form of these pages."""

    fault = PrivacyFault

    def day(self, name: str) -> date | None:
        """A day that was entered; null for nothing and for what is no day."""
        return a_day(self.values[name])

    def refuse_at(self, control: str, code: str) -> None:
        """Refuse it for what stands in one control."""
        self.control = control
        self.refuse(code)


async def sent(
    request: Request, name: str, control: str, *fields: str, many: Iterable[str] = ()
) -> PrivacyForm:
    """The form with these fields; of `many` every value ticked, as one line with blanks."""
    form = await request.form()
    values = {one: str(form.get(one, "")).replace("\x00", "").strip() for one in fields}
    for one in many:
        values[one] = " ".join(
            value for value in map(str, form.getlist(one)) if value.isidentifier()
        )
    return PrivacyForm(name, control, values)


def show(
    request: Request, template: str, again: Refilled | None = None, *, done: str = "", **values: Any
) -> Response:
    """A page of the room, also with a form to correct. It says what was done in our words only."""
    again = again or Refilled()
    said = done if f"done_{done}" in _written() else ""
    return page(
        request, f"privacy/{template}.html", status=again.status, again=again, done=said, **values
    )


def to(path: str, done: str) -> Response:
    """On to a page of this room, which says what was done."""
    return RedirectResponse(f"{HOME}{path}?{urlencode({'done': done})}", 303)


def _written() -> dict[str, str]:
    return dict(catalogues()["ja"]["privacy"])
