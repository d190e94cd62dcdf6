"""One module per applicant tracking system. A new one: the module, its fixtures, a line here.

`ADAPTERS` understand what a vendor sends, `APIS` ask it. A vendor may have either or both, in one
module or, where that would be a long one, with its API in `<vendor>_api`.
"""

from types import ModuleType
from typing import cast

from domain.ports import AtsAdapter, AtsApi
from integrations.ats import (
    ashby,
    ashby_api,
    bullhorn_api,
    cloudevents,
    greenhouse,
    greenhouse_api,
    herp_hire,
    icims,
    icims_api,
    lever,
    lever_api,
    merge,
    merge_api,
    recruitee,
    recruitee_api,
    smartrecruiters,
    smartrecruiters_api,
    standard_webhooks,
    talentio,
    teamtailor,
    teamtailor_api,
    workable,
    workable_api,
    zoho_recruit,
    zoho_recruit_api,
)

_WEBHOOKS: tuple[ModuleType, ...] = (
    ashby,
    cloudevents,
    greenhouse,
    icims,
    lever,
    merge,
    recruitee,
    smartrecruiters,
    standard_webhooks,
    teamtailor,
    workable,
    zoho_recruit,
)
_APIS: tuple[ModuleType, ...] = (
    ashby_api,
    bullhorn_api,
    greenhouse_api,
    herp_hire,
    icims_api,
    lever_api,
    merge_api,
    recruitee_api,
    smartrecruiters_api,
    talentio,
    teamtailor_api,
    workable_api,
    zoho_recruit_api,
)

ADAPTERS: dict[str, AtsAdapter] = {
    module.PROVIDER: cast("AtsAdapter", module) for module in _WEBHOOKS
}
APIS: dict[str, AtsApi] = {module.PROVIDER: cast("AtsApi", module) for module in _APIS}
