import datetime as dt
import ipaddress
import ssl

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from integrations import safe_http
from integrations.safe_http import UnsafeAddress, check_target, check_url, is_public, safe_client
from tests.relays import Answer, receiver

pytestmark = pytest.mark.anyio

PUBLIC = ("93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8")
NOT_PUBLIC = (
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255",
    "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.2.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "192.88.99.1", "::", "::1", "::127.0.0.1", "::8.8.8.8",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
    "64:ff9b::808:808", "64:ff9b:1::1", "2002:7f00:1::1", "2002:808:808::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "100::1", "5f00::1", "fc00::1",
    "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "ff0e::1", "3fff::1",
)  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_called(address):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_nothing_that_leads_inside_may_be_called(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/a",
        "https://hooks.example.com:8443/a?b=c",
        "https://例え.example.com/",
    ],
)
def test_a_public_name_over_https_is_fine(url):
    assert check_url(url).scheme == "https"


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "https://hooks.example.com:22/",
        "https://hooks.example.com:70000/",
        "https://user@hooks.example.com/",
        "https://user:secret@hooks.example.com/",
        "https://hooks.example.com/#part",
        "https://hooks.example.com\\@inside.test/",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/\r\nx: y",
        "https:///nothing",
        "https://localhost/",
        "https://localhost./",
        "https://hooks.example.com./",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0x0.0x0.0x1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://１２７.０.０.１/",
        "https://8.8.8.8/",
        "file:///etc/passwd",
        "hooks.example.com",
        "",
    ],
)
def test_other_forms_are_refused(url):
    with pytest.raises(UnsafeAddress):
        check_url(url)


def resolving(*answers):
    """A resolver that gives one list of addresses after the other, and counts."""
    asked = []

    async def resolver(host, port):
        asked.append((host, port))
        found = answers[min(len(asked), len(answers)) - 1]
        return [ipaddress.ip_address(one) for one in found]

    return resolver, asked


@pytest.mark.parametrize(
    "found", [["10.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["8.8.8.8", "fd00:ec2::254"], []]
)
async def test_every_address_of_a_name_must_be_public(found):
    resolver, _ = resolving(found)

    with pytest.raises(UnsafeAddress):
        await check_target("https://hooks.example.com/", resolver=resolver)


async def test_a_name_with_public_addresses_is_accepted():
    resolver, asked = resolving(["8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946"])

    await check_target("https://hooks.example.com/", resolver=resolver)

    assert asked == [("hooks.example.com", 443)]


async def test_a_name_that_turns_private_later_is_refused_at_the_call():
    resolver, asked = resolving(["8.8.8.8"], ["127.0.0.1"])
    await check_target("https://hooks.example.com/", resolver=resolver)
    async with receiver() as there, safe_client(resolver=resolver) as client:
        with pytest.raises(UnsafeAddress):
            await client.post(f"https://hooks.example.com:{there.port}/")

    assert len(asked) == 2
    assert there.received == []


async def test_the_connection_goes_to_the_checked_address_under_the_original_name(monkeypatch):
    """One resolution per call; Host stays the name. Loopback stands in for a public address."""
    monkeypatch.setattr(safe_http, "is_public", lambda _: True)
    resolver, asked = resolving(["127.0.0.1"])
    async with receiver() as there, safe_client(resolver=resolver) as client:
        await client.post(f"http://hooks.example.com:{there.port}/x")

    assert asked == [("hooks.example.com", there.port)]
    assert there.received[0].headers["host"] == f"hooks.example.com:{there.port}"


async def test_redirects_are_not_followed():
    async with receiver() as inside:
        to_inside = Answer(status=302, headers={"location": inside.url})
        async with receiver(always=to_inside) as outside, safe_client(allow_private=True) as client:
            answer = await client.post(outside.url)

    assert answer.status_code == 302
    assert inside.received == []


async def test_proxies_of_the_environment_are_ignored(monkeypatch):
    async with receiver() as proxy, receiver() as there:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with safe_client(allow_private=True) as client:
            await client.post(there.url)

    assert (len(there.received), len(proxy.received)) == (1, 0)


def certificate(name, folder):
    """A self-signed certificate for a name: the server's context, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(dt.datetime(2100, 1, 1, tzinfo=dt.UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "pem"
    plain = serialization.NoEncryption()
    pem.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=str(pem))


@pytest.mark.parametrize(
    ("host", "works"), [("hooks.example.com", True), ("other.example.com", False)]
)
async def test_tls_is_verified_against_the_name_not_the_address(monkeypatch, tmp_path, host, works):
    monkeypatch.setattr(safe_http, "is_public", lambda _: True)
    resolver, _ = resolving(["127.0.0.1"])
    server, trusting = certificate("hooks.example.com", tmp_path)
    async with (
        receiver(tls=server) as there,
        safe_client(resolver=resolver, verify=trusting) as client,
    ):
        url = f"https://{host}:{there.port}/"
        if works:
            assert (await client.post(url)).status_code == 204
        else:
            with pytest.raises(httpx2.ConnectError):
                await client.post(url)

    assert len(there.received) == int(works)


async def test_an_unknown_certificate_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(safe_http, "is_public", lambda _: True)
    resolver, _ = resolving(["127.0.0.1"])
    server, _ = certificate("hooks.example.com", tmp_path)
    async with receiver(tls=server) as there, safe_client(resolver=resolver) as client:
        with pytest.raises(httpx2.ConnectError):
            await client.post(f"https://hooks.example.com:{there.port}/")

    assert there.received == []
