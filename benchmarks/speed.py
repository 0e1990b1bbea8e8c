"""This RetinaNet beside torchvision's on the same work: medians of one process, and their ratio.

Both have the same parameters and get the same images; they take turns. torchvision's runs as its
users run it, ours as `fit` and `Detector` do: channels last, and for detection `for_inference()`.
With --their-layout channels_last torchvision's gets that, too.

python benchmarks/speed.py                       # a table, build/speed.json and build/speed.png
python benchmarks/speed.py --only loss detection --repeats 20
python benchmarks/speed.py --profile             # where the time of a step and a detection goes
"""

import argparse
import json
import multiprocessing
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import torch
import torchvision
from PIL import Image
from torch import Tensor
from torchvision.models.detection import RetinaNet as TorchvisionRetinaNet
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import _default_anchorgen
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelP6P7
from torchvision.transforms import v2

from retinanet_lite import RetinaNet, from_torchvision
from retinanet_lite.data.batches import to_annotations, to_batch
from retinanet_lite.data.folders import VocFolder
from retinanet_lite.data.shapes import random_scene

CLASSES = 80
Case = tuple[str, Callable[[], object], Callable[[], object]]  # name, ours, torchvision's


def torchvisions(options: argparse.Namespace) -> TorchvisionRetinaNet:
    """torchvision's v1 with frozen batch norm, all layers learning, and much to detect."""
    torch.manual_seed(0)
    body = torchvision.models.resnet50(norm_layer=FrozenBatchNorm2d)
    backbone = _resnet_fpn_extractor(
        body, 5, returned_layers=[2, 3, 4], extra_blocks=LastLevelP6P7(256, 256)
    )
    model = TorchvisionRetinaNet(backbone, CLASSES, anchor_generator=_default_anchorgen())
    for name, module in body.named_modules():
        if isinstance(module, FrozenBatchNorm2d) and name.endswith(("bn3", "downsample.1")):
            module.weight.mul_(0.3)  # else the numbers grow from block to block
    torch.nn.init.normal_(model.head.classification_head.cls_logits.weight, std=0.02)
    model.transform.resize = lambda image, target: (image, target)
    layout = getattr(torch, options.their_layout)
    return model.to(options.device, memory_format=layout)


def ours_of(theirs: TorchvisionRetinaNet, options: argparse.Namespace) -> RetinaNet:
    """The same detector in this package."""
    model = from_torchvision(theirs.state_dict(), bn_eps=1e-5)
    return model.to(options.device, memory_format=getattr(torch, options.our_layout))


def scenes(batch_size: int, height: int, width: int) -> list[tuple[Tensor, dict]]:
    """Images [3, H, W] from 0 to 1, and five objects in each."""
    drawn = [random_scene(i, height, width, num_objects=(5, 5)) for i in range(batch_size)]
    return [(s.image / 255, {"boxes": s.boxes, "labels": s.labels}) for s in drawn]


def training(options: argparse.Namespace) -> Iterator[Case]:
    theirs = torchvisions(options)
    ours = ours_of(theirs, options)
    for batch_size, height, width in options.training:
        yield training_case(options, theirs, ours, batch_size, height, width)


def training_case(options, theirs, ours, batch_size: int, height: int, width: int) -> Case:
    """Forward, loss and backward pass; normalisation and batching included."""
    items = scenes(batch_size, height, width)

    def step_of_ours() -> None:
        images, annotations = to_batch(items)
        images = images.to(device, memory_format=layout)
        ours.zero_grad()
        sum(ours(images, annotations).values()).backward()

    def step_of_theirs() -> None:
        images, targets = zip(*items, strict=True)
        theirs.zero_grad()
        losses = theirs(
            [image.to(device) for image in images],
            [{name: value.to(device) for name, value in t.items()} for t in targets],
        )
        sum(losses.values()).backward()

    device, layout = options.device, getattr(torch, options.our_layout)
    ours.train(), theirs.train()
    return f"training step, {batch_size}×{height}×{width}", step_of_ours, step_of_theirs


