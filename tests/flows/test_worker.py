"""A worker that is told to end: what is in hand is finished, what takes too long is not lost."""

import asyncio

import pytest
from sqlalchemy import text

from api import jobs
from api.worker import Worker
from domain.jobs import later

pytestmark = pytest.mark.anyio


async def _in_hand(runtime, seconds, monkeypatch):
    """A worker with one job in hand that takes so long; what has been done."""
    begun, finished = asyncio.Event(), []

    async def slow(_, ids):
        begun.set()
        await asyncio.sleep(seconds)
        finished.append(ids)

    monkeypatch.setitem(jobs.DUTIES, "test.slow", jobs.Duty(slow, jobs.Lane.OURS))
    async with runtime.database.transaction() as session:
        await later(session, "test.slow", "cmp_1", "row_1")
    worker = Worker(runtime, patience_seconds=1)
    running = asyncio.create_task(worker.run())
    await asyncio.wait_for(begun.wait(), 10)
    worker.stop()
    await asyncio.wait_for(running, 10)
    return finished


async def _queue(runtime):
    async with runtime.database.transaction() as session:
        # The ledger's watch asks for jobs of its own on a worker's first round.
        mine = text("SELECT status FROM pgq.pgqueuer WHERE entrypoint NOT LIKE 'ledger.%'")
        return (await session.execute(mine)).scalars().all()


async def test_a_job_in_hand_is_finished_before_the_worker_ends(runtime, monkeypatch):
    finished = await _in_hand(runtime, 0.3, monkeypatch)

    assert finished == [["cmp_1", "row_1"]]
    assert await _queue(runtime) == []


async def test_a_job_that_is_cut_off_stays_for_the_next_worker(runtime, monkeypatch):
    finished = await _in_hand(runtime, 60, monkeypatch)

    assert finished == []
    assert await _queue(runtime) == ["picked"]


async def test_who_does_not_answer_keeps_only_their_own_jobs_waiting(runtime, monkeypatch):
    begun, answered, done = asyncio.Semaphore(0), asyncio.Event(), asyncio.Event()

    async def unanswered(_, ids):  # noqa: ARG001 - as every handler
        begun.release()
        await answered.wait()

    async def mail(_, ids):  # noqa: ARG001 - as every handler
        done.set()

    monkeypatch.setitem(jobs.DUTIES, "test.ask", jobs.Duty(unanswered, jobs.Lane.VENDORS))
    monkeypatch.setitem(jobs.DUTIES, "test.mail", jobs.Duty(mail, jobs.Lane.MAIL))
    most = max(2 * runtime.settings.worker_batch, runtime.settings.pool_size)
    async with runtime.database.transaction() as session:
        for number in range(most + 5):
            await later(session, "test.ask", "cmp_1", f"row_{number}")
        await later(session, "test.mail", "cmp_1", "row_1")
    worker = Worker(runtime, patience_seconds=5)
    running = asyncio.create_task(worker.run())
    await asyncio.wait_for(done.wait(), 10)
    for _ in range(most):
        await asyncio.wait_for(begun.acquire(), 10)
    waiting = (await _queue(runtime)).count("queued")
    worker.stop()
    answered.set()
    await asyncio.wait_for(running, 10)

    assert waiting == 5
