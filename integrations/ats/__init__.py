"""One module per applicant tracking system. A new one: the module, its fixtures, a line here.

`ADAPTERS` understand what a vendor sends, `APIS` ask it. A vendor may have either or both, in one
module or, where that would be a long one, with its API in `<vendor>_api`.
"""

from types import ModuleType
from typing import cast

from domain.ports import AtsAdapter, AtsApi
from integrations.ats import greenhouse, standard_webhooks

_WEBHOOKS: tuple[ModuleType, ...] = (greenhouse, standard_webhooks)
_APIS: tuple[ModuleType, ...] = ()

ADAPTERS: dict[str, AtsAdapter] = {
    module.PROVIDER: cast("AtsAdapter", module) for module in _WEBHOOKS
}
APIS: dict[str, AtsApi] = {module.PROVIDER: cast("AtsApi", module) for module in _APIS}