@torch.no_grad()
def inference(options: argparse.Namespace) -> Iterator[Case]:
    """Images to detections."""
    theirs = torchvisions(options)
    ours = ours_of(theirs, options).for_inference()
    theirs.eval()
    for batch_size, height, width in options.inference:
        items = scenes(batch_size, height, width)

        def of_ours(items=items) -> list:
            images, _ = to_batch(items)
            return ours(images.to(options.device, memory_format=torch.channels_last))

        def of_theirs(items=items) -> list:
            with torch.no_grad():
                return theirs([image.to(options.device) for image, _ in items])

        yield f"inference, {batch_size}×{height}×{width}", of_ours, of_theirs


def loss(options: argparse.Namespace) -> Iterator[Case]:
    """The losses of two images of 640×832, forward and backward."""
    theirs = torchvisions(options)
    ours = ours_of(theirs, options)
    anchors = ours.anchors(torch.empty(1, 3, 640, 832))  # [99765, 4]
    logits = (torch.randn(2, len(anchors), CLASSES, device=options.device) - 4).requires_grad_()
    deltas = (torch.randn(2, len(anchors), 4, device=options.device) / 10).requires_grad_()
    for count in (5, 50, 500):
        corner = torch.rand(2, count, 2) * torch.tensor([700.0, 500.0])
        boxes = torch.cat([corner, corner + 16 + torch.rand(2, count, 2) * 110], dim=2)
        labels = torch.randint(CLASSES, (2, count))
        annotations = to_annotations(list(zip(boxes, labels, strict=True)))
        targets = [
            {"boxes": b.to(options.device), "labels": n.to(options.device)}
            for b, n in zip(boxes, labels, strict=True)
        ]

        def of_ours(annotations=annotations) -> None:
            logits.grad = deltas.grad = None
            sum(ours.focal_loss(logits, deltas, anchors, annotations).values()).backward()

        def of_theirs(targets=targets) -> None:
            logits.grad = deltas.grad = None
            outputs = {"cls_logits": logits, "bbox_regression": deltas}
            sum(theirs.compute_loss(targets, outputs, [anchors] * 2).values()).backward()

        yield f"loss, {count} objects an image", of_ours, of_theirs


def anchors(options: argparse.Namespace) -> Iterator[Case]:
    """The anchors of a batch of 640×832."""
    theirs = torchvisions(options)
    ours = ours_of(theirs, options)
    images = torch.empty(2, 3, 640, 832, device=options.device)
    grids = [
        torch.empty(2, 1, *size, device=options.device)
        for size in ours.anchors.level_sizes(640, 832)
    ]
    image_list = ImageList(images, [(640, 832)] * 2)
    yield (
        "anchors",
        lambda: ours.anchors(images),
        lambda: theirs.anchor_generator(image_list, grids),
    )


@torch.no_grad()
def detection(options: argparse.Namespace) -> Iterator[Case]:
    """Post-processing of one image with 99,765 boxes and 80 classes."""
    theirs = torchvisions(options)
    ours = ours_of(theirs, options)
    image = torch.empty(1, 3, 640, 832, device=options.device)
    boxes = ours.anchors(image)
    counts = ours.anchors.level_counts(640, 832)
    deltas = torch.randn(1, len(boxes), 4, device=options.device) / 10
    for kind, mean in (("sparse", -9.0), ("dense", -2.0)):
        logits = torch.randn(1, len(boxes), CLASSES, device=options.device) * 1.3 + mean

        def of_ours(logits=logits) -> list:
            return ours.detection(logits, deltas, boxes, counts, image)

        def of_theirs(logits=logits) -> list:
            outputs = {
                "cls_logits": list(logits.split(counts, dim=1)),
                "bbox_regression": list(deltas.split(counts, dim=1)),
            }
            return theirs.postprocess_detections(outputs, [list(boxes.split(counts))], [(640, 832)])

        found = int((logits.sigmoid() > 0.05).sum())
        yield f"post-processing, {kind} ({found:,} scores > 0.05)", of_ours, of_theirs


