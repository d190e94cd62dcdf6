"""The clock at the door. Nobody below `api/` reads one; the demo's can be moved forward."""

from datetime import UTC, datetime, timedelta


class Clock:
    """Wall time plus an offset. The offset is zero everywhere but in the demo and in tests."""

    def __init__(self, offset: timedelta = timedelta()) -> None:
        self.offset = offset
        self.on_the_way = False
        """The demo moves: what nobody waits for is left until it has arrived."""

    def __call__(self) -> datetime:
        """The present moment in UTC."""
        return datetime.now(UTC) + self.offset  # noqa: TID251 - the one place that reads the clock

    def move_to(self, moment: datetime) -> None:
        """Let the clock stand at a later moment; it never goes back."""
        ahead = moment - self()
        if ahead > timedelta():
            self.offset += ahead
