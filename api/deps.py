"""What routes ask for: a transaction, the time, the caller. The only place that reads the clock."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from api.runtime import Runtime
from domain.ports import Tools


def runtime(request: Request) -> Runtime:
    """The process's parts."""
    found: Runtime = request.app.state.runtime
    return found


def now(request: Request) -> datetime:
    """The moment of this request, in UTC."""
    return runtime(request).clock()


def tools(request: Request) -> Tools:
    """Sealer, holidays, texts, adapters."""
    return runtime(request).tools


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    async with runtime(request).database.transaction() as session:
        yield session


Process = Annotated[Runtime, Depends(runtime)]
Now = Annotated[datetime, Depends(now)]
Kit = Annotated[Tools, Depends(tools)]
Db = Annotated[AsyncSession, Depends(_session, scope="function")]
"""One transaction per request, committed before the response leaves: hence the scope."""
