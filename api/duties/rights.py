"""Requests of persons have a clock: HR is reminded before it ends, and every day after."""

from api.timers import timer
from domain.flows.person.open_rights_request import watch_request

timer(
    "rights_request.look_at",
    table="rights_request",
    column="look_at",
    where="look_at IS NOT NULL",
    act=watch_request,
    # It says again what stands in the queue: the demo's clock need not stop there every day.
    steps=False,
)
