"""Every table of the house, imported so that the metadata is complete."""

from sqlmodel import SQLModel

from domain import (
    access_proof,
    adjustment,
    agency,
    agreement,
    application,
    attribution,
    caller,
    candidate,
    candidate_file,
    checkpoint,
    company,
    consent,
    credits,  # noqa: A004 - the glossary's word
    deadline,
    delivery,
    dispute,
    duty,
    erasure,
    feedback_request,
    guardian,
    imports,
    incident,
    instance,
    invitation,
    join_request,
    notice,
    placement,
    privacy,
    reflection,
    relay,
    rights_request,
    statement,
    vendor,
    webhook,
)

MODULES = (
    access_proof, adjustment, agency, agreement, application, attribution, caller, candidate,
    candidate_file, checkpoint, company, consent, credits, deadline, delivery, dispute, duty,
    erasure, feedback_request, guardian, imports, incident, instance, invitation, join_request,
    notice, placement, privacy, reflection, relay, rights_request, statement, vendor, webhook,
)  # fmt: skip
METADATA = SQLModel.metadata
