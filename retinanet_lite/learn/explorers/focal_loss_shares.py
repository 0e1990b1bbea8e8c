"""The explorer of notebook 06: what the focal loss hears of a scene's real anchors."""

import math

import numpy as np
import torch
from ipywidgets import VBox
from torch import Tensor

from ...model.losses import focal_loss
from ..figures import NEGATIVE, OBJECT, POSITIVE, add_shares
from .widget import explore, panels, powers_in_words, slider

EASY = 0.1  # a negative entry is easy when its probability is below
WIDTH = 0.01  # of a bin of logits; two million entries take too long for a slider

Entries = tuple[Tensor, Tensor, Tensor]


def bin_by_logit(logits: Tensor, targets: Tensor) -> Entries:
    """Entries of like logits put together.

    Args:
        logits: [n] of a detector; targets: [n], 1 where the entry's object is, else 0.

    Returns:
        the logit of each bin, the mean of its entries, and how many of them are of an object, and
        how many not: [b] each, float64
    """
    logits = logits.double()
    bins = ((logits - math.log(EASY / (1 - EASY))) / WIDTH).floor().long()  # none has both kinds
    bins -= bins.min()
    sums = torch.bincount(bins, logits)
    counts = torch.bincount(bins)
    positive = torch.bincount(bins, targets.double())
    used = counts > 0
    return (sums[used] / counts[used], positive[used], (counts - positive)[used])


def show_focal_loss(
    entries: Entries,
    gamma: float = 2.0,
    alpha: float = 0.25,
    prior: float = 0.01,
    training: float = 1.0,
) -> str:
    """The focal loss of a scene's entries: its curve, their probabilities, and who is heard.

    Args:
        entries: of a trained detector, see `bin_by_logit`.
        prior: the probability π that all entries begin with.
        training: from 0, where every entry says π, to 1, where each says what it has learned.
    """
    learned, positive, negative = entries
    logits = (1 - training) * math.log(prior / (1 - prior)) + training * learned
    p = logits.sigmoid()
    counts = {
        "positive": positive,
        "hard negative": negative.where(p >= EASY, 0.0),
        "easy negative": negative.where(p < EASY, 0.0),
    }
    weights = {"entries": {}, "loss": {}, "gradient": {}}
    for part, count in counts.items():
        x = logits.clone().requires_grad_()
        losses = focal_loss(x, torch.full_like(x, part == "positive"), alpha, gamma)
        losses.sum().backward()
        weights["entries"][part] = count.sum().item()
        weights["loss"][part] = (count * losses.detach()).sum().item()
        weights["gradient"][part] = (count * x.grad.abs()).sum().item()
    shares = {
        name: {part: value / sum(parts.values()) for part, value in parts.items()}
        for name, parts in weights.items()
    }

    curve, histogram, heard = panels(11, 3.7, 1, 1, 1.3)
    at = torch.linspace(-4.1, 4.1, 300) ** 3  # logits, so far out that the curves leave the frame
    for truth, style, line in ((1.0, POSITIVE, "-"), (0.0, NEGATIVE, "--")):
        cost = focal_loss(at, torch.full_like(at, truth), alpha, gamma)
        name = "object" if truth else "no object"
        curve.plot(at.sigmoid(), cost, line, color=style["edgecolor"], label=name, linewidth=2)
    curve.set(title="What does an entry cost?", xlabel="probability p", ylabel="loss", ylim=(0, 3))
    curve.legend(loc="upper center")
    counts, edges = np.histogram(p, 40, (0, 1), weights=positive + negative)
    # a line, for on a logarithmic axis an area would mean nothing; 0 is below the frame
    histogram.stairs(counts.clip(0.1), edges, color=OBJECT["edgecolor"], linewidth=1.5)
    histogram.set(title="What do the entries say?", xlabel="probability p", ylabel="entries")
    histogram.set(yscale="log", ylim=(0.5, 1e7), xlim=(0, 1))
    powers_in_words(histogram.yaxis)
    histogram.yaxis.set_label_coords(-0.03, 0.66)  # between two of the ticks' words
    add_shares(heard, shares, "Who is heard?")
    heard.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, frameon=False, fontsize=8
    )
    heard.set(xlabel="")
    names = {
        "positive": "Entries of an object",
        "hard negative": "Hard negatives",
        "easy negative": "Easy negatives",
    }
    return " ".join(
        f"{name}: about {float(format(weights['entries'][part], '.1e')):,.0f}, which make "
        f"{in_words(shares['loss'][part])} of the loss and {in_words(shares['gradient'][part])} of "
        "the gradient."
        for part, name in names.items()
        if weights["entries"][part]
    )


def in_words(share: float) -> str:
    """Roughly, so that another processor's rounding says the same."""
    if not 0.01 <= share <= 0.99:
        return "under 1%" if share < 0.5 else "over 99%"
    step = 0.05 if 0.1 <= share <= 0.9 else 0.01
    return f"{round(share / step) * step:.0%}"


def explore_focal_loss(entries: Entries) -> VBox:
    """γ, α, π and how far training has come, on the entries of a scene, see `show_focal_loss`.

    It starts before training: later π counts for less and less, and in the end for nothing.
    """
    return explore(
        lambda **values: show_focal_loss(entries, **values),
        gamma=slider("γ, focus", 2.0, 0.0, 5.0, 0.5),
        alpha=slider("α, weight of objects", 0.25, 0.05, 0.95, 0.05),
        prior=slider("π, probability at first", 0.01, 0.01, 0.5, 0.01),
        training=slider("training, from 0 to 1", 0.0, 0.0, 1.0, 0.05),
    )
