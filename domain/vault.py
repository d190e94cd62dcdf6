"""A person's data under two keys: `profile` (erasable at once) and `record` (the legal clock)."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from domain.candidate import KEY_KINDS, Candidate, SubjectKey
from domain.errors import Gone
from domain.ports import Sealer


async def make_keys(session: AsyncSession, sealer: Sealer, candidate: Candidate) -> None:
    """Give a new candidate both data keys. The candidate row must have been flushed."""
    for kind in KEY_KINDS:
        session.add(
            SubjectKey(
                company_id=candidate.company_id,
                candidate_id=candidate.id,
                kind=kind,
                wrapped=sealer.new_key(about="data-key"),
            )
        )
    await session.flush()


async def seal(
    session: AsyncSession,
    sealer: Sealer,
    candidate: Candidate,
    kind: str,
    value: Any,
    *,
    about: str,
) -> bytes:
    """Seal a JSON value under one of the person's keys. `about` says where it will lie."""
    plain = json.dumps(value, ensure_ascii=False).encode()
    return await seal_bytes(session, sealer, candidate, kind, plain, about=about)


async def unseal(
    session: AsyncSession,
    sealer: Sealer,
    candidate: Candidate,
    kind: str,
    sealed: bytes,
    *,
    about: str,
) -> Any:
    """Open what `seal` closed. After erasure it cannot be opened: `Gone`."""
    return json.loads(await unseal_bytes(session, sealer, candidate, kind, sealed, about=about))


async def seal_bytes(
    session: AsyncSession,
    sealer: Sealer,
    candidate: Candidate,
    kind: str,
    plain: bytes,
    *,
    about: str,
) -> bytes:
    """Seal bytes as they are (a file) under one of the person's keys."""
    key = await _key(session, candidate, kind)
    return sealer.seal(plain, about=f"{candidate.id}:{about}", key=_wrapped(key))


async def unseal_bytes(
    session: AsyncSession,
    sealer: Sealer,
    candidate: Candidate,
    kind: str,
    sealed: bytes,
    *,
    about: str,
) -> bytes:
    """Open what `seal_bytes` closed. After erasure it cannot be opened: `Gone`."""
    key = await _key(session, candidate, kind)
    return sealer.open(sealed, about=f"{candidate.id}:{about}", key=_wrapped(key))


async def blind(
    session: AsyncSession, sealer: Sealer, candidate: Candidate, kind: str, value: str, *, what: str
) -> str:
    """A keyed hash (hex) under one of the person's keys: with the key, it is nobody's any more."""
    key = await _key(session, candidate, kind)
    return sealer.blind(what, value, key=_wrapped(key)).hex()


async def open_each(
    session: AsyncSession,
    sealer: Sealer,
    company_id: str,
    sealed: Sequence[tuple[str, bytes, str]],
    kind: str = "profile",
) -> list[Any]:
    """Open many values under keys of one kind with one look-up; null where the key is destroyed.

    Each is (candidate's id, sealed bytes, `about`), as `seal` was given them.
    """
    wanted = select(SubjectKey).where(
        col(SubjectKey.company_id) == company_id,
        col(SubjectKey.kind) == kind,
        col(SubjectKey.candidate_id).in_({one[0] for one in sealed}),
    )
    keys = {key.candidate_id: key.wrapped for key in (await session.scalars(wanted)).all()}
    return [
        json.loads(sealer.open(value, about=f"{owner}:{about}", key=key))
        if (key := keys.get(owner)) is not None
        else None
        for owner, value, about in sealed
    ]


async def profile_of(session: AsyncSession, sealer: Sealer, candidate: Candidate) -> dict[str, Any]:
    """The candidate's profile: names, e-mail, phone, wishes; empty after erasure."""
    if candidate.profile is None or candidate.erased_at is not None:
        return {}
    opened: dict[str, Any] = await unseal(
        session, sealer, candidate, "profile", candidate.profile, about="profile"
    )
    return opened


async def set_profile(
    session: AsyncSession, sealer: Sealer, candidate: Candidate, profile: dict[str, Any]
) -> None:
    """Seal the profile and keep its look-up hashes in step."""
    candidate.profile = await seal(session, sealer, candidate, "profile", profile, about="profile")
    email, phone = profile.get("email"), profile.get("phone")
    kana = f"{profile.get('family_name_kana') or ''}{profile.get('given_name_kana') or ''}"
    birth = profile.get("birth_date") or ""
    candidate.email_hmac = sealer.blind("email", email.strip().lower()) if email else None
    candidate.phone_hmac = sealer.blind("phone", phone) if phone else None
    candidate.kana_birth_hmac = sealer.blind("kana+birth", kana + birth) if kana and birth else None
    session.add(candidate)


async def destroy(session: AsyncSession, candidate: Candidate, kind: str, now: datetime) -> None:
    """Destroy one key of a person: everything under it is unreadable from this commit on."""
    key = await _key(session, candidate, kind)
    if key is not None and key.wrapped is not None:
        key.wrapped, key.destroyed_at = None, now
        session.add(key)


def remember(session: AsyncSession, key: SubjectKey | None) -> None:
    """A key that was read together with its person need not be looked up again."""
    if key is not None:
        _kept(session)[key.company_id, key.candidate_id, key.kind] = key


def look_again(session: AsyncSession) -> None:
    """Once a person is locked their keys are read anew: they may have been destroyed meanwhile."""
    _kept(session).clear()


async def _key(session: AsyncSession, candidate: Candidate, kind: str) -> SubjectKey | None:
    """Looked up once in a transaction, however much of the person it seals and opens."""
    kept, place = _kept(session), (candidate.company_id, candidate.id, kind)
    if place not in kept:
        found = await session.get(SubjectKey, place, populate_existing=True)
        if found is None:
            return None
        kept[place] = found
    return kept[place]


def _kept(session: AsyncSession) -> dict[tuple[str, str, str], SubjectKey]:
    kept: dict[tuple[str, str, str], SubjectKey] = session.info.setdefault("subject_keys", {})
    return kept


def _wrapped(key: SubjectKey | None) -> bytes:
    if key is None or key.wrapped is None:
        detail = "the person's data was erased"
        raise Gone(detail, code="data_erased")
    return key.wrapped
