"""What the worker does: each module registers its jobs (`@job`) and timers (`timer(…)`)."""

import importlib
import pkgutil


def load() -> None:
    """Import every module of this package, so that its jobs and timers are registered."""
    for found in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{found.name}")
