"""This RetinaNet beside torchvision's on the same work: medians of one process, and their ratio.

Both have the same parameters and get the same images; they take turns. torchvision's runs as its
users run it, ours as `fit` and `Detector` do: quick parts, channels last, and for detection
`for_inference`. With --their-layout channels_last torchvision's gets that, too.

python benchmarks/speed.py                       # a table, build/speed.json and build/speed.png
python benchmarks/speed.py --only loss detection --repeats 50
python benchmarks/speed.py --training 4x480x640 --only training memory
python benchmarks/speed.py --autocast            # both in bfloat16 where that is safe
python benchmarks/speed.py --plain               # a third beside them: ours with its plain parts
python benchmarks/speed.py --compile             # both by torch.compile, one shape of each group
python benchmarks/speed.py --profile             # where the time of a step and a detection goes
"""

import argparse
import json
import platform
import warnings
from pathlib import Path

import torch
import torchvision
from measure import alternate, compile_all, peak_memory
from report import draw, show_profile
from work import GROUPS

SIZES = (320, 512, 640, 800, 1024)
BATCHES = (1, 2, 4, 8, 16)
WHOLE = ("training", "inference")  # the groups that run whole models
LAYOUTS = ("contiguous_format", "channels_last")


def main() -> None:
    options = parse()
    warnings.simplefilter("ignore")
    if options.profile:
        for group in (group for group in WHOLE if group in options.only):
            for case in GROUPS[group](options):
                show_profile(case, options)
        return

    plain = f"{'plain':>9}{'of plain':>9}" if options.plain else ""
    print(f"{'':50}{'ours':>9}{'theirs':>9}     {'ratio':>7}{plain}", flush=True)
    rows, graphs = [], {}
    for group in options.only:
        if group == "memory":
            name, peaks = peak_memory(options)
            rows.append(tell(group, name, peaks, "GiB"))
            continue
        for case in GROUPS[group](options):
            if options.compile:
                works, notes = compile_all(case)
                graphs[case.name] = notes
                told = "; ".join(f"{side} {note}" for side, note in notes.items())
                print(f"{case.name}, compiled: {told}")
                if not works:
                    continue
            medians, repeats = alternate(case.works, options)
            row = tell(group, case.name, medians, "s", case.shape)
            rows.append({**row, "repeats": repeats})

    options.out.mkdir(parents=True, exist_ok=True)
    content = {**about(options), "graphs": graphs, "rows": rows}
    (options.out / "speed.json").write_text(json.dumps(content, indent=2) + "\n")
    draw(rows, options.out / "speed.png")
    print(f"{options.out / 'speed.json'} and {options.out / 'speed.png'} have the same")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", nargs="+", choices=[*GROUPS, "memory"], help="these groups")
    for group in WHOLE:
        parser.add_argument(
            f"--{group}", nargs="+", type=shape_of, metavar="BxHxW", help="batch, height, width"
        )
    on_gpu = torch.cuda.is_available()
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if on_gpu else "cpu")
    parser.add_argument("--repeats", type=int, default=15, help="turns that count, at most")
    parser.add_argument(
        "--seconds", type=float, default=15, help="after so many, three turns are enough"
    )
    parser.add_argument("--warm-up", type=int, help="turns before that")
    parser.add_argument("--plain", action="store_true", help="ours with its plain parts, too")
    parser.add_argument("--autocast", action="store_true", help="bfloat16; slow on most CPUs")
    parser.add_argument("--compile", action="store_true", help="of whole models; takes minutes")
    parser.add_argument("--their-layout", choices=LAYOUTS, default=LAYOUTS[0])
    parser.add_argument("--our-layout", choices=LAYOUTS, default=LAYOUTS[1], help="of training")
    parser.add_argument(
        "--profile", action="store_true", help="where time goes, for the last shape of each group"
    )
    parser.add_argument("--out", type=Path, default=Path("build"), help="a folder")
    options = parser.parse_args()

    on_cpu = options.device == "cpu"
    possible = [*WHOLE] if options.profile or options.compile else [*GROUPS]
    # on a CPU Linux tells it, but not what was needed only to compile
    memory_is_known = not on_cpu or (Path("/proc/self/clear_refs").exists() and not options.compile)
    if memory_is_known and not options.profile:
        possible.append("memory")
    if unfit := set(options.only or possible) - set(possible):
        parser.error(f"here only {', '.join(possible)} can be measured, not {', '.join(unfit)}")
    if options.compile and options.profile:
        parser.error("a profile is of code that is not compiled")
    options.only = [group for group in possible if group in (options.only or possible)]
    for group in WHOLE:
        shapes = getattr(options, group) or default_shapes(group, options)
        setattr(options, group, shapes[-1:] if options.profile else shapes)
    if options.warm_up is None:
        options.warm_up = 1 if on_cpu and not options.compile else 3
    return options


def shape_of(text: str) -> tuple[int, ...]:
    """ "2x640x832" → (2, 640, 832)"""
    batch_size, height, width = map(int, text.split("x"))
    return batch_size, height, width


def default_shapes(group: str, options: argparse.Namespace) -> list[tuple[int, int, int]]:
    """Images of growing size one by one, growing batches, and last a usual one."""
    on_cpu = options.device == "cpu"
    last = (16 if not on_cpu else 2 if group == "training" else 1, 640, 832)
    if options.autocast and on_cpu:
        return [(1, 320, 320)]
    if options.compile:
        return [last]
    sizes = [(1, size, size) for size in SIZES]
    batches = [(size, *((320, 320) if on_cpu else (640, 832))) for size in BATCHES]
    return list(dict.fromkeys([*sizes, *batches, last]))


def tell(
    group: str, name: str, values: dict[str, float], unit: str, shape: tuple[int, ...] | None = None
) -> dict:
    """Print a row of the table; gives it back as json has it."""
    row = {"group": group, "name": name, **values, "unit": unit}
    row["ratio"] = row["ours"] / row["theirs"]
    text = f"{name:50}{row['ours']:9.4f}{row['theirs']:9.4f} {unit:4}{row['ratio']:7.2f}"
    if "plain" in row:
        row["of_plain"] = row["ours"] / row["plain"]
        text += f"{row['plain']:9.4f}{row['of_plain']:9.2f}"
    if shape:
        row |= {"shape": shape, "images_per_second": {s: shape[0] / v for s, v in values.items()}}
    print(text, flush=True)
    return row


def about(options: argparse.Namespace) -> dict:
    """What the numbers depend on, as json has it."""
    on_cpu = options.device == "cpu"
    return {
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "device": platform.machine() if on_cpu else torch.cuda.get_device_name(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "precision": "bfloat16 autocast" if options.autocast else "float32",
        "tf32_convolutions": not on_cpu and torch.backends.cudnn.allow_tf32,
        "plain": options.plain,
        "compiled": options.compile,
        "layouts": {"ours": options.our_layout, "theirs": options.their_layout},
        "warm_up": options.warm_up,
    }


if __name__ == "__main__":
    main()
