"""Dates that take effect on placements, credits, holds, disputes and agreements.

All look at midnight in Japan.
"""

from api.timers import TIMERS, Act, Timer, timer
from domain.flows.earn import settle_credits
from domain.flows.earn.attribute import forget_marks
from domain.flows.earn.dispute_credit import watch_dispute
from domain.flows.earn.end_agreement import end_agreement_now
from domain.flows.earn.report_placement import begin_start
from domain.flows.earn.warn_of_expiry import warn_of_expiry
from domain.flows.relay.watch_relay import miss_word


def _looks(name: str, table: str, act: Act) -> None:
    timer(name, table=table, column="look_at", where="look_at IS NOT NULL", act=act)


_looks("placement.look_at", "placement", begin_start)
_looks("credit.dates", "credit", settle_credits.look_at_credit)
_looks("reservation.hold", "reservation", settle_credits.end_hold)
_looks("expiry_notice.look_at", "expiry_notice", warn_of_expiry)
_looks("dispute.look_at", "dispute", watch_dispute)
_looks("agreement.look_at", "agreement", end_agreement_now)
_looks("relay.status", "relay", miss_word)

TIMERS.append(
    Timer(
        name="person_mark.owned_until",
        due_sql=(
            "SELECT DISTINCT company_id, relay_id AS id FROM person_mark WHERE owned_until <"
            " (CAST(:now AS timestamptz) AT TIME ZONE 'Asia/Tokyo')::date LIMIT 500"
        ),
        # Nobody waits for it: the demo's clock need not stop here.
        next_sql="SELECT CAST(NULL AS timestamptz)",
        steps=False,
        act=forget_marks,
    )
)
