"""Agencies: the documents of a person who consented to them, by the link their package names."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from api.auth import Caller, agency
from api.deps import Db, Kit, Now
from api.errors import problems
from api.routes.agency_relays import RelayId
from api.routes.candidate_files import as_attachment
from domain.flows.relay.provide_file import provide_file
from domain.ids import pattern

router = APIRouter(prefix="/v1/agency", tags=["agency: relays"])

FileId = Annotated[str, Path(pattern=pattern("fil"))]
_LAST_SECOND = 253_402_300_799
"""The last one of the year 9999."""


@router.get(
    "/relays/{relay_id}/files/{file_id}",
    response_class=Response,
    responses={
        200: {
            "description": "The document: a PDF or a Word file, as the person sent it",
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        },
        **problems(401, 403, 404, 410, 422),
    },
)
async def read_file(
    *,
    relay_id: RelayId,
    file_id: FileId,
    expires: Annotated[int, Query(ge=0, le=_LAST_SECOND, description="As the package's link has")],
    sig: Annotated[str, Query(pattern=r"^[0-9a-f]{64}$", description="As the package's link has")],
    caller: Annotated[Caller, agency("relays:read")],
    db: Db,
    kit: Kit,
    now: Now,
) -> Response:
    """A document of the person. Follow the link in the package, with your token, within 15 minutes.

    Reading is a hand-over: it is recorded, and the person sees that you opened the document.
    `link_expired` (403): read the package again for a new link. 410: the person has taken the
    document or the consent back; delete what you hold.
    """
    file = await provide_file(
        db, kit, caller.agency_id or "", relay_id, file_id,
        expires=expires, sig=sig, client_id=caller.client_id, now=now,
    )  # fmt: skip
    return as_attachment(file)
