"""A progress bar for whatever takes longer than a moment."""

import os
from collections.abc import Iterable

from tqdm.auto import tqdm

DELAY = 2.0  # seconds: what is done by then needs no bar


def progress_bar(items: Iterable, total: int, what: str, shown: bool = True) -> Iterable:
    """The items, with a bar that comes after `DELAY` and goes when they end.

    Of the processes that `torchrun` starts, only the first shows it; it is asked for before they
    have joined, so that `devices.rank` would not know.
    """
    hidden = not shown or os.environ.get("RANK", "0") != "0"
    return tqdm(items, desc=what, total=total, leave=False, delay=DELAY, disable=hidden)
