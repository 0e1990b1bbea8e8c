"""What the notebooks show and ask: figures, diagrams, explorers, exercises and their checks.

The notebooks have all of it under one name, `learn.show_map()`. The detector imports nothing of it.
"""

from importlib import import_module
from typing import Any

MODULES = ("diagrams", "figures", "detection_figures", "training_figures", "study_figures")
MODULES += ("explorers", "exercises", "building")


def __getattr__(name: str) -> Any:
    """A tool of one of the modules, which are imported when the first is asked for."""
    for module in MODULES if not name.startswith("_") else ():
        tools = import_module(f"{__name__}.{module}")
        if hasattr(tools, name):
            return getattr(tools, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
