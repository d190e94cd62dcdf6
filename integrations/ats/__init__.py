"""One module per applicant tracking system. A new one: the module, its fixtures, a line here."""

from domain.ports import AtsAdapter

ADAPTERS: dict[str, AtsAdapter] = {}
