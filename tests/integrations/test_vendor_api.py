"""Calls to vendors' APIs: how fast, where to, and what becomes of every kind of answer."""

import asyncio
import gzip
import ipaddress
import json
import time
import tracemalloc
import zlib
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from domain.ports import ConnectionView, VendorDown, VendorMissing, VendorRefused
from integrations import vendor_api as client
from integrations.safe_http import safe_client
from integrations.vendor_api import MOST_BYTES, HttpVendorApi, base_of, vendor_api
from tests.vendors import Said, vendor_stub

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 6, 2, 1, 0, tzinfo=UTC)


async def no_sign_in(*_):
    """A vendor that wants no credential."""


def vendor(**more):
    told = {
        "PROVIDER": "some", "API_BASE": "https://api.vendor.example/v1", "PER_SECOND": 1000.0,
        "sign_in": no_sign_in, **more,
    }  # fmt: skip
    return SimpleNamespace(**told)


@asynccontextmanager
async def calling(*, path="", api_base=None, **adapter):
    """A stub, and a client that calls it."""
    async with vendor_stub() as stub:
        told = {"api_base": api_base or stub.base + path}
        connection = ConnectionView(id="ats_1", settings=told)
        async with vendor_api(vendor(**adapter), connection, now=NOW, allow_private=True) as api:
            yield stub, api


async def answered(said, path="/v1/things"):
    """What the client makes of one answer."""
    async with calling() as (stub, api):
        stub.lay("GET", path, said)
        return await api.get("things")


async def refused(said):
    with pytest.raises((VendorDown, VendorRefused, VendorMissing)) as caught:
        await answered(said)
    return caught.value


# ---- where to -------------------------------------------------------------------------------


@pytest.mark.parametrize(("override", "base"), [
    (None, "https://api.vendor.example/v1"),
    ("", "https://api.vendor.example/v1"),
    (7, "https://api.vendor.example/v1"),
    ("https://eu.vendor.example", "https://eu.vendor.example/v1"),
    ("https://eu.vendor.example/", "https://eu.vendor.example/v1"),
    ("https://eu.vendor.example/gateway/v2/", "https://eu.vendor.example/gateway/v2"),
])  # fmt: skip
def test_another_host_keeps_the_vendor_s_path_unless_it_brings_its_own(override, base):
    assert base_of("https://api.vendor.example/v1/", override) == base


@pytest.mark.parametrize("base", [
    "http://api.vendor.example", "https://127.0.0.1", "https://10.0.0.1/v1", "https://localhost",
    "https://[::1]/", "https://user:secret@vendor.example", "https://vendor.example:22",
    "https://vendor.example/#x", "https://vendor.example/?a=b", "https://vendor.example/a b",
    "https://[::1", "ftp://vendor.example", "vendor.example", "https://8.8.8.8",
])  # fmt: skip
async def test_addresses_that_lead_inside_or_nowhere_are_refused_before_any_call(base):
    signed_in = []

    async def sign_in(*_):
        signed_in.append(1)

    connection = ConnectionView(id="ats_1", settings={"api_base": base})
    with pytest.raises(VendorRefused, match="api_address_refused"):
        async with vendor_api(vendor(sign_in=sign_in), connection, now=NOW):
            pass

    assert signed_in == []


async def test_a_name_that_leads_inside_is_refused_at_the_call():
    async def resolver(*_):
        return [ipaddress.ip_address("10.0.0.1")]

    async with safe_client(resolver=resolver) as http:
        api = HttpVendorApi(http, "https://api.vendor.example/v1", 1000, NOW)
        with pytest.raises(VendorRefused, match="api_address_refused"):
            await api.get("things")


async def test_a_name_nobody_knows_is_tried_again_later():
    async def resolver(*_):
        raise OSError

    async with safe_client(resolver=resolver) as http:
        api = HttpVendorApi(http, "https://api.vendor.example/v1", 1000, NOW)
        with pytest.raises(VendorDown, match="api_unavailable"):
            await api.get("things")


async def test_a_call_goes_below_the_base_with_what_signing_in_gave():
    async def sign_in(api, connection):
        api.headers["authorization"] = f"Bearer {connection.id}"

    async with calling(path="/gateway", sign_in=sign_in) as (stub, api):
        stub.lay("POST", "/gateway/things", {"made": True})
        told = await api.send(
            "POST", "/things", json={"a": "é"}, params={"b": "x|y", "c": None, "d": ""},
            headers={"x-one": "1"},
        )  # fmt: skip

    (call,) = stub.calls
    assert told.data == {"made": True}
    assert (call.json, call.query) == ({"a": "é"}, {"b": ["x|y"], "d": [""]})
    sent = ("authorization", "accept", "user-agent", "x-one")
    assert [call.headers[name] for name in sent] == [
        "Bearer ats_1", "application/json", "career-relay/1", "1",
    ]  # fmt: skip


