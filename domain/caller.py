"""Who comes through a door: OAuth2 clients of companies and agencies, and people who sign in."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, document, instant, one_of

COMPANY_SCOPES = (
    "applications:read", "applications:write", "ats:read", "ats:write", "ats:deliver",
    "relays:read", "credits:read", "credits:write", "metrics:read",
)  # fmt: skip
AGENCY_SCOPES = (
    "feed:read", "relays:read", "relays:write", "webhooks:read", "webhooks:write", "credits:read",
    "credits:write",
)  # fmt: skip
ROLES = (
    "recruiter", "head", "privacy_officer", "feedback_approver", "admin", "consultant",
    "integrator",
)  # fmt: skip
LINK_LIFE = timedelta(minutes=15)
MOST_LINKS_AN_HOUR = 20
MOST_WRONG_CODES = 5
"""Per link. A code has six digits; more guesses than `MOST_WRONG_CODES_A_DAY` for one person, over
all links of a day, and only the link itself still works."""
MOST_WRONG_CODES_A_DAY = 10
SESSION_IDLE = timedelta(hours=12)
SESSION_LIFE = timedelta(days=14)
SEEN_EVERY = timedelta(minutes=5)
"""A session's last use is noted this often: often enough for `SESSION_IDLE`, rarely enough to cost
nothing."""
OWNER = "(company_id IS NULL) <> (agency_id IS NULL)"


class OAuthClient(Row, table=True):
    """A program of a company or an agency. Secrets are stored as SHA-256; two may be valid."""

    __tablename__ = "oauth_client"
    __table_args__ = (CheckConstraint(OWNER, name="one_owner"),)

    id: str = Field(primary_key=True)
    company_id: str | None = Field(default=None, foreign_key="company.id", index=True)
    agency_id: str | None = Field(default=None, foreign_key="agency.id", index=True)
    name: str
    secret_hashes: list[str] = document(default_factory=list)
    jwks: dict[str, Any] | None = document(default=None)
    scopes: list[str] = document(default_factory=list)
    enabled: bool = True
    created_at: datetime = instant()


class OAuthToken(Row, table=True):
    """An access token by its `jti`: revocation and introspection need a row."""

    __tablename__ = "oauth_token"
    __table_args__ = (Index("ix_oauth_token_expires_at", "expires_at"),)

    jti: str = Field(primary_key=True)
    client_id: str = Field(foreign_key="oauth_client.id")
    scope: str
    issued_at: datetime = instant()
    expires_at: datetime = instant()
    revoked_at: datetime | None = instant(default=None)


class OAuthAssertion(Row, table=True):
    """A client assertion that was used: each `jti` once (RFC 7523)."""

    __tablename__ = "oauth_assertion"
    __table_args__ = (Index("ix_oauth_assertion_expires_at", "expires_at"),)

    client_id: str = Field(primary_key=True, foreign_key="oauth_client.id")
    jti: str = Field(primary_key=True)
    expires_at: datetime = instant()


class Member(Row, table=True):
    """A person who signs in for a company or an agency. The address is sealed and hashed."""

    __tablename__ = "member"
    __table_args__ = (
        CheckConstraint(OWNER, name="one_owner"),
        Index("ix_member_company_id", "company_id"),
        Index("ix_member_agency_id", "agency_id"),
        Index("uq_member_email_hmac", "email_hmac", unique=True),
    )

    id: str = Field(primary_key=True)
    company_id: str | None = Field(default=None, foreign_key="company.id")
    agency_id: str | None = Field(default=None, foreign_key="agency.id")
    sealed: bytes
    email_hmac: bytes
    roles: list[str] = document(default_factory=list)
    locale: str = "ja"
    enabled: bool = True
    created_at: datetime = instant()


class SignInLink(Row, table=True):
    """A single-use way in: the claim link of the first run, or a magic link by mail."""

    __tablename__ = "sign_in_link"
    __table_args__ = (
        one_of("kind", ("claim", "magic")),
        Index("uq_sign_in_link_token_hash", "token_hash", unique=True),
        Index("ix_sign_in_link_member_id", "member_id", "created_at"),
        Index("ix_sign_in_link_expires_at", "expires_at"),
    )

    id: str = Field(primary_key=True)
    member_id: str = Field(foreign_key="member.id")
    kind: str
    token_hash: bytes
    browser_hash: bytes | None = None
    code_hash: bytes | None = None
    tries: int = 0
    expires_at: datetime = instant()
    used_at: datetime | None = instant(default=None)
    created_at: datetime = instant()

    def open_at(self, now: datetime) -> bool:
        """Whether it still lets somebody in."""
        return self.used_at is None and now < self.expires_at


class LoginSession(Row, table=True):
    """A signed-in browser: a random cookie, its hash here; idle and absolute expiry; revocable."""

    __tablename__ = "login_session"
    __table_args__ = (
        Index("ix_login_session_member_id", "member_id"),
        Index("ix_login_session_expires_at", "expires_at"),
    )

    token_hash: bytes = Field(primary_key=True)
    member_id: str = Field(foreign_key="member.id")
    csrf: str
    created_at: datetime = instant()
    seen_at: datetime = instant()
    expires_at: datetime = instant()
    revoked_at: datetime | None = instant(default=None)

    def alive_at(self, now: datetime) -> bool:
        """Whether the browser is still signed in: not signed out, not idle, not too old."""
        idle = now - self.seen_at >= SESSION_IDLE
        return self.revoked_at is None and not idle and now < self.expires_at


class Idempotency(Row, table=True):
    """A POST that was carried out: the same key and body get the same answer again."""

    __tablename__ = "idempotency"
    __table_args__ = (
        ForeignKeyConstraint(["client_id"], ["oauth_client.id"]),
        Index("ix_idempotency_created_at", "created_at"),
    )

    client_id: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    request_sha256: str
    status: int
    answer: bytes
    created_at: datetime = instant()
