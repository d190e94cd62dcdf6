"""`relay erasures`: what an operator does after a backup was restored."""

import asyncio

import typer
from rich.console import Console

from api import erasure_files, logs
from api.runtime import Runtime
from api.settings import Settings
from domain.views.feed import EPOCH_FACT, snapshot_start

group = typer.Typer(no_args_is_help=True, help="The log of erasures outside of the database.")
console = Console()


@group.callback()
def _erasures() -> None:
    """Erasures outlive a restored backup."""


@group.command("reapply")
def reapply() -> None:
    """Erase again whom a restored backup brought back. Workers do the same when they start."""
    logs.set_up()
    done, stands = asyncio.run(_reapply(Runtime.build(Settings())))
    console.print(f"{done} people were erased again.")
    if done:
        console.print(
            "The database was restored: let the agencies' feeds begin anew, with"
            f" instance_fact {EPOCH_FACT} = {stands + 1}.",
            soft_wrap=True,
        )


async def _reapply(runtime: Runtime) -> tuple[int, int]:
    try:
        done = await erasure_files.reapply(runtime, runtime.clock())
        async with runtime.database.transaction() as session:
            return done, (await snapshot_start(session))[0]
    finally:
        await runtime.database.close()
