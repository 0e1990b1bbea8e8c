"""Image files of every kind become uint8 images of red, green and blue, or say what is wrong."""

import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.tv_tensors import Image as ImageTensor

from retinanet_lite.data.images import image_size, read_image

ORIENTATION = 0x0112  # EXIF's tag
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)  # [H, W, 3]


def rows(image: torch.Tensor) -> list:
    return image.permute(1, 2, 0).tolist()  # [H, W, 3]


# what EXIF's orientations ask for, by its standard: where row 0 and column 0 of the file are seen
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],  # top, right
    3: lambda a: a[::-1, ::-1],  # bottom, right
    4: lambda a: a[::-1],  # bottom, left
    5: lambda a: a.transpose(1, 0, 2),  # left, top
    6: lambda a: np.rot90(a, -1),  # right, top
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),  # right, bottom
    8: lambda a: np.rot90(a),  # left, bottom
}


@pytest.mark.parametrize("ending", ["png", "tiff", "jpg"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_an_image_is_turned_upright(tmp_path, orientation, ending):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = tmp_path / f"image.{ending}"
    Image.fromarray(PIXELS).save(file, exif=exif)
    expected = UPRIGHT[orientation](PIXELS)
    assert image_size(file) == expected.shape[:2]
    image = read_image(file)
    assert isinstance(image, ImageTensor) and image.dtype == torch.uint8 and image.is_contiguous()
    assert image.shape == (3, *expected.shape[:2])
    if ending != "jpg":  # whose pixels are not quite those that were written
        assert rows(image) == expected.tolist()


@pytest.mark.parametrize(
    "mode, values, expected",
    [
        ("L", [7, 200], [(7, 7, 7), (200, 200, 200)]),
        ("1", [0, 255], [(0, 0, 0), (255, 255, 255)]),
        ("LA", [(7, 0), (200, 128)], [(7, 7, 7), (200, 200, 200)]),
        ("RGBA", [(1, 2, 3, 0), (4, 5, 6, 128)], [(1, 2, 3), (4, 5, 6)]),
        ("CMYK", [(0, 0, 0, 0), (0, 255, 255, 0)], [(255, 255, 255), (255, 0, 0)]),
        ("I", [65535, 513], [(255, 255, 255), (2, 2, 2)]),
    ],
)
def test_images_of_every_mode_become_rgb(tmp_path, mode, values, expected):
    image = Image.new(mode, (2, 1))
    for x, value in enumerate(values):
        image.putpixel((x, 0), value)
    file = tmp_path / "image.tiff"
    image.save(file)
    assert Image.open(file).mode == mode
    assert rows(read_image(file)) == [[list(pixel) for pixel in expected]]


def test_a_palette_with_transparency_becomes_rgb_without_a_warning(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "image.png", transparency=bytes([0, 128]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rows(read_image(tmp_path / "image.png")) == [[[10, 20, 30], [40, 50, 60]]]


def test_16_bit_grey_is_scaled_from_65535_to_255(tmp_path):
    values = np.linspace(0, 65535, 1024).round().astype(np.uint16).reshape(32, 32)
    Image.fromarray(values).save(tmp_path / "image.png")
    image = read_image(tmp_path / "image.png")
    assert image[:, 0, 0].tolist() == [0, 0, 0] and image[:, -1, -1].tolist() == [255, 255, 255]
    expected = torch.from_numpy(values / 65535 * 255)  # [H, W]
    assert ((image - expected).abs() < 1).all()


def test_16_bit_colour_becomes_8_bits(tmp_path):
    header = b"P6\n1 1\n65535\n"
    (tmp_path / "image.ppm").write_bytes(header + bytes([255, 255, 0, 0, 128, 128]))
    assert rows(read_image(tmp_path / "image.ppm")) == [[[255, 0, 128]]]


def truncated(file):
    Image.fromarray(np.tile(PIXELS, (20, 20, 1))).save(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize(
    "name, spoil, cause",
    [
        ("a.jpg", truncated, "image file is truncated"),
        ("a.jpg", lambda file: file.write_text("<html>404</html>"), "no image that Pillow knows"),
        ("a.jpg", lambda file: file.touch(), r"the file is empty \(0 bytes\)"),
        ("a.jpg", lambda file: file.mkdir(), "Is a directory|Permission denied"),
        ("a.tiff", lambda file: Image.new("F", (2, 2)).save(file), "pixels are floating point"),
        ("a.tiff", lambda file: Image.new("I", (2, 2), 70000).save(file), "from 70000 to 70000"),
        ("a.tiff", lambda file: Image.new("I", (2, 2), -1).save(file), "from -1 to -1"),
    ],
)
def test_what_cannot_be_read_is_told_with_file_cause_and_cure(tmp_path, name, spoil, cause):
    spoil(tmp_path / name)
    with pytest.raises(ValueError, match=cause) as error:
        read_image(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)
    assert "Fetch it anew, or save it as 8-bit JPEG or PNG." in str(error.value)


@pytest.mark.parametrize("read", [read_image, image_size])
def test_a_missing_file_is_told_by_name(tmp_path, read):
    with pytest.raises(
        ValueError, match=r"lost\.jpg cannot be read: there is no such file\. Check"
    ):
        read(tmp_path / "lost.jpg")
