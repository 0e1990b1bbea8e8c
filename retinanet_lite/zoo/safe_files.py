"""Files of parameters: written whole or not at all, and read without running anything."""

import argparse
import os
import re
from pathlib import Path

import torch


def write_atomically(path: str | os.PathLike, content: dict) -> None:
    """Save so that at any moment the file is the old one or the new one, whole."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with open(part, "wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def read_file(path: str | os.PathLike) -> object:
    """What is in a file; nothing in it is run."""
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}")
    try:
        # no more than values by name: torchvision's own training keeps its options so
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # files fail in a dozen ways, each with a page of advice
        cause = "it is damaged, or no file that PyTorch wrote. Fetch it anew."
        if refused := re.search(r"GLOBAL ((?:[A-Za-z_]\w*\.)+[A-Za-z_]\w*) was not", str(error)):
            cause = (
                f"it holds a {refused[1]}, perhaps a whole pickled model, and loading that could "
                f"run anything. Where you trust it and have its code, save the parameters alone, "
                f'torch.save(torch.load("{path}", weights_only=False).state_dict(), "state.pt").'
            )
        raise ValueError(f"{path} can't be read: {cause}") from error
