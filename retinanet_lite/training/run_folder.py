"""The files of a training: checkpoints that are always whole, and a log to read meanwhile."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ..detector import Detector
from ..devices import rank
from ..zoo.detector_file import architecture, build
from ..zoo.safe_files import read_file


@dataclass
class Run:
    """The files of a training, and where it stands."""

    folder: Path | None
    detector: Detector
    optimizer: torch.optim.Optimizer
    recipe: dict
    step: int = 0
    log: list[dict] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.folder and (self.folder / "last.pt").exists():
            self.resume(self.folder / "last.pt")
        self.best = max(map(quality, self.log), default=-1.0)
        if self.folder and rank() == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            # lines after the checkpoint are of steps that will be taken again
            part = self.folder / "log.jsonl.part"
            part.write_text("".join(map(line, self.log)))
            part.replace(self.folder / "log.jsonl")

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint."""
        content = read_file(path)
        needed = {"weights", "about", "optimizer", "recipe", "step"}
        if not isinstance(content, dict) or not needed <= content.keys():
            raise ValueError(f"{path} is not the checkpoint of a training. Name another folder.")
        mine = {**self.detector.about(), **self.recipe}
        # an older package did not write every setting: what is missing was the default
        other = content["about"] | architecture(build(content["about"])) | content["recipe"]
        if different := [
            f"{name} ({other[name]} there, {value} here)"
            for name, value in mine.items()
            if value != other[name]
        ]:
            raise ValueError(
                f"{self.folder} holds a training that differs in {', '.join(different)}. Go on "
                f"with the same, or name another folder."
            )
        self.detector.model.load_state_dict(content["weights"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.step = content["step"]
        self.log = [r for r in read_log(self.folder / "log.jsonl") if r["step"] <= self.step]

    def write(self, record: dict, save: bool) -> None:
        """A step's line of the log, and where one is due, the checkpoints."""
        self.log.append(record)
        self.best = max(self.best, quality(record))
        if self.folder is None or rank() != 0:
            return
        with open(self.folder / "log.jsonl", "a") as file:
            file.write(line(record))
        if quality(record) == self.best if self.best >= 0 else save:
            self.detector.save(self.folder / "best.pt", step=record["step"])
        if save:
            more = {"optimizer": self.optimizer.state_dict(), "recipe": self.recipe}
            self.detector.save(self.folder / "last.pt", step=record["step"], **more)


def quality(record: dict) -> float:
    """The AP of a step's record; −1 where it was not measured, or there was nothing to find."""
    ap = record.get("AP", -1.0)
    return -1.0 if math.isnan(ap) else ap


def line(record: dict) -> str:
    """A record as a line of the log, where NaN is null: JSON does not know it."""
    return json.dumps({name: None if math.isnan(v) else v for name, v in record.items()}) + "\n"


def read_log(path: str | Path) -> list[dict]:
    """The records of a `log.jsonl`, also while its training runs."""
    *lines, _ = Path(path).read_text().split("\n")  # the last line may be half written
    records = map(json.loads, lines)
    return [{name: math.nan if v is None else v for name, v in r.items()} for r in records]
