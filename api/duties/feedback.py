"""A request for feedback that nobody answered is said again, once."""

from api.timers import timer
from domain.flows.tell.ask_feedback import remind_of_feedback

timer(
    "feedback_request.look_at",
    table="feedback_request",
    column="look_at",
    where="look_at IS NOT NULL",
    act=remind_of_feedback,
)
