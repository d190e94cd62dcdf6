"""No input gives a 500: every door, signed in and not, with bytes nobody would send in good faith.

Spoken to as a server would, in raw ASGI: HTTP clients refuse to send half of this.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from structlog.testing import capture_logs

from api.app import _routers, create_app
from api.runtime import Runtime
from tests.consents import invited
from tests.factories import World, token_for
from tests.pages.seed import enter, walked
from tests.relays import forwarded

pytestmark = pytest.mark.anyio

SEGMENTS = ("%00", "%ff%fe", "..", "A" * 43, "x" * 4000, "%F0%9F%98%80", "rly_" + "0" * 26, "'--")
QUERIES = (
    b"cursor=%00&limit=99999999999999999999&lang=%00",
    b"cursor=" + b"A" * 200,
    b"cursor=_-%ff&limit=-1&limit=2&again&from=9999999-01-01&month=2026-13&since=0001-01-01",
    b"cursor=MTIz&external_id=%00&application_id=%00&outcome=%ed%a0%80&first=9999-12-31&next=%5c",
    b"&&&=;%%%&before=%00&shown=%00&page=-1&q=" + b"%00" * 50,
)
HEADERS = (
    [(b"host", b"[")],
    [(b"host", b"\xff\x00:99999999")],
    [(b"origin", b"http://[")],
    [(b"origin", b"http://a:b:c"), (b"origin", b"null"), (b"sec-fetch-site", b"\xff")],
    [(b"cookie", b'relay_session="\xff;;=;=a; relay_session; lang=\x00; locale=\xf0'),
     (b"cookie", b"relay_session=" + b"A" * 5000)],
    [(b"cookie", b"relay_session=%00; relay_lang=%00; lang=xx; relay_session=")],
    [(b"accept-language", b"\xff;q=nan,ja;q=1e999,,;;q=,*")],
    [(b"authorization", b"Bearer \xff\xfe"), (b"authorization", b"Basic !!!!")],
    [(b"authorization", b"Basic gICA"), (b"content-length", b"\xb2")],
    [(b"authorization", b"Bearer eyJhbGciOiJFUzI1NiJ9.e30." + b"A" * 86)],
    [(b"if-none-match", b"\xff, W/, *"), (b"accept", b"\xff"), (b"x-request-id", b"\xff")],
    [(b"idempotency-key", b"\xff\x00"), (b"accept", b"text/html")],
)  # fmt: skip
_PART = b'--x\r\ncontent-disposition: form-data; name="%s"\r\n\r\n%s\r\n'
PARTS = b"".join(
    _PART % (name, b"+2AA-\xff")
    for name in (b"csrf", b"email", b"decision", b"agency", b"text", b"reason", b"client_id")
)
BODIES = (
    (b"application/json", b"[" * 50_000),
    (b"application/json", b'{"a":' * 5_000 + b"1" + b"}" * 5_000),
    (b"application/json", b'{"type":"\\u0000\\ud800","at":1e999,"n":' + b"9" * 5_000 + b"}"),
    (b"application/json", b"\xff\xfe{\x00}\x00"),
    (b"application/json; charset=undefined", b"{}"),
    (b"text/plain", b"{}"),
    (b"\xff", b"\x00"),
    (b"multipart/form-data", b"--"),
    (b"multipart/form-data; boundary=\xff", b"--\xff\r\n"),
    (b"multipart/form-data; boundary=x; charset=utf-7", PARTS + b"--x--\r\n"),
    (b"multipart/form-data; boundary=x; charset=undefined", PARTS + b"--x--\r\n"),
    (b"multipart/form-data; boundary=x; charset=idna", PARTS + b"--x--\r\n"),
    (b"multipart/form-data; boundary=x",
     b'--x\r\ncontent-disposition: form-data; name="csrf"; filename="a"\r\n\r\n\xff\r\n--x--\r\n'),
    (b"application/x-www-form-urlencoded", b"a=1&" * 3000),
    (b"application/x-www-form-urlencoded",
     (b"csrf=%ed%a0%80&decision=%00&agency=%00&items.%00=%00&submission_id=%00&locale=%00&text=%ff"
      b"&email=%00%40%5b&grant_type=%00&client_id=%00&token=%ff&client_assertion=..&scope=%00")),
    (b"application/x-www-form-urlencoded",
     (b"email=a@%5b::1%5d&grant_type=client_credentials&client_id=x&client_secret=%ff"
      b"&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
      b"&client_assertion=eyJhbGciOiJFUzI1NiJ9.W10.AA&token=eyJhbGciOiJub25lIn0.W10.")),
)  # fmt: skip


@dataclass
class Door:
    """An app to be spoken to byte by byte."""

    app: Any

    async def ask(
        self, method: str, path: str, query: bytes = b"", headers: Any = (), body: bytes = b""
    ) -> tuple[int, bytes]:
        from urllib.parse import unquote_to_bytes  # noqa: PLC0415

        raw = path.encode()
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
            "scheme": "http", "path": unquote_to_bytes(raw).decode("utf-8", "replace"),
            "raw_path": raw, "query_string": query, "root_path": "", "client": ("127.0.0.1", 1),
            "server": ("relay.test", 80),
            "headers": [(b"host", b"relay.test"), *headers]
            if not any(name == b"host" for name, _ in headers) else list(headers),
        }  # fmt: skip
        said: list[Any] = []
        parts = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            return parts.pop() if parts else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            said.append(message)

        async with asyncio.timeout(20):
            await self.app(scope, receive, send)
        return said[0]["status"], b"".join(one.get("body", b"") for one in said)


def doors() -> list[tuple[str, str]]:
    """(method, path) of everything that is served, also what no description names."""
    found = [("POST", "/v1/ats/{provider}/{connection_id}"), ("GET", "/openapi.json")]
    for module in _routers():
        for route in walked(module.router):
            found += [(method, route.path) for method in sorted(route.methods)]
    return found


def filled(path: str, segment: str, known: dict[str, str]) -> Iterator[str]:
    """The path with this in the place of each parameter, the others as they should be."""
    names = [part.split("}")[0].split(":")[0] for part in path.split("{")[1:]]
    for hostile in names or [""]:
        made = path
        for name in names:
            value = segment if name == hostile else known.get(name, "x")
            made = made.replace("{" + name + "}", value).replace("{" + name + ":path}", value)
        yield made


def real(path: str, known: dict[str, str]) -> str:
    """The path of something that is there, as far as we know one."""
    for name, value in known.items():
        path = path.replace("{" + name + "}", value)
    return path.replace("{", "").replace("}", "")


@dataclass
class Visited:
    door: Door
    known: dict[str, str]
    callers: dict[str, list[tuple[bytes, bytes]]]

    def as_caller(self, path: str) -> list[tuple[bytes, bytes]]:
        for start, headers in self.callers.items():
            if path.startswith(start):
                return headers
        return []


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture
async def visited(runtime: Runtime, client: Any, world: World) -> Visited:
    relay = await forwarded(runtime, world)
    person = await invited(runtime, world)
    tokens = {
        kind: await token_for(client, credentials)
        for kind, credentials in (("company", world.company_client),
                                  ("agency", world.agency_clients[0]))
    }  # fmt: skip
    cookies = {
        "/dashboard": await enter(runtime, "hr", company_id=world.company.id, roles=["admin"]),
        "/agency": await enter(runtime, "agency", agency_id=world.agency.id, roles=["admin"]),
    }
    callers = {
        f"/v1/{kind}": [(b"authorization", f"Bearer {token}".encode()),
                        (b"idempotency-key", b"k")]
        for kind, token in tokens.items()
    } | {
        start: [(b"cookie", f"relay_session={cookie}".encode()), (b"accept", b"text/html")]
        for start, cookie in cookies.items()
    }  # fmt: skip
    known = {
        "relay_id": relay.id, "application_id": person.application.id, "token": person.token,
        "connection_id": world.connections["standard-webhooks"].id, "company_slug": "mirai",
        "provider": "standard-webhooks", "agency_id": world.agency.id,
    }  # fmt: skip
    app = create_app(Runtime.build(runtime.settings.model_copy(update={"rate_limit": 10**9}),
                                   runtime.clock))  # fmt: skip
    yield Visited(Door(app), known, callers)
    await app.state.runtime.database.close()


async def _wrong(visited: Visited, asked: list[Any]) -> list[Any]:
    wrong = []
    for method, path, query, headers, body in asked:
        status, said = await visited.door.ask(method, path, query, headers, body)
        if status == 500:
            wrong.append((method, path[:80], query[:60], headers, body[:60], said[:200]))
    return wrong


async def test_strange_ids(visited):
    asked = [
        (method, made, b"", visited.as_caller(path), b"{}")
        for method, path in doors() if "{" in path
        for segment in SEGMENTS
        for made in filled(path, segment, visited.known)
    ]  # fmt: skip

    assert await _wrong(visited, asked) == []


async def test_strange_queries(visited):
    asked = [
        (method, made, query, visited.as_caller(path), b"")
        for method, path in doors() if method == "GET"
        for query in QUERIES
        for made in [real(path, visited.known)]
    ]  # fmt: skip

    assert await _wrong(visited, asked) == []


async def test_strange_headers(visited):
    asked = [
        (method, made, b"", [*strange, *more], b"a=b")
        for method, path in doors()
        for strange in HEADERS
        for more in [visited.as_caller(path)]
        for made in [real(path, visited.known)]
    ]  # fmt: skip

    assert await _wrong(visited, asked) == []


# A file sent to a page that takes none is closed when it is forgotten, not before.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_strange_bodies(visited):
    asked = [
        (method, made, b"", [*visited.as_caller(path), (b"content-type", kind)], body)
        for method, path in doors() if method in {"POST", "PATCH", "DELETE", "PUT"}
        for kind, body in BODIES
        for made in [real(path, visited.known)]
    ]  # fmt: skip

    assert await _wrong(visited, asked) == []


async def test_strange_values_in_the_pages_own_forms(visited):
    """With the session's token, so that the values are really looked at."""
    _, page = await visited.door.ask("GET", "/dashboard", b"", visited.as_caller("/dashboard"))
    _, other = await visited.door.ask("GET", "/agency", b"", visited.as_caller("/agency"))
    marks = {"/dashboard": _csrf(page), "/agency": _csrf(other)}
    values = ("\0", "9" * 5000, "-1", "0001-01-01", "9999-12-31", "http://[", "{")
    names = ("hold", "reason", "feedback", "text", "url", "opening", "hired_on", "started_on", "at",
             "agency_id", "agency", "events", "event_types", "payload_mode", "encryption_key",
             "answer", "type", "employment_term", "attestation", "last_day_employed", "new_date",
             "reservation_id", "name", "provider", "secret", "secrets", "locale", "next", "email",
             "registered_on", "outcome", "months", "settings", "api_base", "roles")  # fmt: skip
    asked = [
        (method, made, b"",
         [*visited.as_caller(path), (b"content-type", b"application/x-www-form-urlencoded")],
         urlencode({"csrf": marks[start], **dict.fromkeys(names, value)}).encode())
        for method, path in doors() if method == "POST"
        for start in marks if path.startswith(start)
        for value in values
        for made in [real(path, visited.known)]
    ]  # fmt: skip

    assert len(asked) > 20
    assert await _wrong(visited, asked) == []


def _csrf(page: bytes) -> str:
    return page.split(b'name="csrf" value="')[1].split(b'"')[0].decode()