def data(options: argparse.Namespace) -> Iterator[Case]:
    """A batch of eight JPEG files of 640×832 with their XML, in memory and normalised."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "VOCdevkit" / "VOC2012"
        write_voc(root, 8)
        ours = VocFolder(root, "train")
        theirs = torchvision.datasets.wrap_dataset_for_transforms_v2(
            torchvision.datasets.VOCDetection(
                folder,
                image_set="train",
                transforms=v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]),
            ),
            target_keys=["boxes", "labels"],
        )
        transform = torchvisions(options).transform
        yield (
            "data, 8 files",
            lambda: to_batch([ours[i] for i in range(8)]),
            lambda: transform(*zip(*(theirs[i] for i in range(8)), strict=True)),
        )


def write_voc(root: Path, count: int) -> None:
    """A Pascal VOC folder of drawn scenes, whose objects are called by names that VOC knows."""
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / name).mkdir(parents=True)
    for i in range(count):
        scene = random_scene(i, 640, 832)
        picture = Image.fromarray(scene.image.permute(1, 2, 0).numpy())
        picture.save(root / f"JPEGImages/{i}.jpg", quality=95)
        tree = ElementTree.Element("annotation")
        ElementTree.SubElement(tree, "filename").text = f"{i}.jpg"
        size = ElementTree.SubElement(tree, "size")
        for name, value in (("width", 832), ("height", 640), ("depth", 3)):
            ElementTree.SubElement(size, name).text = str(value)
        for box in scene.boxes.int().tolist():
            item = ElementTree.SubElement(tree, "object")
            ElementTree.SubElement(item, "name").text = "cat"
            bounds = ElementTree.SubElement(item, "bndbox")
            for name, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
                ElementTree.SubElement(bounds, name).text = str(value + 1)
        ElementTree.ElementTree(tree).write(root / f"Annotations/{i}.xml")
    (root / "ImageSets/Main/train.txt").write_text("\n".join(map(str, range(count))))


def alternate(ours: Callable, theirs: Callable, repeats: int, device: str) -> tuple[float, float]:
    """Median seconds of each, taking turns, after a turn that is not counted."""
    times: tuple[list, list] = ([], [])
    for turn in range(repeats + 1):
        for work, of_work in zip((ours, theirs), times, strict=True):
            seconds = timed(work, device)
            if turn:
                of_work.append(seconds)
    return statistics.median(times[0]), statistics.median(times[1])


def timed(work: Callable, device: str) -> float:
    if device == "cpu":
        start = time.perf_counter()
        work()
        return time.perf_counter() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1000


def peak_memory(options: argparse.Namespace) -> tuple[str, float, float]:
    """GiB that a training step needs at most, each in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        peaks = [pool.apply(peak_of, (options, whose)) for whose in ("ours", "theirs")]
    shape = "×".join(map(str, options.training[-1]))
    return f"peak memory, training step, {shape}", *peaks


def peak_of(options: argparse.Namespace, whose: str) -> float:
    theirs = torchvisions(options)
    ours = ours_of(theirs, options)
    _, step_of_ours, step_of_theirs = training_case(options, theirs, ours, *options.training[-1])
    before = resident()
    step = step_of_ours if whose == "ours" else step_of_theirs
    step(), step()  # the second has the first's gradients to free
    if options.device != "cpu":
        return torch.cuda.max_memory_allocated() / 2**30
    return resident("VmHWM") - before


def resident(what: str = "VmRSS") -> float:
    """GiB of this process in memory, now or (VmHWM) at most so far; Linux tells it."""
    status = Path("/proc/self/status").read_text()
    (kibibytes,) = [line.split()[1] for line in status.splitlines() if line.startswith(what)]
    return int(kibibytes) / 2**20


