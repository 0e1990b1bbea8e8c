"""Make the detector that comes along, and measure it: `python benchmarks/shapes_detector.py`.

It learns the twenty shapes from drawn scenes alone, starting from random weights. Stopped, the same
command goes on. At the end it writes `retinanet_lite/zoo/shapes.pt` and, beside it, `shapes.json`
with the recipe and what was measured.
"""

import json
from dataclasses import asdict
from pathlib import Path

import torch

from retinanet_lite import BasicBlock, Detector, Recipe, RetinaNet, evaluate, fit
from retinanet_lite.data.drawing import CLASSES
from retinanet_lite.data.scenes import ShapesDataset, test_scenes
from retinanet_lite.zoo import SHAPES

RUN = Path("runs/shapes")
RECIPE = Recipe(steps=3000, batch_size=4, evaluate_every=10**9, save_every=50)
# smaller and quicker than the images that it is made for, with objects of all their sizes
SCENES = {"height": 384, "width": 480, "num_objects": (3, 9), "smallest": 22.0, "largest": 400.0}


def main() -> None:
    training_data = ShapesDataset(RECIPE.steps * RECIPE.batch_size, first_seed=1_000_000, **SCENES)
    torch.manual_seed(RECIPE.seed)
    model = RetinaNet(len(CLASSES), BasicBlock, [1, 1, 1, 1], feature_size=64, freeze_bn=False)
    log = fit(Detector(model, CLASSES), training_data, recipe=RECIPE, folder=RUN)
    Detector.load(RUN / "best.pt").save(SHAPES, half=True)

    measured = evaluate(Detector.load(SHAPES), test_scenes((640, 832), CLASSES))
    about = {
        "made by": "python benchmarks/shapes_detector.py",
        "scenes": SCENES,
        "recipe": asdict(RECIPE),
        "last losses": {name: log[-1][name] for name in ("classification", "regression")},
        "measured on": "100 scenes of 640×832 pixels that were not trained on",
        "measured": measured,
    }
    SHAPES.with_suffix(".json").write_text(json.dumps(about, indent=2) + "\n")
    print(json.dumps(about, indent=2))


if __name__ == "__main__":
    main()
