"""One module per applicant tracking system. A new one: the module, its fixtures, a line here."""

from types import ModuleType
from typing import cast

from domain.ports import AtsAdapter
from integrations.ats import greenhouse, standard_webhooks

_MODULES: tuple[ModuleType, ...] = (greenhouse, standard_webhooks)

ADAPTERS: dict[str, AtsAdapter] = {
    module.PROVIDER: cast("AtsAdapter", module) for module in _MODULES
}
