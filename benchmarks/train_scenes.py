"""Notebook 08's training with several seeds: what it reaches, and in how many seconds.

python benchmarks/train_scenes.py            seeds 0, 1, 2
python benchmarks/train_scenes.py 3 4        others
"""

import sys
import time

import torch

from retinanet_lite import BasicBlock, Detector, Recipe, RetinaNet, evaluate, fit
from retinanet_lite.data.scenes import THREE, test_scenes, training_scenes


def main(seeds: list[int]) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(f"{torch.get_num_threads()} threads on {device}, torch {torch.__version__}")
    print(f"{'seed':>4}{'seconds':>10}{'AP50':>8}{'AP':>8}")
    for seed in seeds:
        torch.manual_seed(seed)
        model = RetinaNet(3, BasicBlock, [1, 1, 1, 1], feature_size=64, freeze_bn=False)
        detector = Detector(model.to(device), THREE)
        start = time.perf_counter()
        recipe = Recipe(steps=600, batch_size=4, seed=seed)
        fit(detector, training_scenes(), recipe=recipe, progress=False)
        seconds = time.perf_counter() - start
        measured = evaluate(detector, test_scenes())
        print(f"{seed:4}{seconds:10.0f}{measured['AP50']:8.3f}{measured['AP']:8.3f}", flush=True)


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or [0, 1, 2])
