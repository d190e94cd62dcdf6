"""Requests at a company's public link end on their day, and are removed a month later."""

from api.timers import timer
from domain.flows.ways_in.join import look_at_join

timer(
    "join_request.look_at",
    table="join_request",
    column="look_at",
    where="look_at IS NOT NULL",
    act=look_at_join,
    steps=False,
)
