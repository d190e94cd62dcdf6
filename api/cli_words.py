"""What several commands are told in the same way."""

from datetime import datetime

import typer


def _moment(told: str) -> datetime:
    """A moment with its zone: without one, nobody knows which it is."""
    try:
        moment = datetime.fromisoformat(told)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        message = f"{told}: not like 2026-11-02T09:00:00+09:00"
        raise typer.BadParameter(message)
    return moment


MOMENT = typer.Option(parser=_moment, metavar="RFC3339")
