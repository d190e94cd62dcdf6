"""The engine and the two ways to open a transaction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from domain.access import as_agency, as_company

_SERVER_SETTINGS = {
    "application_name": "career-relay",
    "lock_timeout": "5000",
    "statement_timeout": "30000",
    "idle_in_transaction_session_timeout": "30000",
    "timezone": "UTC",
}


class Database:
    """The app role's connections. Nothing in the product connects as the owner at run time."""

    def __init__(self, url: URL, *, pool_size: int = 20) -> None:
        self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._size = pool_size
        self._bare: Any = None
        self._opening = asyncio.Lock()
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=20,
            connect_args={"server_settings": _SERVER_SETTINGS},
        )

    @asynccontextmanager
    async def transaction(
        self, *, company_id: str | None = None, agency_id: str | None = None
    ) -> AsyncIterator[AsyncSession]:
        """One transaction, committed at the end, for one tenant if named; else it sees nothing."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
            if company_id is not None:
                await as_company(session, company_id)
            elif agency_id is not None:
                await as_agency(session, agency_id)
            yield session

    async def run(self, statement: str, *values: Any) -> Any:
        """One statement as a transaction of its own, straight on the driver: the hot path's way.

        Its value comes back. Nothing is left on the connection, so nothing is reset behind it.
        """
        pool = self._bare or await self._open_bare()
        return await pool.fetchval(statement, *values)

    async def _open_bare(self) -> Any:
        async with self._opening:
            if self._bare is None:
                self._bare = await asyncpg.create_pool(
                    self._dsn, min_size=0, max_size=self._size, reset=_nothing,
                    server_settings=_SERVER_SETTINGS,
                )  # fmt: skip
        return self._bare

    async def close(self) -> None:
        """Give every connection back."""
        if self._bare is not None:
            await self._bare.close()
        await self.engine.dispose()


async def _nothing(_: Any) -> None:
    """Single statements leave no transaction, lock or setting behind."""
