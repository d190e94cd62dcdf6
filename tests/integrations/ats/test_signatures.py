"""Signatures: the vendors' own vectors, and everything a forger or a broken sender may send."""

import base64
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.ports import Incoming
from integrations.ats import ADAPTERS, signing
from tests.deliveries import SAMPLES, greenhouse_headers, incoming, standard_headers, view

NOW = datetime(2026, 6, 2, 1, 0, tzinfo=UTC)
VECTORS = json.loads((SAMPLES / "signatures.json").read_text())
greenhouse, standard = ADAPTERS["greenhouse"], ADAPTERS["standard-webhooks"]

GH_SECRET = "gh-doc-secret-4e1d9a7b2c"
SW_SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
BODY = b'{"type":"x"}'


# ---- the vectors ----------------------------------------------------------------------------


def _in_header(name):
    """The body is what is signed; the claim is one header."""

    def verdict(vector, key):
        found = Incoming(vector["signed_utf8"].encode(), {name: vector["expected"]}, NOW)
        return ADAPTERS[vector["scheme"]].verify(found, view(secrets=[key]))

    return verdict


def _lever(vector, key):
    body = vector["body"].encode()
    return ADAPTERS["lever"].verify(Incoming(body, {}, NOW), view(secrets=[key]))


def _smartrecruiters(vector, key):
    """`timestamp.body.event-id.event-name.event-version.link`; an absent link is empty."""
    stamp, rest = vector["signed_utf8"].split(".", 1)
    # The event's name has dots of its own; its version is `v` and digits.
    parts = re.fullmatch(r"(\{.*\})\.([^.]+)\.(.+?)\.(v[0-9]+)\.(.*)", rest)
    assert parts is not None
    body, number, name, version, link = parts.groups()
    headers = {
        "smartrecruiters-timestamp": stamp, "event-id": number, "event-name": name,
        "event-version": version, "smartrecruiters-signature": vector["expected"],
    }  # fmt: skip
    if link:
        headers["link"] = link
    at = datetime.fromtimestamp(int(stamp), UTC)
    found = Incoming(body.encode(), headers, at)
    return ADAPTERS["smartrecruiters"].verify(found, view(secrets=[key]))


def _teamtailor(version):
    def verdict(vector, key):
        if version == 2:
            stamp, _, body = vector["signed_utf8"].partition(".")
            at, settings = datetime.fromtimestamp(int(stamp), UTC), {}
        else:
            body, at, settings = '{"payload":{"data":{"id":"4711"}}}', NOW, {"accept_v1": True}
            found = Incoming(body.encode(), {"tt-signature": vector["expected"]}, at)
            assert not ADAPTERS["teamtailor"].verify(found, view(secrets=[key]))
        found = Incoming(body.encode(), {"tt-signature": vector["expected"]}, at)
        return ADAPTERS["teamtailor"].verify(found, view(secrets=[key], settings=settings))

    return verdict


def _icims(vector, key):
    lines = vector["canonical_request"].split("\n")
    headers = dict(line.split(": ", 1) for line in lines if ": " in line)
    headers["authorization"] = (
        f"x-icims-v1-hmac-sha256 user=U,signedheaders={lines[-1]},signature={vector['expected']}"
    )
    at = datetime.fromisoformat(headers["x-icims-date"])
    found = Incoming(vector["body"].encode(), headers, at, path=lines[1], query=lines[2])
    return ADAPTERS["icims"].verify(found, view(secrets=[key]))


def _standard(vector, key):
    message_id, stamp, body = vector["signed_utf8"].split(".", 2)
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": vector["expected"],
    }
    held = {"secrets": [key]}
    if vector["expected"].startswith("v1a"):
        # The private half stays with the sender; another key is another public half.
        own = key == vector["key"]
        held = {"public_keys": [vector["public_key"] if own else "whpk_" + "A" * 43 + "="]}
    found = Incoming(body.encode(), headers, datetime.fromtimestamp(int(stamp), UTC))
    verdict = ADAPTERS["standard-webhooks"].verify(found, view(**held))
    # The other door of the same format: a structured event with the same headers.
    structured = {**headers, "content-type": "application/cloudevents+json"}
    again = Incoming(found.body, structured, found.received_at)
    assert ADAPTERS["cloudevents"].verify(again, view(**held)) is verdict
    return verdict


def _hex(vector, key):
    claim = [vector["expected"]]
    return signing.signed_hex(claim, [key], vector["signed_utf8"].encode(), prefix="sha256=")


SCHEMES = {
    "greenhouse": _in_header("signature"),
    "lever": _lever,
    "ashby": _in_header("ashby-signature"),
    "workable": _in_header("x-workable-signature"),
    "smartrecruiters": _smartrecruiters,
    "teamtailor-v1": _teamtailor(1),
    "teamtailor-v2": _teamtailor(2),
    "recruitee": _in_header("x-recruitee-signature"),
    "merge": _in_header("x-merge-webhook-signature"),
    "icims": _icims,
    "standard-webhooks": _standard,
    "hex": _hex,
}
"""Who judges the vectors of a scheme; `hex` is what several systems have in common."""


@pytest.mark.parametrize("vector", VECTORS, ids=lambda one: one["name"])
def test_vectors(vector):
    judge = SCHEMES[vector["scheme"]]

    assert judge(vector, vector["key"]) is vector["valid"]
    assert judge(vector, "another-key-0123456789") is False


def test_no_vector_is_left_out():
    """All of the reference's, each judged by its own system, none twice."""
    assert [one["name"] for one in VECTORS] == [
        "greenhouse-escaped-body",
        "greenhouse-reserialised-body-must-fail",
        "lever-token-plus-timestamp",
        "lever-body-changed-still-verifies",
        "ashby",
        "ashby-ping",
        "workable-hex",
        "smartrecruiters-official",
        "smartrecruiters-two-keys",
        "smartrecruiters-no-link",
        "teamtailor-v1-legacy",
        "teamtailor-v2",
        "recruitee",
        "merge-base64url",
        "icims-hmac-unverified",
        "standard-webhooks-v1-official",
        "standard-webhooks-v1a-official",
        "standard-webhooks-rotation",
        "generic-hex-hmac-github-official",
    ]
    assert {one["scheme"] for one in VECTORS} == set(SCHEMES)


def test_every_system_that_signs_has_a_vector():
    """Zoho Recruit signs nothing (a token is compared); CloudEvents signs as Standard Webhooks."""
    judged = {scheme.partition("-v")[0] for scheme in SCHEMES}

    assert set(ADAPTERS) - judged == {"zoho-recruit", "cloudevents"}


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
    assert greenhouse.unusable(["short"], []) == "a secret needs at least 8 characters"
    assert greenhouse.unusable([], ["whpk_x"]) == "Greenhouse signs with a shared secret only"
    assert standard.unusable([SW_SECRET], []) is None
    assert standard.unusable(["whsec_zz"], []) == (
        "a secret is whsec_ and the base64 of 24 to 64 random bytes"
    )
    assert standard.unusable([], ["whpk_zz"]) == "a public key is whpk_ and the base64 of 32 bytes"
