"""Image files become uint8 images of red, green and blue, whatever the file keeps."""

import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ExifTags import Base as ExifTag
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional


class UnreadableImage(ValueError):
    """An image file that cannot be read or used, and how to mend it. `cause` is why, in short."""

    cause = ""


def read_image(path: str | os.PathLike) -> tv_tensors.Image:
    """The image in a file, [3, H, W] uint8: in RGB, turned upright as its EXIF orientation says.

    - Grey, palette and CMYK images become RGB; of several frames or pages, the first is taken.
    - Transparency is dropped and the colours beneath it stay, as in torchvision's data sets,
      detectron2 and OpenCV: weights then see the same picture here and there.
    - 16 bits become 8 by their upper half, so that 65535 becomes 255; torchvision and Pillow do so.

    Raises:
        UnreadableImage: the file is missing, truncated or no image; or its values have no known
            scale, as in floating point.
    """
    try:
        with Image.open(path) as image:
            ImageOps.exif_transpose(image, in_place=True)
            # a palette's transparency would be dropped as well, but with a warning
            image.info.pop("transparency", None)
            rgb = to_8_bit(image).convert("RGB")
    except Exception as error:  # a broken file makes Pillow's readers fail in a dozen ways
        raise unreadable(path, error) from error
    return tv_tensors.Image(functional.pil_to_tensor(rgb).contiguous())  # [3, H, W]


def image_size(path: str | os.PathLike) -> tuple[int, int]:
    """Height and width in pixels of what `read_image` gives, from the file's header alone.

    Broken pixels are not found, nor is an orientation that a PNG keeps behind its pixels.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            # not image.getexif: a PNG's decodes the whole image
            orientation = Image.Image.getexif(image).get(ExifTag.Orientation, 1)
            # from 5 to 8, an image lies on its side; a TIFF's size is upright already
            on_its_side = orientation in (5, 6, 7, 8) and image.format != "TIFF"
    except Exception as error:
        raise unreadable(path, error) from error
    return (width, height) if on_its_side else (height, width)


def to_8_bit(image: Image.Image) -> Image.Image:
    """Grey values of more than 8 bits → 8 bits; other images as they are."""
    if image.mode == "F":
        raise ValueError("its pixels are floating point, on an unknown scale")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)  # [H, W]
    # mode "I" is 32 bits wide, but most often it holds 16, as for PGM
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(f"its pixels go from {values.min()} to {values.max()}: no 16-bit grey")
    return Image.fromarray((values >> 8).astype(np.uint8))


def readable(dataset: Dataset, rows: Iterable[int]) -> Iterator[tuple[Tensor, dict]]:
    """The items of the rows whose image can be read; the others are named in warnings."""
    for row in rows:
        try:
            item = dataset[row]
        except UnreadableImage as error:
            warnings.warn(f"{error} It is left out.", stacklevel=2)
        else:
            yield item


def unreadable(path: str | os.PathLike, error: Exception, mend: str = "") -> UnreadableImage:
    """The error to raise for what went wrong in reading a file."""
    mend = mend or "Fetch it anew, or save it as 8-bit JPEG or PNG."
    cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, FileNotFoundError):
        cause, mend = "there is no such file", "Check its folder and its spelling, capitals too."
    elif isinstance(error, UnidentifiedImageError):
        empty = Path(path).stat().st_size == 0
        cause = "the file is empty (0 bytes)" if empty else "it is no image that Pillow knows"
    wrong = UnreadableImage(f"{path} cannot be read: {cause}. {mend}")
    wrong.cause = cause
    return wrong
