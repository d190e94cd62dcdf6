"""The OAuth2 authorization server: Authlib's core behind our own door.

Authlib decides what a request means; this adapter gives it the request, the rows and the clock.
Its core is synchronous, so it runs inside `AsyncSession.run_sync`: one pool, one transaction.
Only programs come here (client credentials); people sign in at `/login`.
"""

import hmac
import re
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientMixin,
    InvalidClientError,
    InvalidRequestError,
    OAuth2Payload,
    OAuth2Request,
)
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DataError
from sqlalchemy.orm import Session
from sqlmodel import col, select

from api.auth import ALGORITHM, TOKEN_LIFE, BadToken, Issuer, issuer
from api.runtime import Runtime
from domain.caller import AGENCY_SCOPES, COMPANY_SCOPES, OAuthAssertion, OAuthClient, OAuthToken
from domain.flows.office.open_account import token_hash
from domain.ids import new_id

AUTH_METHODS = ["client_secret_basic", "private_key_jwt"]
ASSERTION_ALGORITHMS = ["ES256", "RS256"]
NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}
_LONGEST_ASSERTION = timedelta(minutes=10)
_LONGEST_JTI = 255
_MOST_FIELDS = 20
_CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LEEWAY_SECONDS = 60
_BAD_INPUT = (
    ValueError, TypeError, KeyError, OverflowError, OSError, RecursionError, DataError, JoseError,
)  # fmt: skip
"""What strange bytes raise inside Authlib, joserfc and the driver: a 400, never a 500."""


@dataclass
class _Work:
    """What one request's synchronous part works with."""

    session: Session
    now: datetime
    issuer: Issuer
    issued: OAuthToken | None = None


_WORK: ContextVar[_Work] = ContextVar("oauth_work")


class Program(ClientMixin):  # type: ignore[misc]
    """A client row as Authlib asks about it."""

    def __init__(self, row: OAuthClient) -> None:
        self.row = row

    def get_client_id(self) -> str:
        """The public name of the client."""
        return self.row.id

    def check_client_secret(self, client_secret: str) -> bool:
        """Whether it is one of the (at most two) living secrets, compared in constant time."""
        given = token_hash(client_secret).hex()
        found = [hmac.compare_digest(given, kept) for kept in self.row.secret_hashes]
        return any(found)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:  # noqa: ARG002
        """Both methods are offered at every endpoint."""
        return method in AUTH_METHODS

    def check_grant_type(self, grant_type: str) -> bool:
        """Programs speak for their owner, never for a person."""
        return grant_type == "client_credentials"

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """All it may have when nothing is asked for; nothing when it asks for more."""
        wanted = (scope or "").split()
        if not set(wanted) <= set(self.row.scopes):
            return None
        return " ".join(sorted(set(wanted or self.row.scopes)))


class _Payload(OAuth2Payload):  # type: ignore[misc]
    def __init__(self, form: dict[str, str]) -> None:
        self._form = form

    @property
    def data(self) -> dict[str, str]:
        return self._form

    @property
    def datalist(self) -> dict[str, list[str]]:
        return {name: [value] for name, value in self._form.items()}


class _Request(OAuth2Request):  # type: ignore[misc]
    def __init__(self, uri: str, headers: Any, form: dict[str, str]) -> None:
        # Whether TLS is used is decided by the public URL in the settings, not by this hop.
        super().__init__("POST", "https" + uri[uri.index(":") :], headers=headers)
        self.payload = _Payload(form)

    @property
    def args(self) -> dict[str, str]:
        return {}

    @property
    def form(self) -> dict[str, str]:
        form: dict[str, str] = self.payload.data
        return form


