"""A progress bar for whatever takes longer than a moment."""

import os
from collections.abc import Iterable, Iterator

from tqdm.auto import tqdm

DELAY = 2.0  # seconds: what is done by then needs no bar


def progress_bar(items: Iterable, total: int, what: str, shown: bool = True) -> Iterator:
    """The items, with a bar that comes after `DELAY` and goes when they end.

    Of the processes that `torchrun` starts, only the first shows it.
    """
    hidden = not shown or os.environ.get("RANK", "0") != "0"
    return tqdm(items, desc=what, total=total, leave=False, delay=DELAY, disable=hidden)
