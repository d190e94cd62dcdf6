"""Senders: as fast as they are answered, at a constant rate, or all at once.

Latency is counted from the moment a delivery was meant to be sent, so that waiting behind a slow
one counts too (no coordinated omission).
"""

import asyncio
import itertools
import re
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

CONNECTIONS = 16
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_READY = 16
"""Connections open before the first delivery of an open load; more are opened when all are busy."""
_RUNS = itertools.count(secrets.randbelow(10**5) * 10**6, 10**5)
"""Where each run's numbers begin: no two deliveries of a measurement are the same."""

Request = Callable[[int], bytes]


@dataclass(frozen=True)
class Target:
    """Where to deliver, what (by number), and the status that says it was taken."""

    port: int
    request: Request
    accepted: int


def request_bytes(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A POST as it goes over the wire."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n{lines}\r\n"
    return head.encode() + body


class _Line:
    """One connection kept alive: one delivery at a time."""

    def __init__(self, target: Target) -> None:
        self._target = target

    async def open(self) -> "_Line":
        port = self._target.port
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        return self

    @property
    def closed(self) -> bool:
        """Whether the server has closed it: nobody keeps an idle connection for ever."""
        return self._reader.at_eof()

    async def send(self, request: bytes) -> None:
        """Deliver and wait for the answer; anything but the right one ends the measurement."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if b" %d " % self._target.accepted not in head[:16]:
            raise SystemExit(f"refused: {head[:200]!r}")
        length = _LENGTH.search(head)
        if length and int(length[1]):
            await self._reader.readexactly(int(length[1]))

    def close(self) -> None:
        self._writer.close()


async def _lines(target: Target, count: int) -> list[_Line]:
    return [await _Line(target).open() for _ in range(count)]


async def closed(target: Target, seconds: float) -> float:
    """Deliveries acknowledged per second by senders that each wait for their answer."""
    lines, numbers = await _lines(target, CONNECTIONS), itertools.count(next(_RUNS))
    begun = time.perf_counter()

    async def sender(line: _Line) -> int:
        done = 0
        while time.perf_counter() < begun + seconds:
            await line.send(target.request(next(numbers)))
            done += 1
        line.close()
        return done

    counts = await asyncio.gather(*map(sender, lines))
    return sum(counts) / (time.perf_counter() - begun)


async def steady(target: Target, seconds: float, rate: float) -> list[float]:
    """Latencies in seconds, sorted, of deliveries sent at a constant rate whatever the answers."""
    start, count = next(_RUNS), max(1, int(seconds * rate))
    requests = [target.request(start + n) for n in range(count)]
    lines, found = deque(await _lines(target, _READY)), list[float]()
    begun = time.perf_counter() + 0.05

    async def deliver(request: bytes, planned: float) -> None:
        line = lines.popleft() if lines else None  # in turn, so that none grows old
        if line is None or line.closed:
            line = await _Line(target).open()
        await line.send(request)
        found.append(time.perf_counter() - planned)
        lines.append(line)

    async with asyncio.TaskGroup() as tasks:
        for number, request in enumerate(requests):
            planned = begun + number / rate
            await asyncio.sleep(max(0.0, planned - time.perf_counter()))
            tasks.create_task(deliver(request, planned))
    for line in lines:
        line.close()
    return sorted(found)


async def burst(target: Target, count: int, connections: int = 100) -> list[float]:
    """Latencies in seconds, sorted, of deliveries that are all meant to be sent now."""
    start = next(_RUNS)
    waiting = iter([target.request(start + n) for n in range(count)])
    lines, found = await _lines(target, connections), list[float]()
    begun = time.perf_counter()

    async def sender(line: _Line) -> None:
        for request in waiting:
            await line.send(request)
            found.append(time.perf_counter() - begun)
        line.close()

    await asyncio.gather(*map(sender, lines))
    return sorted(found)


def at_quantile(latencies: list[float], share: float) -> float:
    """The latency that this share of the deliveries did not exceed."""
    return latencies[min(len(latencies) - 1, int(share * len(latencies)))]
