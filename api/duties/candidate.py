"""Consents end on their day."""

from api.timers import timer
from domain.flows.withdraw_consent import expire

timer(
    "consent.expires_at",
    table="consent",
    column="expires_at",
    where="state = 'given'",
    act=expire,
)