def show_profile(case: Case) -> None:
    """Where the time of a piece of work goes: convolutions, and what else takes a hundredth."""
    name, *both = case
    for whose, work in zip(("ours", "theirs"), both, strict=True):
        work()
        with torch.profiler.profile() as profile:
            work()
        events = profile.key_averages()
        total = sum(event.self_cpu_time_total for event in events)
        shares = {event.key: event.self_cpu_time_total / total for event in events}
        convolutions = sum(share for key, share in shares.items() if "convolution" in key)
        print(f"{name}, {whose}: {total / 1e6:.2f} s, convolutions {convolutions:.0%}", end="")
        for key, share in sorted(shares.items(), key=lambda item: -item[1]):
            if share >= 0.01 and "convolution" not in key:
                print(f", {key.removeprefix('aten::')} {share:.0%}", end="")
        print(flush=True)


GROUPS = {
    "training": training,
    "inference": inference,
    "loss": loss,
    "anchors": anchors,
    "detection": detection,
    "data": data,
}


def draw(rows: list[dict], path: Path) -> None:
    """The ratios as bars; to the left of the line we are ahead."""
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(8, 0.4 * len(rows) + 1), layout="constrained")
    names = [row["name"] for row in rows][::-1]
    ratios = [row["ratio"] for row in rows][::-1]
    ax.barh(names, ratios, color="#0072B2")
    for y, ratio in enumerate(ratios):
        ax.text(ratio, y, f" {ratio:.2f}", va="center")
    ax.axvline(1, color="black", linewidth=0.8)
    ax.set(xlabel="ours ÷ torchvision's, less is better", xlim=(0, max(1.1, *ratios) * 1.1))
    plt.savefig(path, dpi=100)


def shape_of(text: str) -> tuple[int, ...]:
    """ "2x640x832" → (2, 640, 832)"""
    batch_size, height, width = map(int, text.split("x"))
    return batch_size, height, width


def main() -> None:
    on_gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", nargs="+", choices=[*GROUPS, "memory"])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cuda" if on_gpu else "cpu")
    layouts = ["contiguous_format", "channels_last"]
    parser.add_argument("--their-layout", choices=layouts, default=layouts[0])
    parser.add_argument("--our-layout", choices=layouts, default=layouts[1])
    parser.add_argument(
        "--training",
        nargs="+",
        type=shape_of,
        default=[(16, 640, 832)] if on_gpu else [(2, 320, 320), (2, 640, 832)],
    )
    parser.add_argument(
        "--inference",
        nargs="+",
        type=shape_of,
        default=[(1, 320, 320), (1, 640, 832), (1, 1024, 1024), (4, 640, 832)],
    )
    parser.add_argument("--profile", action="store_true", help="where the time goes, on a CPU")
    parser.add_argument("--out", type=Path, default=Path("build"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")

    if options.profile:
        for group in ("training", "inference"):
            for case in GROUPS[group](options):
                show_profile(case)
        return

    rows = []

    def tell(name: str, ours: float, theirs: float, unit: str) -> None:
        rows.append(
            {"name": name, "ours": ours, "theirs": theirs, "unit": unit, "ratio": ours / theirs}
        )
        print(f"{name:52}{ours:9.3f}{theirs:9.3f} {unit:4}{ours / theirs:8.2f}", flush=True)

    print(f"{'':52}{'ours':>9}{'theirs':>9}     {'ratio':>8}")
    wanted = options.only or [*GROUPS, "memory"]
    for group in GROUPS:
        if group in wanted:
            for name, ours, theirs in GROUPS[group](options):
                tell(name, *alternate(ours, theirs, options.repeats, options.device), "s")
    if "memory" in wanted:
        tell(*peak_memory(options), "GiB")

    options.out.mkdir(parents=True, exist_ok=True)
    about = {
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "device": torch.cuda.get_device_name() if options.device != "cpu" else platform.machine(),
        "threads": torch.get_num_threads(),
        "layouts": {"ours": options.our_layout, "theirs": options.their_layout},
        "rows": rows,
    }
    (options.out / "speed.json").write_text(json.dumps(about, indent=2) + "\n")
    draw(rows, options.out / "speed.png")
    print(f"{options.out / 'speed.json'} and {options.out / 'speed.png'} have the same")


if __name__ == "__main__":
    main()
