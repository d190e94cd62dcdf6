"""Programs at the API's doors: bearer tokens, whom they speak for, what they may do.

A token is a JWT (RFC 9068), signed by us and checked here again: signature, type, issuer,
audience, time by our own clock, then the row behind its `jti` (revoked? client enabled?).
"""

import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request, Response, Security
from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlows
from fastapi.routing import APIRoute
from fastapi.security import OAuth2, SecurityScopes
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from api.deps import Db, Now, Process
from api.rate_limit import RateLimiter
from api.runtime import Runtime
from api.settings import Settings
from domain.access import as_agency, as_company
from domain.caller import AGENCY_SCOPES, COMPANY_SCOPES, OAuthClient, OAuthToken

TOKEN_LIFE = timedelta(minutes=15)
ALGORITHM = "ES256"
_SKEW_SECONDS = 5  # between the clocks of several API machines
_TYPES = ("at+jwt", "application/at+jwt")
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----", re.DOTALL)
_MEANING = {
    "applications:read": "Read applications, deadlines and notices",
    "applications:write": "Report applications, interviews and decisions",
    "ats:read": "Read ATS connections and their deliveries",
    "ats:write": "Connect an ATS, replay deliveries",
    "ats:deliver": "Deliver events of an ATS that presents our access token (iCIMS)",
    "relays:read": "Read relays (and, for agencies, their packages)",
    "relays:write": "Answer relays, report placements, acknowledge withdrawals",
    "credits:read": "Read referral credits and the entries behind them",
    "credits:write": "Reserve, use and release referral credits",
    "metrics:read": "Read the numbers of the dashboard",
    "feed:read": "Read the change feed",
    "webhooks:read": "Read webhook endpoints and their deliveries",
    "webhooks:write": "Manage webhook endpoints",
}


@dataclass(frozen=True)
class Caller:
    """The program that asks, and the company or the agency it asks for."""

    client_id: str
    company_id: str | None
    agency_id: str | None
    scopes: frozenset[str]
    name: str


class BadToken(Exception):  # noqa: N818
    """A bearer token we did not issue, or no longer stand by. The message is safe to show."""


class Issuer:
    """The keys that sign access tokens, under the name we publish them by."""

    def __init__(self, signing_key: str, old_keys: str, base_url: str) -> None:
        self.url = base_url
        self.key = _key(signing_key)
        published = [self.key, *(_key(pem) for pem in _PEM.findall(old_keys))]
        self.signing = KeySet([self.key])
        self.known = KeySet(list({key.kid: key for key in published}.values()))

    def jwks(self) -> dict[str, Any]:
        """The public keys: the present one and those that signed tokens still in use."""
        return dict(self.known.as_dict(private=False))

    def read(self, token: str, now: datetime) -> dict[str, Any]:
        """The claims of a token that is ours, meant for this API and in time. Else `BadToken`."""
        try:
            found = jwt.decode(token, self.known, algorithms=[ALGORITHM])
            if found.header.get("typ") not in _TYPES:
                message = "The token is not an access token"
                raise BadToken(message)
            _claims(self.url, now).validate(found.claims)
        except (JoseError, ValueError, TypeError, OverflowError, RecursionError):
            message = "The token is malformed, expired or not ours"
            raise BadToken(message) from None
        return found.claims


def _claims(url: str, now: datetime) -> jwt.JWTClaimsRegistry:
    return jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=_SKEW_SECONDS,
        iss={"essential": True, "value": url},
        aud={"essential": True, "value": url},
        exp={"essential": True},
        iat={"essential": True},
        jti={"essential": True},
        client_id={"essential": True},
    )


def _key(pem: str) -> ECKey:
    key = ECKey.import_key(pem, {"use": "sig", "alg": ALGORITHM})
    key.ensure_kid()
    return key


@lru_cache(maxsize=8)
def _issuer(signing_key: str, old_keys: str, base_url: str) -> Issuer:
    return Issuer(signing_key, old_keys, base_url)


def issuer(settings: Settings) -> Issuer:
    """The process's issuer; its keys are read once."""
    if settings.signing_key is None:
        message = "RELAY_SIGNING_KEY is not set: give an EC P-256 private key in PEM"
        raise SystemExit(message)
    old = settings.signing_keys_old.get_secret_value() if settings.signing_keys_old else ""
    return _issuer(settings.signing_key.get_secret_value(), old, settings.base_url)


def new_signing_key() -> str:
    """A fresh EC P-256 private key in PEM: what `RELAY_SIGNING_KEY` holds."""
    return ECKey.generate_key("P-256").as_pem(private=True).decode()


def _scheme(name: str, whose: str, scopes: tuple[str, ...]) -> OAuth2:
    flow = OAuthFlowClientCredentials(
        tokenUrl="/oauth/token", scopes={scope: _MEANING[scope] for scope in scopes}
    )
    return OAuth2(
        scheme_name=name,
        flows=OAuthFlows(clientCredentials=flow),
        description=f"A program of {whose}. Tokens live {TOKEN_LIFE.seconds // 60} minutes.",
        auto_error=False,
    )


