"""Files that come in by a form: kept in memory until they are sealed, never in a file of ours."""

from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartParser

from domain.ports import Masked

_LONGEST_NAME = 200


@dataclass(frozen=True, repr=False)
class Upload(Masked):
    """What somebody chose in a form's file field: its name as the browser says it, its bytes."""

    name: str
    content: bytes


def stay_in_memory() -> None:
    """Forms are parsed without temporary files: those would be somebody's data in the clear.

    The framework writes what is larger than 1 MiB into the directory for temporary files; 0 means
    never. The doorway's limits (`api.middleware`) say how much memory one request may take.
    """
    MultiPartParser.spool_max_size = 0


async def chosen(request: Request, field: str, most: int) -> Upload | None:
    """The file of a form's field, cut off behind `most` bytes and one; null without a file."""
    given = (await request.form()).get(field)
    if not isinstance(given, UploadFile) or not given.filename:
        return None
    name = given.filename.replace("\x00", "")[-_LONGEST_NAME:]
    return Upload(name, await given.read(most + 1))
