"""Every table of the house, imported so that the metadata is complete."""

from sqlmodel import SQLModel

from domain import (
    adjustment,
    agency,
    agreement,
    application,
    attribution,
    caller,
    candidate,
    checkpoint,
    company,
    consent,
    credits,  # noqa: A004 - the glossary's word
    deadline,
    delivery,
    dispute,
    duty,
    imports,
    instance,
    invitation,
    notice,
    placement,
    relay,
    statement,
    vendor,
    webhook,
)

MODULES = (
    adjustment, agency, agreement, application, attribution, caller, candidate, checkpoint,
    company, consent, credits, deadline, delivery, dispute, duty, imports, instance, invitation,
    notice, placement, relay, statement, vendor, webhook,
)  # fmt: skip
METADATA = SQLModel.metadata
