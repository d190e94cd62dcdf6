"""The demo's clock: it moves forward when told, stopping wherever something is due on the way."""

import asyncio
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from api import jobs, timers
from api.demo import facts
from api.runtime import Runtime

_FACT = "demo_clock_offset_seconds"
_LONG = timedelta(days=2)
_IDLE_SECONDS = 20.0


async def load(runtime: Runtime) -> None:
    """Set the clock as the last run left it: starting again continues with the same time."""
    kept = await facts.read(runtime, _FACT)
    if kept is not None:
        runtime.clock.offset = timedelta(seconds=float(kept))


async def begin_earlier(runtime: Runtime, session: AsyncSession, by: timedelta) -> None:
    """Let the demo's time begin in the past: noted here, in force with the next `load`."""
    offset = runtime.clock.offset - by
    await facts.note(session, _FACT, str(offset.total_seconds()))


async def advance(
    runtime: Runtime, target: datetime, lock: asyncio.Lock, *, on_the_way: bool = False
) -> None:
    """Move to `target`, letting every timer act at its own time on the way, as in real life.

    On a long way timers within the same hour act together: six months stay a matter of seconds.
    `on_the_way`: the target is only a stop, and what nobody waits for is left for later.
    """
    async with lock:
        stride = timedelta(hours=1) if target - runtime.clock() > _LONG else timedelta(minutes=1)
        runtime.clock.on_the_way = True
        try:
            while (due := await timers.next_due(runtime)) is not None and due <= target:
                await _stand_at(runtime, min(target, max(due, runtime.clock() + stride)))
                if runtime.clock() >= target:
                    break
        finally:
            runtime.clock.on_the_way = on_the_way
        await _stand_at(runtime, target)


async def _stand_at(runtime: Runtime, moment: datetime) -> None:
    ahead = max(moment - runtime.clock(), timedelta())
    # Noted first: were we killed in between, nothing has yet happened at a time to come.
    await facts.keep(runtime, _FACT, str((runtime.clock.offset + ahead).total_seconds()))
    runtime.clock.offset += ahead
    await timers.sweep(runtime, runtime.clock())
    await settle(runtime)


async def settle(runtime: Runtime, seconds: float = _IDLE_SECONDS) -> None:
    """Wait until the worker has nothing left to do (or the time is up)."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        async with runtime.database.transaction() as session:
            if await jobs.waiting(session) == 0:
                return
        await asyncio.sleep(0.01)