async def test_a_form_is_sent_as_a_form():
    async with calling() as (stub, api):
        stub.lay("POST", "/v1/token", {})
        await api.send("POST", "token", form={"grant_type": "x&y"})

    assert stub.calls[0].form == {"grant_type": ["x&y"]}
    assert stub.calls[0].headers["content-type"] == "application/x-www-form-urlencoded"


async def test_full_urls_on_the_same_host_are_followed_with_their_own_parameters():
    async with calling() as (stub, api):
        stub.lay("GET", "/v2/more", [])
        await api.get(f"{stub.base}/v2/more?cursor=a%3D", {"nothing": None})
        await api.get(f"HTTP://127.0.0.1:{stub.port}/v2/more?cursor=b")

    assert [call.query for call in stub.calls] == [{"cursor": ["a="]}, {"cursor": ["b"]}]


@pytest.mark.parametrize("url", [
    "https://other.example/v1/things", "http://127.0.0.1/v1", "https://127.0.0.1:{port}/v1",
    "http://127.0.0.1:{port}@other.example/", "http://user@127.0.0.1:{port}/", "http:///v1",
    "http://127.0.0.1:{port}\\@other.example/", "http://localhost:{port}/v1", "http://[::1",
    "http://127.0.0.1:99999/", "file:///etc/passwd", "HTTPS://other.example",
])  # fmt: skip
async def test_full_urls_that_lead_elsewhere_are_never_called(url):
    async with calling() as (stub, api):
        with pytest.raises(VendorRefused, match="api_leads_elsewhere"):
            await api.get(url.replace("{port}", str(stub.port)))

    assert stub.calls == []


@pytest.mark.parametrize("path", ["//other.example/x", "things?back=https://other.example/"])
async def test_a_path_stays_a_path_whatever_is_in_it(path):
    async with calling() as (stub, api):
        with pytest.raises(VendorMissing):
            await api.get(path)

    assert stub.calls[0].path in {"/v1/other.example/x", "/v1/things"}


async def test_the_usual_port_is_the_same_host_said_or_not():
    async with safe_client() as http:
        api = HttpVendorApi(http, "https://api.vendor.example/v1", 1000, NOW)

        assert api._url("https://API.vendor.example:443/x") == "https://API.vendor.example:443/x"


async def test_a_vendor_may_name_a_second_host_as_where_its_tokens_come_from():
    async with vendor_stub() as elsewhere:
        elsewhere.lay("POST", "/token", {"access_token": "t"})

        async def sign_in(api, _):
            found = await api.send("POST", f"{elsewhere.base}/token", form={})
            api.headers["authorization"] = found.data["access_token"]

        async with calling(sign_in=sign_in, HOSTS=(elsewhere.base,)) as (stub, api):
            stub.lay("GET", "/v1/things", [])
            await api.get("things")

    assert "authorization" not in elsewhere.calls[0].headers
    assert stub.calls[0].headers["authorization"] == "t"


async def test_where_the_base_has_moved_full_urls_follow_it():
    async with vendor_stub() as elsewhere, calling() as (stub, api):
        elsewhere.lay("GET", "/x", [])
        api.base = elsewhere.base
        await api.get(f"{elsewhere.base}/x")
        with pytest.raises(VendorRefused, match="api_leads_elsewhere"):
            await api.get(f"{stub.base}/x")

    assert (len(elsewhere.calls), stub.calls) == (1, [])


@pytest.mark.parametrize("path", ["a\nb", "a\0b"])
async def test_a_path_no_request_can_hold_is_refused(path):
    async with calling() as (stub, api):
        with pytest.raises(VendorRefused, match="api_request_malformed"):
            await api.get(path)

    assert stub.calls == []


@pytest.mark.parametrize("credential", ["ｔｏｋｅｎ", "a\r\nx-other: b", "a\0"])
async def test_a_credential_no_server_gave_out_is_named_and_not_sent(credential):
    async with calling() as (stub, api):
        api.headers["authorization"] = credential
        with pytest.raises(VendorRefused, match="api_credential_malformed"):
            await api.get("things")

    assert stub.calls == []


# ---- the next page --------------------------------------------------------------------------


