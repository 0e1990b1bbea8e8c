"""Film an explorer for the README: `python tests/browser/film.py` makes docs/images/explorer.gif.

A real JupyterLab runs notebook 04, and its sliders are moved by keyboard.
"""

import io
import sys
import tempfile
from pathlib import Path

import numpy as np
from conftest import open_browser
from lab import jupyterlab, open_and_run
from PIL import Image, ImageOps

TARGET = Path(__file__).parents[2] / "docs" / "images" / "explorer.gif"
# from the star to the pill, and to a ratio that fits it: slider, key, pictures, presses for each
X, Y, LEVEL, RATIO = 0, 1, 2, 5
MOVES = [
    (LEVEL, "ArrowRight", 1, 1),
    (LEVEL, "ArrowLeft", 2, 1),
    (X, "PageUp", 6, 6),
    (Y, "PageUp", 4, 17),
    (RATIO, "ArrowRight", 6, 2),
]


def film(target: Path) -> None:
    with tempfile.TemporaryDirectory() as home, jupyterlab(Path(home)) as address:
        with open_browser() as browser:
            page = browser.new_page(viewport={"width": 1200, "height": 1100})
            open_and_run(page, f"{address}/lab/tree/04_anchors.ipynb?reset")
            explorer = page.locator(".jp-OutputArea-output:has(> .jupyter-widgets .widget-slider)")
            explorer.wait_for()
            box = explorer.locator(".widget-vbox").first
            page.wait_for_timeout(3000)
            pictures = [take(box)]
            for slider, key, count, presses in MOVES:
                for _ in range(count):
                    for _ in range(presses):
                        explorer.locator(".noUi-handle").nth(slider).press(key)
                    page.wait_for_timeout(200 * presses + 600)  # each press is answered
                    pictures.append(take(box))
    height = max(picture.height for picture in pictures)
    pictures = [
        ImageOps.pad(p, (p.width, height), color="white", centering=(0, 0)) for p in pictures
    ]
    strip = np.concatenate([np.asarray(picture) for picture in pictures[::4]])
    colours = Image.fromarray(strip).quantize(256, kmeans=3)  # one palette for all
    frames = [picture.quantize(palette=colours, dither=Image.Dither.NONE) for picture in pictures]
    durations = [2000, *[600] * (len(frames) - 2), 3000]  # milliseconds
    frames[0].save(target, save_all=True, append_images=frames[1:], duration=durations, loop=0)
    print(f"{target}: {len(frames)} pictures, {target.stat().st_size // 1000} kB")


def take(box) -> Image.Image:
    return Image.open(io.BytesIO(box.screenshot())).convert("RGB")


if __name__ == "__main__":
    film(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
