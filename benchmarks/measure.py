"""How the benchmark measures: seconds in turns, graphs of compiled work, and memory."""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch._dynamo.utils import counters
from work import Case, by, ours_of, torchvisions, training_case

AT_LEAST = 3  # turns that count, if as many are asked for


def alternate(
    works: Sequence[Callable[[], object]], options: argparse.Namespace
) -> tuple[list[float], int]:
    """Median seconds of each piece of work, taking turns, and how many turns count.

    The first turns only warm up. Then there are as many as asked for, or as the time allows.
    """
    for _ in range(options.warm_up):
        for work in works:
            work()
    turns: list[list[float]] = []
    start = time.perf_counter()
    while len(turns) < options.repeats and (
        len(turns) < AT_LEAST or time.perf_counter() - start < options.seconds
    ):
        turns.append([seconds(work, options.device) for work in works])
    return [statistics.median(times) for times in zip(*turns, strict=True)], len(turns)


def seconds(work: Callable[[], object], device: str) -> float:
    """What a piece of work takes: by the clock on a CPU, by the device's events on a GPU."""
    if device == "cpu":
        start = time.perf_counter()
        work()
        return time.perf_counter() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1000


def compile_both(case: Case) -> tuple[bool, dict[str, str]]:
    """Do a piece of work for the first time: whether both sides compile, and to how many graphs."""
    torch.compiler.reset()  # each shape is compiled for itself
    works, notes = True, {}
    for whose in ("ours", "theirs"):
        counters.clear()
        try:
            getattr(case, whose)()
        except Exception as error:  # a compiler fails in many ways
            works = False
            message, *_ = str(error).strip().split("\n")
            notes[whose] = f"fails, {type(error).__name__}: {message}"
        else:
            graphs, breaks = counters["stats"]["unique_graphs"], counters["graph_break"]
            notes[whose] = f"{graphs} graphs, {sum(breaks.values())} breaks"
    return works, notes


def peak_memory(options: argparse.Namespace) -> tuple[str, list[float]]:
    """GiB that a training step needs at most, each side's in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        peaks = [pool.apply(peak_of, (options, whose)) for whose in ("ours", "theirs")]
    return f"peak memory, training step, {by(options.training[-1])}", peaks


def peak_of(options: argparse.Namespace, whose: str) -> float:
    """GiB beyond those of the models, by the last of the training shapes."""
    theirs = torchvisions(options)
    case = training_case(options, theirs, ours_of(theirs, options), options.training[-1])
    step = getattr(case, whose)
    if options.device == "cpu":
        before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # what was needed to build the models
        step(), step()  # the second has the first's gradients to free
        return resident("VmHWM") - before
    before = torch.cuda.memory_allocated() / 2**30
    if options.compile:
        step()  # a compiler tries things out
    torch.cuda.reset_peak_memory_stats()
    step(), step()
    return torch.cuda.max_memory_allocated() / 2**30 - before


def resident(what: str) -> float:
    """GiB of this process in memory, now (VmRSS) or at most so far (VmHWM); Linux tells it."""
    status = Path("/proc/self/status").read_text()
    (kibibytes,) = [line.split()[1] for line in status.splitlines() if line.startswith(what)]
    return int(kibibytes) / 2**20
