"""Signatures: the vendors' own vectors, and everything a forger or a broken sender may send."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from integrations.ats import ADAPTERS
from tests.deliveries import SAMPLES, greenhouse_headers, incoming, standard_headers, view

NOW = datetime(2026, 6, 2, 1, 0, tzinfo=UTC)
VECTORS = json.loads((SAMPLES / "signatures.json").read_text())
OURS = [one for one in VECTORS if one["scheme"] in ADAPTERS]
greenhouse, standard = ADAPTERS["greenhouse"], ADAPTERS["standard-webhooks"]

GH_SECRET = "gh-doc-secret-4e1d9a7b2c"
SW_SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
BODY = b'{"type":"x"}'


def vector_delivery(vector):
    if vector["scheme"] == "greenhouse":
        body = vector["signed_utf8"].encode()
        return incoming(body, NOW, signature=vector["expected"]), view(secrets=[vector["key"]])
    message_id, stamp, body = vector["signed_utf8"].split(".", 2)
    found = incoming(
        body.encode(),
        datetime.fromtimestamp(int(stamp), UTC),
        webhook_id=message_id,
        webhook_timestamp=stamp,
        webhook_signature=vector["expected"],
    )
    if vector["expected"].startswith("v1a"):
        return found, view(public_keys=[vector["public_key"]])
    return found, view(secrets=[vector["key"]])


@pytest.mark.parametrize("vector", OURS, ids=lambda one: one["name"])
def test_vectors(vector):
    found, connection = vector_delivery(vector)

    assert ADAPTERS[vector["scheme"]].verify(found, connection) is vector["valid"]


def test_the_vectors_cover_both_schemes():
    assert [one["name"] for one in OURS] == [
        "greenhouse-escaped-body",
        "greenhouse-reserialised-body-must-fail",
        "standard-webhooks-v1-official",
        "standard-webhooks-v1a-official",
        "standard-webhooks-rotation",
    ]


# ---- Greenhouse -----------------------------------------------------------------------------


def gh(body=BODY, **changed):
    headers = {**greenhouse_headers(BODY, GH_SECRET), **changed}
    return incoming(body, NOW, **{k: v for k, v in headers.items() if v is not None})


def test_greenhouse_accepts_any_of_several_secrets():
    assert greenhouse.verify(gh(), view(secrets=["another-secret-xyz", GH_SECRET]))
    assert not greenhouse.verify(gh(), view(secrets=["another-secret-xyz"]))
    assert not greenhouse.verify(gh(), view(secrets=[]))


def test_an_empty_secret_opens_nothing():
    found = incoming(BODY, NOW, **greenhouse_headers(BODY, ""))

    assert not greenhouse.verify(found, view(secrets=[""]))


@pytest.mark.parametrize("at", range(len(BODY)))
def test_greenhouse_refuses_one_flipped_byte(at):
    flipped = BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :]

    assert not greenhouse.verify(gh(flipped), view(secrets=[GH_SECRET]))


GOOD = greenhouse_headers(BODY, GH_SECRET)["signature"]


@pytest.mark.parametrize(
    "header",
    [
        None, "", "sha256", "sha256 ", GOOD[:-1], GOOD + "0", GOOD.replace(" ", "="),
        GOOD.replace(" ", "  "), GOOD.upper(), GOOD.removeprefix("sha256 "),
        "sha1 " + GOOD.removeprefix("sha256 "), "sha256 " + "z" * 64, "sha256 \u00e9" * 9,
    ],
)  # fmt: skip
def test_greenhouse_refuses_a_malformed_header(header):
    assert greenhouse.verify(gh(signature=header), view(secrets=[GH_SECRET])) is False


# ---- Standard Webhooks ----------------------------------------------------------------------


def sw(body=BODY, **changed):
    headers = {**standard_headers(BODY, SW_SECRET, NOW), **changed}
    kept = {k.replace("-", "_"): v for k, v in headers.items() if v is not None}
    return incoming(body, NOW, **kept)


def signature():
    return standard_headers(BODY, SW_SECRET, NOW)["webhook-signature"]


def test_standard_accepts_any_entry_with_any_secret():
    another = "whsec_" + base64.b64encode(b"x" * 24).decode()
    listed = f"v2,abc v1,???? nonsense v1 , {signature()}"

    assert standard.verify(
        sw(**{"webhook-signature": listed}), view(secrets=[another, "not base64!", SW_SECRET])
    )
    assert not standard.verify(sw(), view(secrets=[another]))


def test_a_secret_may_come_without_its_prefix():
    assert standard.verify(sw(), view(secrets=[SW_SECRET.removeprefix("whsec_")]))


@pytest.mark.parametrize("at", range(len(BODY)))
def test_standard_refuses_one_flipped_byte(at):
    flipped = BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :]

    assert not standard.verify(sw(flipped), view(secrets=[SW_SECRET]))


@pytest.mark.parametrize(("seconds", "accepted"), [
    (-301, False), (-300, True), (0, True), (300, True), (301, False),
])  # fmt: skip
def test_standard_has_a_window_of_five_minutes_both_ways(seconds, accepted):
    headers = standard_headers(BODY, SW_SECRET, NOW + timedelta(seconds=seconds))
    kept = {k.replace("-", "_"): v for k, v in headers.items()}

    assert standard.verify(incoming(BODY, NOW, **kept), view(secrets=[SW_SECRET])) is accepted


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize(
    "value", [None, "", " ", "\u00e9", "١٢٣", "-1", "1e9", "9" * 40,
     "v1", "v1,", "v1a,", "v1a,AAAA"]
)  # fmt: skip
def test_standard_refuses_missing_and_malformed_headers(name, value):
    keys = view(secrets=[SW_SECRET], public_keys=["whpk_" + base64.b64encode(b"k" * 32).decode()])

    assert standard.verify(sw(**{name: value}), keys) is False


def test_an_id_with_a_dot_is_refused_since_the_signed_text_could_be_cut_elsewhere():
    headers = standard_headers(BODY, SW_SECRET, NOW, message_id="msg.1")
    kept = {k.replace("-", "_"): v for k, v in headers.items()}

    assert not standard.verify(incoming(BODY, NOW, **kept), view(secrets=[SW_SECRET]))


def test_a_public_key_is_never_taken_from_the_request():
    private = Ed25519PrivateKey.generate()
    stamp = str(int(NOW.timestamp()))
    signed = private.sign(f"msg_1.{stamp}.".encode() + BODY)
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    found = sw(**{
        "webhook-timestamp": stamp,
        "webhook-signature": "v1a," + base64.b64encode(signed).decode(),
        "webhook-public-key": "whpk_" + public,
    })  # fmt: skip

    assert standard.verify(found, view(public_keys=["whpk_" + public]))
    assert not standard.verify(found, view(secrets=[SW_SECRET]))
    assert not standard.verify(found, view(secrets=[public]))


def test_a_shared_secret_does_not_verify_the_other_version():
    listed = signature().replace("v1,", "v1a,")

    assert not standard.verify(sw(**{"webhook-signature": listed}), view(secrets=[SW_SECRET]))


# ---- keys people configure ------------------------------------------------------------------


def test_keys_that_could_never_verify_are_named():
    assert greenhouse.unusable([GH_SECRET], []) is None
    assert greenhouse.unusable(["short"], []) == "a secret needs at least 16 characters"
    assert greenhouse.unusable([], ["whpk_x"]) == "Greenhouse signs with a shared secret only"
    assert standard.unusable([SW_SECRET], []) is None
    assert standard.unusable(["whsec_zz"], []) == (
        "a secret is whsec_ and the base64 of 24 to 64 random bytes"
    )
    assert standard.unusable([], ["whpk_zz"]) == "a public key is whpk_ and the base64 of 32 bytes"
