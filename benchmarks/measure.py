"""How the benchmark measures: seconds in turns, graphs of compiled work, and memory."""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch._dynamo.utils import counters
from work import Case, by, names_of_sides, sides, training_case

AT_LEAST = 3  # turns that count, if as many are asked for


def alternate(
    works: dict[str, Callable[[], object]], options: argparse.Namespace
) -> tuple[dict[str, float], int]:
    """Median seconds of each piece of work, taking turns, and how many turns count.

    The first turns only warm up. Then there are as many as asked for, or as the time allows.
    """
    for _ in range(options.warm_up):
        for work in works.values():
            work()
    times: dict[str, list[float]] = {name: [] for name in works}
    start = time.perf_counter()
    turns = 0
    while turns < options.repeats and (
        turns < AT_LEAST or time.perf_counter() - start < options.seconds
    ):
        for name, work in works.items():
            times[name].append(seconds(work, options.device))
        turns += 1
    return {name: statistics.median(taken) for name, taken in times.items()}, turns


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


def compile_all(case: Case) -> tuple[bool, dict[str, str]]:
    """Do a piece of work for the first time: whether all sides compile, and to how many graphs."""
    torch.compiler.reset()  # each shape is compiled for itself
    works, notes = True, {}
    for side, work in case.works.items():
        counters.clear()
        try:
            work()
        except Exception as error:  # a compiler fails in many ways
            works = False
            message, *_ = str(error).strip().split("\n")
            notes[side] = f"fails, {type(error).__name__}: {message}"
        else:
            graphs, breaks = counters["stats"]["unique_graphs"], counters["graph_break"]
            notes[side] = f"{graphs} graphs, {sum(breaks.values())} breaks"
    return works, notes


def peak_memory(options: argparse.Namespace) -> tuple[str, dict[str, float]]:
    """GiB that a training step needs at most, each side's in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        peaks = {side: pool.apply(peak_of, (options, side)) for side in names_of_sides(options)}
    return f"peak memory, training step, {by(options.training[-1])}", peaks


def peak_of(options: argparse.Namespace, side: str) -> float:
    """GiB beyond those of the models, by the last of the training shapes."""
    step = training_case(options, sides(options), options.training[-1]).works[side]
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
