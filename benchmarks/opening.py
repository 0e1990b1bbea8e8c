"""Seconds to open a Pascal VOC folder, decoding every image and by their headers alone."""

import tempfile
from argparse import Namespace
from pathlib import Path

from measure import alternate
from samples import write_voc

from retinanet_lite.data.voc import VocFolder

IMAGES, HEIGHT, WIDTH = 5000, 480, 640


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "voc"
        write_voc(root, IMAGES, HEIGHT, WIDTH)
        size = sum(file.stat().st_size for file in root.glob("JPEGImages/*")) / 2**20
        print(f"{IMAGES} images of {HEIGHT}×{WIDTH}, {size:.0f} MiB")
        (decoded, headers), turns = alternate(
            [lambda: VocFolder(root, "train", verify=True), lambda: VocFolder(root, "train")],
            Namespace(warm_up=1, repeats=3, seconds=0, device="cpu"),
        )
        print(f"medians of {turns}: verify=True {decoded:.2f} s, headers {headers:.2f} s")


if __name__ == "__main__":
    main()
