"""Someone outside the product: speaks HTTP, signs deliveries, fills in forms."""

import base64
import hashlib
import hmac
import html.parser
import json
import re
from datetime import datetime
from typing import Any, Self
from urllib.parse import urlencode, urljoin

import httpx2

from api.shapes import utc_text

Answer = httpx2.Response


class Refused(Exception):  # noqa: N818
    """A door of the demo answered otherwise than its history expects."""


class Program:
    """An OAuth2 client of a company or an agency."""

    def __init__(self, http: httpx2.AsyncClient, client_id: str, secret: str) -> None:
        self._http, self._id, self._secret = http, client_id, secret
        self._token = ""

    async def get(self, path: str) -> Any:
        """The JSON behind a path."""
        return (await self._send("GET", path)).json()

    async def post(self, path: str, body: dict[str, Any] | None, *, key: str) -> Answer:
        """Say something once, under an idempotency key; a refusal by the business comes back."""
        return await self._send("POST", path, json=body, headers={"idempotency-key": key})

    async def download(self, url: str) -> bytes:
        """What lies behind a link; nothing where it was refused."""
        answer = await self._send("GET", url)
        return answer.content if answer.is_success else b""

    async def patch(self, path: str, body: dict[str, Any]) -> Answer:
        """Change something."""
        return await self._send("PATCH", path, json=body)

    async def _send(self, method: str, path: str, **more: Any) -> Answer:
        given = more.pop("headers", {})
        for _ in range(2):
            if not self._token:
                self._token = await self._fetch_token()
            headers = {**given, "authorization": f"Bearer {self._token}"}
            answer = await self._http.request(method, path, headers=headers, **more)
            if answer.status_code != httpx2.codes.UNAUTHORIZED:
                break
            self._token = ""
        if answer.status_code >= httpx2.codes.INTERNAL_SERVER_ERROR:
            raise Refused(f"{method} {path}: {answer.status_code}")
        return answer

    async def _fetch_token(self) -> str:
        answer = await self._http.post(
            "/oauth/token", data={"grant_type": "client_credentials"}, auth=(self._id, self._secret)
        )
        if answer.status_code != httpx2.codes.OK:
            raise Refused(f"/oauth/token: {answer.status_code}")
        return str(answer.json()["access_token"])


def standard_signature(secret: str, message_id: str, stamp: int, body: bytes) -> str:
    """Standard Webhooks v1: HMAC-SHA-256 over `id.timestamp.body`."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{message_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


async def deliver_standard(
    http: httpx2.AsyncClient,
    url: str,
    secret: str,
    event: dict[str, Any],
    *,
    message_id: str,
    now: datetime,
) -> None:
    """A generic ATS delivers one event."""
    body, stamp = json.dumps(event, ensure_ascii=False).encode(), int(now.timestamp())
    answer = await http.post(
        url,
        content=body,
        headers={
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(stamp),
            "webhook-signature": standard_signature(secret, message_id, stamp, body),
        },
    )
    if not answer.is_success:
        raise Refused(f"delivery: {answer.status_code}")


async def deliver_greenhouse(
    http: httpx2.AsyncClient, url: str, secret: str, event: dict[str, Any], event_id: str
) -> None:
    """Greenhouse delivers one event: the body escaped as it does, the digest over those bytes."""
    body = json.dumps(event, ensure_ascii=True).encode()
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    answer = await http.post(
        url,
        content=body,
        headers={
            "content-type": "application/json",
            "greenhouse-event-id": event_id,
            "signature": f"sha256 {digest}",
        },
    )
    if not answer.is_success:
        raise Refused(f"delivery: {answer.status_code}")


class _Forms(html.parser.HTMLParser):
    """Every form of a page with its fields and buttons."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.forms: list[dict[str, Any]] = []
        self._open: dict[str, Any] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = {"action": found.get("action", ""), "fields": [], "buttons": []}
            self.forms.append(self._open)
        elif self._open is not None and tag == "button":
            self._open["buttons"].append((found.get("name", ""), found.get("value", "")))
        elif self._open is not None and tag == "input" and found.get("name"):
            kind = found.get("type", "text")
            self._open["fields"].append((found["name"], found.get("value", ""), kind))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None


