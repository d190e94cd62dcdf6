"""What completes the ledger: attestations fall due, and people who agreed to it are asked."""

from api.timers import timer
from domain.flows.earn.attest import ask_for_attestation, miss_attestation
from domain.flows.relay.ask_candidate import ask_candidate

timer(
    "agreement.attest_at",
    table="agreement",
    column="attest_at",
    where="attest_at IS NOT NULL",
    act=ask_for_attestation,
)
timer(
    "attestation.look_at",
    table="attestation",
    column="look_at",
    where="look_at IS NOT NULL",
    act=miss_attestation,
)
timer(
    "placement_question.look_at",
    table="placement_question",
    column="look_at",
    where="look_at IS NOT NULL",
    act=ask_candidate,
)
