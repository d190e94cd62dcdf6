"""Dates that take effect on placements, credits and reservations. All look at midnight in Japan."""

from api.timers import timer
from domain.flows import settle_credits

timer(
    "placement.guarantee",
    table="placement",
    column="look_at",
    where="look_at IS NOT NULL",
    act=settle_credits.settle_guarantee,
)
timer(
    "credit.dates",
    table="credit",
    column="look_at",
    where="look_at IS NOT NULL",
    act=settle_credits.look_at_credit,
)
timer(
    "reservation.hold",
    table="reservation",
    column="look_at",
    where="look_at IS NOT NULL",
    act=settle_credits.end_hold,
)