_COMPANY = _scheme("company_client", "a company", COMPANY_SCOPES)
_AGENCY = _scheme("agency_client", "an agency", AGENCY_SCOPES)


@dataclass(frozen=True)
class _Entrance:
    """What is needed to recognise a caller."""

    request: Request
    db: AsyncSession
    process: Runtime
    now: datetime


async def _entrance(request: Request, db: Db, process: Process, now: Now) -> _Entrance:
    return _Entrance(request, db, process, now)


_Here = Annotated[_Entrance, Depends(_entrance)]


async def _company_caller(
    header: Annotated[str | None, Security(_COMPANY)], wanted: SecurityScopes, here: _Here
) -> Caller:
    caller = await _admit(here, header, wanted)
    if caller.company_id is None:
        raise _forbidden("This door is for programs of companies", wanted)
    return caller


async def _agency_caller(
    header: Annotated[str | None, Security(_AGENCY)], wanted: SecurityScopes, here: _Here
) -> Caller:
    caller = await _admit(here, header, wanted)
    if caller.agency_id is None:
        raise _forbidden("This door is for programs of agencies", wanted)
    return caller


def company(*scopes: str) -> Any:
    """A company's program with these scopes; the transaction works for the company from here on."""
    return Security(_company_caller, scopes=list(scopes))


def agency(*scopes: str) -> Any:
    """An agency's program with these scopes; the transaction works for the agency from here on."""
    return Security(_agency_caller, scopes=list(scopes))


async def _admit(here: _Entrance, header: str | None, wanted: SecurityScopes) -> Caller:
    try:
        caller = await recognise(here.db, here.process, _bearer(header), here.now)
    except BadToken as error:
        raise _unauthorized(str(error)) from None
    here.request.scope["relay.caller"] = caller
    _count(here.request, caller)
    if set(wanted.scopes) - caller.scopes:
        raise _forbidden("The token does not carry the scope this door asks for", wanted)
    return caller


class TokenFirst(APIRoute):
    """Routes that take large bodies: nobody without a token of ours makes us read one."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework reads bodies before it asks who sends them; here it asks first."""
        handler = super().get_route_handler()

        async def ask_first(request: Request) -> Response:
            runtime: Runtime = request.app.state.runtime
            token = _bearer(request.headers.get("authorization"))
            try:
                issuer(runtime.settings).read(token, runtime.clock())
            except BadToken as error:
                raise _unauthorized(str(error)) from None
            return await handler(request)

        return ask_first


def _count(request: Request, caller: Caller) -> None:
    state = request.app.state
    if not hasattr(state, "limiter"):
        state.limiter = RateLimiter(state.runtime.settings.rate_limit)
    allowance = state.limiter.ask(caller.client_id)
    request.scope["relay.headers"] = allowance.headers()
    if not allowance.allowed:
        raise HTTPException(429, headers=allowance.headers())


async def recognise(db: AsyncSession, process: Runtime, token: str, now: datetime) -> Caller:
    """Whom a bearer token speaks for; `BadToken` otherwise. Sets the transaction's tenant."""
    claims = issuer(process.settings).read(token, now)
    # Our own signature vouches for the tenant; the row behind the token must agree with it, since
    # it is looked up with only that tenant's rows in sight.
    if claims.get("company_id"):
        await as_company(db, claims["company_id"])
    else:
        await as_agency(db, claims.get("agency_id") or "")
    wanted = (
        select(OAuthToken, OAuthClient)
        .join(OAuthClient, col(OAuthClient.id) == col(OAuthToken.client_id))
        .where(col(OAuthToken.jti) == claims["jti"])
    )
    found = (await db.execute(wanted)).first()
    if found is None or found[0].revoked_at is not None or not found[1].enabled:
        message = "The token was revoked"
        raise BadToken(message)
    token_row, client = found
    return Caller(
        client_id=client.id,
        company_id=client.company_id,
        agency_id=client.agency_id,
        scopes=frozenset(token_row.scope.split()),
        name=client.name,
    )


def _bearer(header: str | None) -> str:
    scheme, _, token = (header or "").partition(" ")
    if not token or scheme.lower() != "bearer":
        raise _unauthorized(None)
    return token.strip()


def _unauthorized(why: str | None) -> HTTPException:
    challenge = 'Bearer realm="career-relay"'
    if why is not None:
        challenge += f', error="invalid_token", error_description="{why}"'
    code = "unauthorized" if why is None else "invalid_token"
    return HTTPException(
        401,
        why or "Present a bearer token from /oauth/token",
        {"www-authenticate": challenge, "x-problem-code": code},
    )


def _forbidden(why: str, wanted: SecurityScopes) -> HTTPException:
    challenge = (
        f'Bearer realm="career-relay", error="insufficient_scope", scope="{wanted.scope_str}"'
    )
    return HTTPException(
        403, why, {"www-authenticate": challenge, "x-problem-code": "insufficient_scope"}
    )


def caller_of(request: Request) -> Caller:
    """The program recognised earlier in this request."""
    found: Caller = request.scope["relay.caller"]
    return found
