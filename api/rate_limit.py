"""How often a caller may ask: a steady rate with room for a burst, told before it is reached.

The generic cell rate algorithm: one number per caller says until when its past requests have
"used up" time. No window edges at which twice the limit slips through, no sweep, no thread. Counted
per process and by a monotonic clock; several processes allow several times as much.
Announced as the Internet-Draft httpapi-ratelimit-headers-11 has it.
"""

import math
import time
from collections import OrderedDict
from dataclasses import dataclass

_WINDOW_SECONDS = 60
_MOST_CALLERS = 10_000


@dataclass(frozen=True)
class Allowance:
    """What a caller is told: may it go on, how much is left, when is all of it back."""

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: int
    retry_seconds: int

    def headers(self) -> dict[str, str]:
        """The announcement, and `Retry-After` when there is something to wait for."""
        told = {
            "ratelimit-policy": f'"default";q={self.limit};w={_WINDOW_SECONDS}',
            "ratelimit": f'"default";r={self.remaining};t={self.reset_seconds}',
        }
        return told if self.allowed else {**told, "retry-after": str(self.retry_seconds)}


class RateLimiter:
    """`limit` requests a minute for each name. The least recent names are forgotten first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._gap = _WINDOW_SECONDS / limit
        self._used_until: OrderedDict[str, float] = OrderedDict()

    def ask(self, name: str, moment: float | None = None) -> Allowance:
        """Count one request. `moment` is in seconds of any steady clock."""
        at = time.monotonic() if moment is None else moment
        used = max(self._used_until.pop(name, at), at) + self._gap
        allowed = used - at <= _WINDOW_SECONDS + self._gap / 2
        self._used_until[name] = used if allowed else used - self._gap
        while len(self._used_until) > _MOST_CALLERS:
            self._used_until.popitem(last=False)
        return self._told(allowed, self._used_until[name] - at)

    def _told(self, allowed: bool, busy: float) -> Allowance:  # noqa: FBT001
        return Allowance(
            allowed=allowed,
            limit=self._limit,
            remaining=max(0, int((_WINDOW_SECONDS - busy) / self._gap + 1e-9)) if allowed else 0,
            reset_seconds=math.ceil(busy),
            retry_seconds=max(1, math.ceil(busy + self._gap - _WINDOW_SECONDS)),
        )