class Browser:
    """Somebody in front of a browser: it keeps cookies, and the page it shows."""

    page: Answer

    def __init__(self) -> None:
        self.http = httpx2.AsyncClient(timeout=60, follow_redirects=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def open(self, url: str) -> None:
        """Go to a page."""
        self._show(await self.http.get(url))

    async def press(
        self, action: str, *said: tuple[str, str], file: tuple[str, bytes] | None = None
    ) -> bool:
        """Send the page's first form that goes there, as it stands but for what is said.

        False: the page has no such form.
        """
        form = next((f for f in _Forms(self.page.text).forms if f["action"].endswith(action)), None)
        if form is None:
            return False
        names = {name for name, _ in said}
        kept = [
            (name, value)
            for name, value, kind in form["fields"]
            if name not in names and kind not in {"checkbox", "radio", "file"}
        ]
        url = urljoin(str(self.page.url), form["action"])
        data = [*kept, *said]
        if file is None:
            self._show(await _post(self.http, url, data))
        else:
            fields = {name: [v for n, v in data if n == name] for name, _ in data}
            self._show(await self.http.post(url, data=fields, files={"file": file}))
        return True

    def find(self, pattern: str) -> str | None:
        """The first part of the page that matches (the pattern's group)."""
        found = re.search(pattern, self.page.text)
        return found[1] if found is not None else None

    def _show(self, answer: Answer) -> None:
        if answer.status_code >= httpx2.codes.BAD_REQUEST:
            raise Refused(f"{answer.request.method} {answer.url.path}: {answer.status_code}")
        self.page = answer


async def answer_form(http: httpx2.AsyncClient, link: str, *, agencies: set[str] | None) -> None:
    """Fill in the opt-in form: tick these agencies and consent, or decline (null)."""
    wanted = "decline" if agencies is None else "consent"
    page = await http.get(link)
    for _ in range(3):
        form = next((f for f in _Forms(page.text).forms if _decides(f, wanted)), None)
        if form is None:
            return
        button = wanted if ("decision", wanted) in form["buttons"] else "confirm"
        data = _ticked(form, agencies or set())
        page = await _post(
            http, urljoin(link, form["action"] or link), [*data, ("decision", button)]
        )


async def renew(http: httpx2.AsyncClient, link: str, *, agencies: set[str]) -> None:
    """Go on with the consent at these agencies, with everything that was chosen before."""
    page = await http.get(link)
    form = next((f for f in _Forms(page.text).forms if f["action"].endswith("/renew")), None)
    if form is not None:
        await _post(http, urljoin(link, form["action"]), _ticked(form, agencies))


async def withdraw(http: httpx2.AsyncClient, link: str) -> None:
    """Take every consent back on the person's own page."""
    page = await http.get(link)
    form = next((f for f in _Forms(page.text).forms if "withdraw" in f["action"]), None)
    if form is None:
        return
    hidden = [(n, v) for n, v, kind in form["fields"] if kind == "hidden" and n != "agency"]
    await _post(http, urljoin(link, form["action"]), [*hidden, ("agency", "all")])


def _decides(form: dict[str, Any], wanted: str) -> bool:
    return any(pair in form["buttons"] for pair in (("decision", wanted), ("decision", "confirm")))


def _ticked(form: dict[str, Any], agencies: set[str]) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, value, kind in form["fields"]
        if kind != "checkbox" or _agency_of(name, value) in agencies
    ]


def _agency_of(name: str, value: str) -> str:
    return value if name == "agency" else name.partition(".")[2]


async def _post(http: httpx2.AsyncClient, url: str, data: list[tuple[str, str]]) -> Answer:
    answer = await http.post(
        url,
        content=urlencode(data).encode(),
        headers={"content-type": "application/x-www-form-urlencoded"},
        follow_redirects=True,
    )
    if answer.status_code >= httpx2.codes.BAD_REQUEST:
        raise Refused(f"form: {answer.status_code}")
    return answer


def event(kind: str, at: datetime, data: dict[str, Any]) -> dict[str, Any]:
    """A Standard Webhooks body in our generic format."""
    return {"type": kind, "timestamp": utc_text(at), "data": data}
