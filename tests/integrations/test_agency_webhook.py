import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from joserfc import jwe, jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from integrations.agency_webhook import headers_for, send, sign
from integrations.jwe import UnfitKey, check_key, seal_to
from integrations.jws import sign_detached
from integrations.safe_http import retry_after, safe_client
from tests.relays import Answer, receiver

pytestmark = pytest.mark.anyio

AT = datetime(2026, 6, 2, 1, 0, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_vector_of_the_standard():
    """https://github.com/standard-webhooks: the reference libraries' own example."""
    made = sign(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')

    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_two_secrets_sign_during_a_rotation_and_the_time_is_the_attempts_own():
    first = headers_for([SECRET], "msg_1", AT, b"{}")
    later = headers_for([SECRET, "whsec_AAAA"], "msg_1", AT + timedelta(minutes=5), b"{}")

    assert first["webhook-id"] == later["webhook-id"] == "msg_1"
    assert int(later["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 300
    assert len(first["webhook-signature"].split()) == 1
    assert len(later["webhook-signature"].split()) == 2
    assert first["user-agent"] == "career-relay-webhooks/1"


def test_a_malformed_secret_is_a_value_error():
    with pytest.raises(ValueError, match="whsec_"):
        sign("whsec_not base64!", "msg_1", 1, b"")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("Tue, 02 Jun 2026 01:02:00 GMT", 120),
        ("Mon, 01 Jun 2026 00:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("9" * 400, 10**7),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    found = retry_after(value, AT)

    assert found == (None if seconds is None else timedelta(seconds=seconds))


async def attempt(answer, **options):
    async with receiver(always=answer) as there, safe_client(allow_private=True) as client:
        headers = headers_for([SECRET], "msg_1", AT, b"{}")
        return await send(client, there.url, headers, b"{}", **options), there


@pytest.mark.parametrize(
    ("status", "taken", "gone"),
    [(200, True, False), (204, True, False), (299, True, False), (301, False, False),
     (307, False, False), (400, False, False), (410, False, True), (429, False, False),
     (500, False, False)],
)  # fmt: skip
async def test_only_2xx_is_success(status, taken, gone):
    found, there = await attempt(Answer(status=status, headers={"location": "http://x.test/"}))

    assert (found.status, found.taken, found.gone) == (status, taken, gone)
    assert found.error == (None if taken else f"http_{status}")
    assert len(there.received) == 1


async def test_a_slow_receiver_is_a_timeout():
    found, _ = await attempt(Answer(wait=5), seconds=0.2)

    assert (found.status, found.error, found.taken) == (None, "timeout", False)
    assert 150 <= found.duration_ms <= 2000


async def test_a_hanging_body_is_a_timeout():
    found, _ = await attempt(Answer(status=200, headers={"content-length": "99"}), seconds=0.3)

    assert not found.taken
    assert found.error in {"timeout", "connection_lost"}


async def test_a_reset_is_a_lost_connection():
    found, _ = await attempt(Answer(reset=True))

    assert (found.status, found.error) == (None, "connection_lost")


async def test_nobody_listening_is_a_failed_connection():
    async with receiver() as there:
        url = there.url
    async with safe_client(allow_private=True) as client:
        found = await send(client, url, headers_for([SECRET], "m", AT, b""), b"")

    assert (found.status, found.error) == (None, "connect_failed")


async def test_of_a_huge_body_only_the_beginning_is_read():
    found, there = await attempt(Answer(status=200, body=b"hello", endless=True))

    assert found.taken
    assert found.answer == "hello" + "x" * 1019
    assert there.sent_bytes < 20 * 1024 * 1024


async def test_an_address_inside_is_refused_without_a_call():
    async with receiver() as there, safe_client() as client:
        url = there.url.replace("127.0.0.1", "localhost")
        found = await send(client, url, headers_for([SECRET], "m", AT, b""), b"")

    assert found.status is None
    assert found.error == "refused: the host name leads to an address that is not public"
    assert there.received == []


@pytest.mark.parametrize(
    "key",
    [
        ECKey.generate_key("P-256"),
        ECKey.generate_key("P-521"),
        OKPKey.generate_key("X25519"),
        RSAKey.generate_key(2048),
    ],
    ids=["P-256", "P-521", "X25519", "RSA"],
)
def test_a_package_is_sealed_to_the_holder_of_the_key(key):
    public = check_key({**key.as_dict(private=False), "kid": "k-1", "use": "enc"})
    sealed = seal_to(public, "試験 花子".encode())
    expected = "RSA-OAEP-256" if isinstance(key, RSAKey) else "ECDH-ES"
    opened = jwe.decrypt_compact(sealed, key, algorithms=[expected, "A256GCM"])

    assert opened.plaintext == "試験 花子".encode()
    assert (opened.headers()["alg"], opened.headers()["enc"]) == (expected, "A256GCM")
    assert opened.headers()["kid"] == "k-1"


WEAK = {"kty": "RSA", "e": "AQAB", "n": base64.urlsafe_b64encode(b"\xff" * 128).decode()}
EC = ECKey.generate_key("P-256")


@pytest.mark.parametrize(
    "jwk",
    [
        EC.as_dict(private=True),
        {**EC.as_dict(private=False), "use": "sig"},
        {**EC.as_dict(private=False), "alg": "RSA-OAEP-256"},
        {**EC.as_dict(private=False), "x": "AAAA"},
        ECKey.generate_key("secp256k1").as_dict(private=False),
        OKPKey.generate_key("Ed25519").as_dict(private=False),
        OctKey.generate_key(256).as_dict(private=True),
        WEAK,
        {"kty": "RSA"},
        {"kty": "none"},
        {},
    ],
)
def test_unfit_keys_are_refused(jwk):
    with pytest.raises(UnfitKey):
        check_key(jwk)


def test_a_detached_signature_fits_its_document_only():
    EC.ensure_kid()
    payload = json.dumps({"a": 1}).encode()
    made = sign_detached(EC, payload, kind="relay-package+jws")
    first, middle, last = made.split(".")

    assert middle == ""
    assert jws.deserialize_compact(attached(first, payload, last), EC).payload == payload
    with pytest.raises(BadSignatureError):
        jws.deserialize_compact(attached(first, payload + b" ", last), EC)


def attached(first, payload, last):
    middle = base64.urlsafe_b64encode(payload).decode().rstrip("=")
    return f"{first}.{middle}.{last}"