@pytest.mark.parametrize(("link", "following"), [
    ('<{base}/v1/things?cursor=2>; rel="next"', "{base}/v1/things?cursor=2"),
    ('<{base}/a>; rel="prev", <{base}/b>; rel="next"', "{base}/b"),
    ('</v1/things?cursor=2>; rel="next"', "{base}/v1/things?cursor=2"),
    ("<?cursor=2>; rel=next", "{base}/v1/things?cursor=2"),
    ('<{base}/a>; rel="prev"', None), ("", None), ("nonsense", None), ("<>; rel=next", None),
])  # fmt: skip
async def test_the_next_page_is_where_the_link_says(link, following):
    async with calling() as (stub, api):
        said = Said([], headers={"link": link.replace("{base}", stub.base)})
        stub.lay("GET", "/v1/things", said)
        found = await api.get("things")

    assert found.next == (following and following.replace("{base}", stub.base))


async def test_a_next_page_elsewhere_is_not_followed():
    async with calling() as (stub, api):
        link = '<https://other.example/v1/things?cursor=2>; rel="next"'
        stub.lay("GET", "/v1/things", Said([], headers={"link": link}))
        found = await api.get("things")
        with pytest.raises(VendorRefused, match="api_leads_elsewhere"):
            await api.get(found.next)

    assert len(stub.calls) == 1


# ---- pace -----------------------------------------------------------------------------------


async def test_calls_keep_the_vendor_s_pace_also_when_made_at_once():
    async with calling(PER_SECOND=20.0) as (stub, api):
        stub.lay("GET", "/v1/things", [])
        started = time.monotonic()
        await asyncio.gather(*(api.get("things") for _ in range(4)))
        await api.get("things")
        took = time.monotonic() - started

    assert len(stub.calls) == 5
    assert took >= 4 / 20


async def test_the_first_call_waits_for_nothing():
    async with calling(PER_SECOND=0.01) as (stub, api):
        stub.lay("GET", "/v1/things", [])
        await asyncio.wait_for(api.get("things"), 5)

    assert len(stub.calls) == 1


# ---- answers --------------------------------------------------------------------------------


async def test_an_answer_is_its_json_and_its_headers():
    found = await answered(Said({"a": [1, "é", None]}, 201, {"X-Total": "7"}))

    assert found.data == {"a": [1, "é", None]}
    assert found.headers["x-total"] == "7"


@pytest.mark.parametrize("said", [
    Said(raw=b""), Said(raw=b" \n"), Said(status=204, raw=b""),
    Said(raw=b"", headers={"content-encoding": "gzip"}),
])  # fmt: skip
async def test_an_empty_answer_is_nothing(said):
    assert (await answered(said)).data is None


@pytest.mark.parametrize(("after", "waits"), [
    ("30", timedelta(seconds=30)), (" 5 ", timedelta(seconds=5)), ("0", timedelta()),
    ("Tue, 02 Jun 2026 01:02:00 GMT", timedelta(minutes=2)),
    ("Tue, 02 Jun 2026 00:00:00 GMT", timedelta()),
    ("soon", None), ("-5", None), ("1.5", None), ("", None), (None, None),
    ("9" * 30, timedelta(seconds=10**7)),
])  # fmt: skip
@pytest.mark.parametrize(("status", "code"), [(429, "api_busy"), (503, "api_unavailable")])
async def test_a_vendor_who_is_busy_says_how_long_to_wait(status, code, after, waits):
    error = await refused(Said(None, status, {} if after is None else {"retry-after": after}))

    assert isinstance(error, VendorDown)
    assert (error.code, error.retry_after) == (code, waits)


@pytest.mark.parametrize(("status", "error", "code"), [
    (500, VendorDown, "api_unavailable"), (502, VendorDown, "api_unavailable"),
    (504, VendorDown, "api_unavailable"), (599, VendorDown, "api_unavailable"),
    (408, VendorDown, "api_unavailable"), (409, VendorDown, "api_unavailable"),
    (401, VendorRefused, "api_unauthorised"), (403, VendorRefused, "api_unauthorised"),
    (400, VendorRefused, "api_refused"), (402, VendorRefused, "api_refused"),
    (405, VendorRefused, "api_refused"), (422, VendorRefused, "api_refused"),
    (301, VendorRefused, "api_redirected"), (302, VendorRefused, "api_redirected"),
    (304, VendorRefused, "api_redirected"), (308, VendorRefused, "api_redirected"),
])  # fmt: skip
async def test_answers_without_success(status, error, code):
    found = await refused(Said(None, status, raw=b""))

    assert type(found) is error
    assert found.code == code
    assert getattr(found, "status", status) == status


@pytest.mark.parametrize("status", [404, 410])
async def test_what_the_vendor_does_not_know_is_missing_or_nothing(status):
    async with calling() as (stub, api):
        stub.lay("GET", "/v1/things", Said({"id": 1}, status))
        stub.lay("GET", "/v1/there", {"id": 1})
        with pytest.raises(VendorMissing):
            await api.get("things")

        assert await api.get_or_none("things") is None
        assert await api.get_or_none("there") == {"id": 1}


