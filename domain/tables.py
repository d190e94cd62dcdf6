"""Every table of the house, imported so that the metadata is complete."""

from sqlmodel import SQLModel

from domain import (
    agency,
    application,
    caller,
    candidate,
    company,
    consent,
    credits,  # noqa: A004 - the glossary's word
    deadline,
    delivery,
    imports,
    instance,
    invitation,
    notice,
    relay,
    vendor,
    webhook,
)

MODULES = (
    agency, application, caller, candidate, company, consent, credits, deadline, delivery, imports,
    instance, invitation, notice, relay, vendor, webhook,
)  # fmt: skip
METADATA = SQLModel.metadata