class _Grant(ClientCredentialsGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS


class _Tokens(JWTBearerTokenGenerator):  # type: ignore[misc]
    """Access tokens by RFC 9068, with their row and our own clock."""

    def __init__(self) -> None:
        super().__init__("", ALGORITHM, expires_generator=int(TOKEN_LIFE.total_seconds()))

    def get_jwks(self) -> KeySet:
        return _WORK.get().issuer.signing

    def get_extra_claims(self, client: Program, grant_type: str, user: Any, scope: str) -> Any:  # noqa: ARG002
        """Everything that depends on the instance or the time; it replaces Authlib's own."""
        work = _WORK.get()
        now = work.now.replace(microsecond=0)
        work.issued = OAuthToken(
            jti=new_id("tok"),
            client_id=client.row.id,
            scope=scope,
            issued_at=now,
            expires_at=now + TOKEN_LIFE,
        )
        owner = {"company_id": client.row.company_id, "agency_id": client.row.agency_id}
        return {
            "iss": work.issuer.url,
            "aud": work.issuer.url,
            "iat": int(now.timestamp()),
            "exp": int((now + TOKEN_LIFE).timestamp()),
            "jti": work.issued.jti,
            **{name: value for name, value in owner.items() if value},
        }


class _Assertion(JWTBearerClientAssertion):  # type: ignore[misc]
    """`private_key_jwt` (RFC 7523): signed by a key the client registered, each `jti` once."""

    CLIENT_AUTH_METHOD = "private_key_jwt"

    def resolve_client_public_key(self, client: Program) -> KeySet:
        if not client.row.jwks or not client.row.jwks.get("keys"):
            raise InvalidClientError(description="The client has no registered key.")
        return KeySet.import_key_set({"keys": client.row.jwks["keys"]})

    def process_assertion_claims(self, assertion: str, resolve_key: Any) -> dict[str, Any]:
        try:
            found = jwt.decode(assertion, resolve_key, algorithms=ASSERTION_ALGORITHMS)
        except JoseError:
            raise InvalidClientError(description="The assertion cannot be verified.") from None
        self.verify_claims(found.claims)
        return found.claims

    def verify_claims(self, claims: dict[str, Any]) -> None:
        work = _WORK.get()
        now = int(work.now.timestamp())
        rules = jwt.JWTClaimsRegistry(
            now=now,
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": claims["sub"]},
            sub={"essential": True},
            aud={"essential": True, "values": [work.issuer.url, f"{work.issuer.url}/oauth/token"]},
            exp={"essential": True},
            jti={"essential": True},
        )
        try:
            rules.validate(claims)
        except JoseError:
            raise InvalidClientError(description="The assertion is not in order.") from None
        if claims["exp"] > now + _LONGEST_ASSERTION.total_seconds():
            raise InvalidClientError(description="The assertion lives longer than 10 minutes.")
        if len(claims["jti"]) > _LONGEST_JTI or not claims["jti"].isprintable():
            raise InvalidClientError(description="The jti is too long or not printable.")
        if not self.validate_jti(claims, claims["jti"]):
            raise InvalidClientError(description="JWT ID is used before.")

    def validate_jti(self, claims: dict[str, Any], jti: str) -> bool:
        """New or not is decided by the database."""
        until = datetime.fromtimestamp(claims["exp"] + _LEEWAY_SECONDS, UTC)
        added = (
            insert(OAuthAssertion)
            .values(client_id=claims["sub"], jti=jti, expires_at=until)
            .on_conflict_do_nothing()
            .returning(col(OAuthAssertion.jti))
        )
        return _WORK.get().session.execute(added).first() is not None


class _OwnToken:
    """A token row for the endpoints that look at one."""

    def __init__(self, row: OAuthToken, now: datetime) -> None:
        self.row = row
        self._now = now

    def is_expired(self) -> bool:
        return self.row.expires_at <= self._now

    def is_revoked(self) -> bool:
        return self.row.revoked_at is not None

    def check_client(self, client: Program) -> bool:
        return self.row.client_id == client.row.id


def _token_of(token: str, client: Program) -> _OwnToken | None:
    """The row of a token that this client was given; anybody else's does not exist for it."""
    work = _WORK.get()
    try:
        claims = work.issuer.read(token, work.now)
    except BadToken:
        return None
    row = work.session.get(OAuthToken, claims["jti"])
    return _OwnToken(row, work.now) if row and row.client_id == client.row.id else None


class _Introspection(IntrospectionEndpoint):  # type: ignore[misc]
    CLIENT_AUTH_METHODS = AUTH_METHODS
    SUPPORTED_TOKEN_TYPES = ("access_token",)

    def authenticate_token(self, request: _Request, client: Program) -> _OwnToken | None:
        self.check_params(request, client)
        return _token_of(request.form["token"], client)

    def introspect_token(self, token: _OwnToken) -> dict[str, Any]:
        url = _WORK.get().issuer.url
        return {
            "active": True,
            "client_id": token.row.client_id,
            "sub": token.row.client_id,
            "token_type": "Bearer",
            "scope": token.row.scope,
            "iss": url,
            "aud": url,
            "iat": int(token.row.issued_at.timestamp()),
            "exp": int(token.row.expires_at.timestamp()),
            "jti": token.row.jti,
        }


class _Revocation(RevocationEndpoint):  # type: ignore[misc]
    CLIENT_AUTH_METHODS = AUTH_METHODS
    SUPPORTED_TOKEN_TYPES = ("access_token",)

    def authenticate_token(self, request: _Request, client: Program) -> _OwnToken | None:
        self.check_params(request, client)
        return _token_of(request.form["token"], client)

    def revoke_token(self, token: _OwnToken, request: _Request) -> None:  # noqa: ARG002
        work = _WORK.get()
        token.row.revoked_at = token.row.revoked_at or work.now
        work.session.add(token.row)


class _Server(AuthorizationServer):  # type: ignore[misc]
    def query_client(self, client_id: str) -> Program | None:
        """The client, enabled only: looked up before its tenant is known."""
        if not _CLIENT_ID.fullmatch(client_id):
            return None
        session = _WORK.get().session
        session.execute(text("SET LOCAL ROLE relay_system"))
        wanted = select(OAuthClient).where(col(OAuthClient.id) == client_id)
        row = session.scalars(wanted).first()
        session.execute(text("RESET ROLE"))
        return Program(row) if row is not None and row.enabled else None

    def save_token(self, token: dict[str, Any], request: _Request) -> None:  # noqa: ARG002
        work = _WORK.get()
        work.session.add(work.issued)

    def create_oauth2_request(self, request: _Request) -> _Request:
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> Response:
        return JSONResponse(body, status, {**{n.lower(): v for n, v in headers}, **NO_STORE})

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""


def _server() -> _Server:
    server = _Server(scopes_supported=sorted({*COMPANY_SCOPES, *AGENCY_SCOPES}))
    server.register_client_auth_method("private_key_jwt", _Assertion(validate_jti=True))
    server.register_grant(_Grant)
    server.register_token_generator("default", _Tokens())
    server.register_endpoint(_Introspection)
    server.register_endpoint(_Revocation)
    return server


_SERVER = _server()


async def answer(runtime: Runtime, request: Request, endpoint: str) -> Response:
    """Answer at `/oauth/{endpoint}`. A refusal leaves nothing behind in the database."""
    try:
        form = _read_form(request, await request.body())
        made = _Request(f"{runtime.settings.base_url}/oauth/{endpoint}", request.headers, form)
        async with runtime.database.transaction() as session:
            response: Response = await session.run_sync(_work, runtime, made, endpoint)
            if response.status_code != 200:  # noqa: PLR2004
                await session.rollback()
    except _BAD_INPUT:
        return _invalid_request()
    return response


def _work(session: Session, runtime: Runtime, request: _Request, endpoint: str) -> Response:
    work = _Work(session, runtime.clock(), issuer(runtime.settings))
    mark = _WORK.set(work)
    try:
        if endpoint == "token":
            response = _SERVER.create_token_response(request)
        else:
            name = {"introspect": "introspection", "revoke": "revocation"}[endpoint]
            response = _SERVER.create_endpoint_response(name, request)
        session.flush()
    finally:
        _WORK.reset(mark)
    made: Response = response
    return made


def _read_form(request: Request, body: bytes) -> dict[str, str]:
    """The form's fields, each once. `ValueError` for everything RFC 6749 does not allow."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        message = "not a form"
        raise ValueError(message)
    pairs = parse_qsl(
        body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
    )
    form = dict(pairs)
    nul = any("\0" in part for pair in pairs for part in pair)
    two_ways = "client_assertion" in form and "authorization" in request.headers
    if len(form) != len(pairs) or nul or two_ways:
        message = "repeated parameter, NUL, or two ways of client authentication"
        raise ValueError(message)
    # A parameter without a value counts as not sent (RFC 6749, 3.2).
    return {name: value for name, value in pairs if value}


def _invalid_request() -> Response:
    error = InvalidRequestError(description="The request is malformed.")
    return JSONResponse(dict(error.get_body()), 400, NO_STORE)


def metadata(base_url: str) -> dict[str, Any]:
    """RFC 8414: what this server offers."""
    return {
        "issuer": base_url,
        "token_endpoint": f"{base_url}/oauth/token",
        "introspection_endpoint": f"{base_url}/oauth/introspect",
        "revocation_endpoint": f"{base_url}/oauth/revoke",
        "jwks_uri": f"{base_url}/oauth/jwks.json",
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "scopes_supported": sorted({*COMPANY_SCOPES, *AGENCY_SCOPES}),
        **{
            f"{name}_endpoint_auth_{what}": value
            for name in ("token", "introspection", "revocation")
            for what, value in (
                ("methods_supported", AUTH_METHODS),
                ("signing_alg_values_supported", ASSERTION_ALGORITHMS),
            )
        },
        "service_documentation": f"{base_url}/docs",
    }