async def test_a_redirect_is_not_followed():
    async with vendor_stub() as inside:
        inside.lay("GET", "/secret", {})
        error = await refused(Said(None, 302, {"location": f"{inside.base}/secret"}))

    assert error.code == "api_redirected"
    assert inside.calls == []


@pytest.mark.parametrize("raw", [
    b"<html>Bad gateway</html>", b"{", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": -1e999}',
    b"\xff\xfe\xff", b"[" * 100_000, b"1" * 5000, b'"a" "b"',
], ids=range(9))  # fmt: skip
async def test_an_answer_that_is_no_json_is_asked_for_again(raw):
    error = await refused(Said(raw=raw))

    assert isinstance(error, VendorDown)
    assert error.code == "api_answer_unreadable"


async def test_numbers_that_are_json_stay_as_they_are():
    assert (await answered(Said(raw=b"[1, -2.5e3, 0.1]"))).data == [1, -2500.0, 0.1]


# ---- size and time --------------------------------------------------------------------------


async def test_an_answer_up_to_the_limit_is_read_and_a_byte_more_is_not():
    raw = b'"' + b"a" * (MOST_BYTES - 2) + b'"'

    assert len((await answered(Said(raw=raw))).data) == MOST_BYTES - 2
    assert (await refused(Said(raw=raw + b" "))).code == "api_answer_too_large"


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP", "deflate"])
async def test_packed_answers_are_unpacked(encoding):
    raw = json.dumps({"a": "é" * 100_000}).encode()
    packed = zlib.compress(raw) if encoding == "deflate" else gzip.compress(raw)

    found = await answered(Said(raw=packed, headers={"content-encoding": encoding}))

    assert found.data == {"a": "é" * 100_000}


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_small_answer_that_swells_is_given_up_before_it_fills_the_memory(encoding):
    bomb = b'"' + b"a" * 200 * 1024 * 1024
    packed = zlib.compress(bomb, 9) if encoding == "deflate" else gzip.compress(bomb, 9)
    del bomb
    tracemalloc.start()
    try:
        error = await refused(Said(raw=packed, headers={"content-encoding": encoding}))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert len(packed) < 1024 * 1024
    assert (type(error), error.code) == (VendorRefused, "api_answer_too_large")
    assert most < 5 * MOST_BYTES


@pytest.mark.parametrize(("encoding", "raw"), [
    ("gzip", b'{"a": 1}'), ("br", b"x"), ("gzip, gzip", gzip.compress(gzip.compress(b"{}"))),
    ("gzip", gzip.compress(b'{"a": 1}')[:10]), ("gzip", gzip.compress(b"[1] ")[:-4]),
], ids=["not packed", "unknown", "twice", "nothing in it", "cut off"])  # fmt: skip
async def test_an_answer_that_does_not_unpack_is_asked_for_again(encoding, raw):
    error = await refused(Said(raw=raw, headers={"content-encoding": encoding}))

    assert isinstance(error, VendorDown)
    assert error.code == "api_answer_unreadable"


async def test_only_what_can_be_unpacked_safely_is_asked_for():
    async with calling() as (stub, api):
        stub.lay("GET", "/v1/things", [])
        await api.get("things")

    assert stub.calls[0].headers["accept-encoding"] == "gzip"


@asynccontextmanager
async def raw_server(handle):
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_an_answer_that_drips_in_for_ever_is_given_up(monkeypatch):
    monkeypatch.setattr(client, "CALL_SECONDS", 0.3)

    async def drip(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[")
        try:
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)
        except (ConnectionError, asyncio.CancelledError):
            writer.close()

    async with raw_server(drip) as base, calling(api_base=base) as (_, api):
        with pytest.raises(VendorDown, match="api_unavailable"):
            await asyncio.wait_for(api.get("things"), 10)


@pytest.mark.parametrize("said", [
    b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n[1",
], ids=["nothing", "no HTTP", "cut off"])  # fmt: skip
async def test_a_connection_that_breaks_is_tried_again_later(said):
    async def breaking(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        writer.close()

    async with raw_server(breaking) as base, calling(api_base=base) as (_, api):
        with pytest.raises(VendorDown, match="api_unavailable"):
            await api.get("things")


async def test_nobody_there_is_tried_again_later():
    async with raw_server(lambda *_: None) as base:
        pass
    async with calling(api_base=base) as (_, api):
        with pytest.raises(VendorDown, match="api_unavailable"):
            await api.get("things")
