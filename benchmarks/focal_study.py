"""Where the focal loss matters: the AP after training with it and with cross entropy.

python benchmarks/focal_study.py                 every setting, seeds 0, 1, 2
python benchmarks/focal_study.py --seeds 0 --settings usual

A line for each training as it ends. retinanet_lite/learn/focal_study.jsonl keeps those that
notebook 06 shows.
"""

import argparse
import json

import torch

from retinanet_lite import BasicBlock, Detector, FocalLoss, Recipe, RetinaNet, evaluate, fit
from retinanet_lite.data.drawing import CLASSES
from retinanet_lite.data.scenes import THREE, ShapesDataset

# cross entropy weighs both kinds of entries alike; 0.75 is the paper's best α without γ (table 1)
LOSSES = {
    "γ 0": {"alpha": 0.5, "gamma": 0.0},
    "γ 0, α 0.75": {"alpha": 0.75, "gamma": 0.0},
    "γ 2, α 0.25": {"alpha": 0.25, "gamma": 2.0},
}
USUAL = {"classes": THREE, "side": 128, "objects": (1, 4), "prior": 0.01, "steps": 600}
SETTINGS = {
    "usual": {},
    "no prior": {"prior": 0.5},
    "twenty classes": {"classes": CLASSES},
    "twenty classes, 1800 steps": {"classes": CLASSES, "steps": 1800},
    "one small object": {"side": 192, "objects": (1, 1), "largest": 40.0},
}


def train(setting: dict, loss: dict, seed: int) -> dict[str, float]:
    """What a training reaches on 100 scenes that it has not learned from."""
    it = USUAL | {"largest": None} | setting
    torch.manual_seed(seed)
    model = RetinaNet(
        len(it["classes"]),
        BasicBlock,
        [1, 1, 1, 1],
        feature_size=64,
        freeze_bn=False,
        prior=it["prior"],
        focal_loss=FocalLoss(**loss),
    )
    detector = Detector(model, it["classes"])
    scenes = {"classes": it["classes"], "num_objects": it["objects"], "largest": it["largest"]}
    size = it["side"], it["side"]
    learned = ShapesDataset(100_000, *size, first_seed=1_000_000, **scenes)
    recipe = Recipe(steps=it["steps"], batch_size=4, seed=seed)
    log = fit(detector, learned, recipe=recipe, progress=False)
    measured = evaluate(detector, ShapesDataset(100, *size, **scenes), progress=False)
    return {"AP": measured["AP"], "AP50": measured["AP50"], "last loss": log[-1]["classification"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    options = parser.parse_args()
    for seed in options.seeds:
        for name in options.settings:
            for loss, arguments in LOSSES.items():
                result = train(SETTINGS[name], arguments, seed)
                line = {"setting": name, "loss": loss, "seed": seed}
                print(json.dumps(line | result, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
