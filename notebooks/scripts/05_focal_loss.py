# %% [markdown]
# # 05 · The focal loss
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/OWNER_NAME/retinanet-lite/blob/main/notebooks/05_focal_loss.ipynb)
#
# **In this notebook you decide what each of 99,765 anchors learns: 350 an object, 98,768 that there is none, and 647 nothing. And you see why the 350 would drown without the focal loss.**
#
# About 20 seconds on a CPU, and 50 minutes to read; it is the heart of RetinaNet. You need the anchors of notebook [04](04_anchors.ipynb), and logits from notebook [03](03_heads.ipynb).

# %%
# where the package is missing, as in Colab, this installs it; what is there already stays
from importlib.util import find_spec

if find_spec("retinanet_lite") is None:
    source = "git+https://github.com/OWNER_NAME/retinanet-lite"
    get_ipython().run_line_magic("pip", f'install -q "retinanet-lite[learn] @ {source}"')

# %%
import math
from collections import Counter

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import box_iou, generalized_box_iou

import retinanet_lite
from retinanet_lite import Detector
from retinanet_lite.data.batches import to_annotations, to_batch
from retinanet_lite.data.drawing import CLASSES, walkthrough_scene
from retinanet_lite.learn.detection_figures import LINES, show_decoding
from retinanet_lite.learn.diagrams import show_map
from retinanet_lite.learn.exercises import check_focal, check_iou, check_targets
from retinanet_lite.learn.explorers import (
    bin_by_logit,
    explore_deltas,
    explore_focal_loss,
    explore_matching,
    show_deltas,
    show_focal_loss,
    show_matching_of,
)
from retinanet_lite.learn.figures import (
    show_anchors,
    show_delta,
    show_focal_curves,
    show_matching,
    show_shares,
)

_ = torch.manual_seed(0)
show_map(here="loss")


# %%
def shape(x):
    return list(x.shape)


scene = walkthrough_scene()
boxes, labels = scene.boxes, scene.labels
anchors = retinanet_lite.Anchors()(scene.image[None])
STAR = 95592  # the row of the star's best anchor, from notebook 04
print("anchors", shape(anchors), "objects", shape(boxes))

# %% [markdown]
# ## How well do two boxes agree?
#
# The IoU of notebook 04, by hand now, for the star and its anchor. The shared part begins where the later of the two begins, and ends where the first of them ends:

# %%
(ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = anchors[STAR].tolist(), boxes[0].tolist()
shared = (min(ax2, bx2) - max(ax1, bx1)) * (min(ay2, by2) - max(ay1, by1))
area_a, area_b = (ax2 - ax1) * (ay2 - ay1), (bx2 - bx1) * (by2 - by1)
together = area_a + area_b - shared  # the shared part is in both, and counts once
print("by hand:    ", round(shared / together, 4))
print("torchvision:", round(box_iou(anchors[STAR][None], boxes[:1]).item(), 4))

# %% [markdown]
# ## Matching: who learns what
#
# For each anchor, take the object that it overlaps most. Then there are three cases:
#
# - IoU of at least 0.5: the anchor is **positive**. It learns this object.
# - IoU under 0.4: it is **negative**. It learns that there is nothing.
# - in between: it is **ignored**. It learns nothing, since either answer would be half wrong.

# %%
iou = box_iou(anchors, boxes)  # [99765, 13]
best_iou, best_object = iou.max(dim=1)  # [99765] each
matches = best_object.clone()
matches[best_iou < 0.5] = -2  # ignored
matches[best_iou < 0.4] = -1  # negative
print("positive:", (matches >= 0).sum().item())
print("ignored: ", (matches == -2).sum().item())
print("negative:", (matches == -1).sum().item())
print("the star's anchor learns:", CLASSES[labels[matches[STAR]]])

# %% [markdown]
# So 349 of 99,765 anchors have an object to learn: one in 286. How many does each object get?

# %%
for number, label in enumerate(labels.tolist()):
    print(f"{CLASSES[label]:8}", (matches == number).sum().item())

# %% [markdown]
# ### The pill
#
# The pill gets none. It stands in the data, a detector that misses it is marked down, and no anchor is ever told of it. The cure: every object keeps its **best anchor**, whatever their IoU. (Should two objects have the same one, it goes to the one that it overlaps more, and the other may have none.) The package does this by default (`keep_best=True`); with `keep_best=False` it follows the paper and the original (the public `pytorch-retinanet`) to the letter.

# %%
pill = labels.tolist().index(CLASSES.index("pill"))
pill_best = iou[:, pill].max()
print("the pill's best IoU:", round(pill_best.item(), 2))
print("anchors that reach it:", (iou[:, pill] == pill_best).sum().item())
for keep_best in (False, True):
    matches = retinanet_lite.match_anchors(anchors, boxes, keep_best=keep_best)
    found = [(matches >= 0).sum().item(), (matches == pill).sum().item()]
    print(f"keep_best={keep_best}: {found[0]} positive, the pill has {found[1]}")

# %%
matches = retinanet_lite.match_anchors(anchors, boxes)
counts = [74880, 18720, 4680, 1170, 315]
show_matching(
    scene, anchors, matches, counts, "Which anchors learn an object, and which are ignored?"
)

# %% [markdown]
# Each mark is the centre of an anchor, or of several. The pill's anchor was negative before, so 350 are positive now, 98,768 negative, and 647 ignored as before. P7, whose anchors are larger than any object here, has no positive one, and a few ignored.
#
# ### Play with it
#
# Here is one object alone, the blue box; what the picture shows elsewhere does not count. Move its edges with the sliders, and see which anchors learn it, and on which level. The bars at the right are the four numbers that the best anchor has to learn; the next section says what they mean. Make it as flat as the pill, or as small as the square. Then move the two thresholds: under the left one an anchor is negative, from the right one on it is positive.

# %% tags=["nbval-ignore-output"]
explore_matching(scene)

# %%
x1, y1, x2, y2 = boxes[pill].int().tolist()
print(show_matching_of(scene, x=(x1, x2), y=(y1, y2)))

# %% [markdown]
# Alone, too, the pill has its one anchor, kept because it is the best.
#
# ## What the box learns
#
# A positive anchor has to become its object's box. Four numbers say how. With the anchor's centre (xa, ya), width wa and height ha, and the object's x, y, w, h:
#
# - tx = (x − xa) / wa / 0.1 and ty = (y − ya) / ha / 0.1: the shift, in tenths of the anchor's width and height;
# - tw = log(w / wa) / 0.2 and th = log(h / ha) / 0.2: the logarithm of the stretch, in fifths. It makes twice as wide and half as wide equally far from 0.
#
# The divisions by 0.1 and 0.2 make all four about as large as 1. (The mean sizes over the positive anchors of our scene are printed below.)

# %%
x, y, w, h = (bx1 + bx2) / 2, (by1 + by2) / 2, bx2 - bx1, by2 - by1
xa, ya, wa, ha = (ax1 + ax2) / 2, (ay1 + ay2) / 2, ax2 - ax1, ay2 - ay1
target = [(x - xa) / wa / 0.1, (y - ya) / ha / 0.1, math.log(w / wa) / 0.2, math.log(h / ha) / 0.2]
print("the star's targets:", [round(t, 3) for t in target])
title = "How must the star's anchor (dashed) move?"
show_delta(scene.image, anchors[STAR], boxes[0], title)

# %% [markdown]
# Read them: a little to the left (tx < 0), more upwards (ty < 0), the width is right already (tw = 0), a little less tall (th < 0). The package calls this `encode`. Its inverse, `decode`, gives the box back:

# %%
transform = retinanet_lite.BBoxTransform()
encoded = transform.encode(anchors[STAR], boxes[0])
print("same targets:", torch.allclose(encoded, torch.tensor(target)))
decoded = transform.decode(anchors[STAR], encoded)
print("back again:  ", decoded.round().int().tolist(), "=", boxes[0].int().tolist())
positive = matches >= 0
wanted = transform.encode(
    anchors[positive], boxes[matches[positive]]
)  # one row per positive anchor
print("mean sizes:  ", [round(size, 1) for size in wanted.abs().mean(dim=0).tolist()])
pill_targets = transform.encode(anchors[matches == pill][0], boxes[pill])
print("the pill's:  ", [round(t, 1) for t in pill_targets.tolist()])

# %% [markdown]
# The pill's anchor has a long way to go. Five anchors fit the pill equally well, and the first of them keeps it, at the pill's left end. So tx is large; tw and th are, since the anchor is shorter than the pill and less flat. All three are more than twice the mean, but still moderate numbers.
#
# ### Play with it
#
# The four deltas move the box that is decoded from the star's anchor. Can you put it on the star? The targets above say how.

# %% tags=["nbval-ignore-output"]
explore_deltas(scene, anchors[STAR])

# %%
print(show_deltas(scene, anchors[STAR], *(round(t, 1) for t in target)))

# %% [markdown]
# ### The box loss
#
# The loss of a box is **smooth L1** of the difference d between what the head says and the target: d² / (2β) where |d| < β, and |d| − β/2 beyond. β = 1/9 is a convention. Far off, the gradient is the same however far: each number pulls with full force. Close by, the pull fades. The box loss is the mean over the four numbers of all positive anchors.

# %%
d = torch.tensor([-1.0, -0.05, 0.0, 0.05, 1.0])
beta = 1 / 9
by_hand = torch.where(d.abs() < beta, d**2 / (2 * beta), d.abs() - beta / 2)
print([round(value, 4) for value in by_hand.tolist()])
same = torch.allclose(by_hand, F.smooth_l1_loss(d, 0 * d, reduction="none", beta=beta))
print("equal to PyTorch's:", same)

# %% [markdown]
# ## What the classes learn
#
# Each anchor has 20 **entries**, one per class, and each entry gets a **target**: 1 for the class of its object, 0 for all others. A negative anchor has 0 everywhere. Ignored anchors are left out. We call an entry with target 1 a *positive entry*, and all others *negative entries*; 19 of the 20 entries of a positive anchor are negative.

# %%
targets = torch.zeros(99765, 20)
targets[positive, labels[matches[positive]]] = 1
kept = matches != -2
print("entries:", f"{targets[kept].numel():,}", "of them 1:", int(targets[kept].sum()))

# %% [markdown]
# ### Cross entropy drowns
#
# How wrong is an entry? Let p be the probability that the head gives the class, and **p_t** the probability that it gives to the *truth*: p where the target is 1, and 1 − p where it is 0. The usual loss is the **cross entropy**, −log(p_t): 0 for p_t = 1, and large when the truth was thought unlikely.
#
# The entries' losses are summed, and the sum is divided by the number of positive anchors (or by 1 if there are none). So an image with many objects does not weigh more than one with few. Last, the mean over the images of the batch is taken.
#
# Suppose a head without opinion: it says p = 0.5 everywhere.


# %%
def cross_entropy(p, targets):
    p_t = torch.where(targets == 1, p, 1 - p)
    return -torch.log(p_t)


def shares(loss):
    """The part of the loss that comes from entries with target 1, and from all others."""
    ones = loss[kept][targets[kept] == 1].sum().item()
    total = loss[kept].sum().item()
    return total, ones / total


total, share = shares(cross_entropy(torch.full_like(targets, 0.5), targets))
print(f"loss per positive anchor: {total / 350:,.0f}")
print(f"part that comes from the objects: {share:.4%}")

# %% [markdown]
# Nearly two million entries shout "there is nothing", and 350 whisper "star", "house", "pill". The first steps move everything towards "nothing". The paper reports that training from here diverges.
#
# ### The prior
#
# The first help is to start from a sensible guess. The bias of the output layer is set to −log((1 − π) / π) with π = 0.01, so that every p is 0.01 at the start:

# %%
pi = 0.01
p = torch.sigmoid(torch.full_like(targets, -math.log((1 - pi) / pi)))
total, share = shares(cross_entropy(p, targets))
print(f"every p: {p[0, 0]:.4f}")
print(f"loss per positive anchor: {total / 350:,.0f}")
print(f"part that comes from the objects: {share:.1%}")

# %% [markdown]
# Much better, but still: each negative entry costs next to nothing, −log(0.99) = 0.01, and two million of them outweigh 350 positive entries by far.
#
# ### The focal loss
#
# So turn the easy entries down. The focal loss multiplies the cross entropy by (1 − p_t)^γ:
#
# $$\mathrm{FL}(p_t) = -\alpha_t \, (1 - p_t)^{\gamma} \log(p_t)$$
#
# An entry that is nearly right has a p_t near 1, so 1 − p_t is small, and to the power of γ = 2 it is very small. For an entry that is wrong, 1 − p_t is near 1, and (1 − p_t)^γ takes little away. α_t is a weight for the two kinds: α = 0.25 where the target is 1, and 1 − α = 0.75 where it is 0. The smaller one for the few? With γ = 2 the negative entries are so quiet that α gives a little back; the pair 2 and 0.25 was the paper's best.


# %%
def focal(p, targets, alpha=0.25, gamma=2.0):
    p_t = torch.where(targets == 1, p, 1 - p)
    alpha_t = torch.where(targets == 1, alpha, 1 - alpha)
    return -alpha_t * (1 - p_t) ** gamma * torch.log(p_t)


one, zero = torch.tensor(1.0), torch.tensor(0.0)
for name, target in [("easy: nothing there, p = 0.01", zero), ("hard: a star, p = 0.01", one)]:
    p_small = torch.tensor(0.01)
    ce, fl = cross_entropy(p_small, target).item(), focal(p_small, target).item()
    print(f"{name:30} cross entropy {ce:.5f}  focal {fl:.8f}")

# %%
show_focal_curves()

# %% [markdown]
# γ = 0 is the cross entropy, and each larger γ takes more from the easy entries at the right. At p_t = 0.8, γ = 2 leaves (1 − 0.8)² = 1/25 of the cost; at p_t = 0.1 it leaves 0.9² = 81%.
#
# On the scene, with the prior:

# %%
total, share = shares(focal(p, targets))
print(f"loss per positive anchor: {total / 350:.2f}")
print(f"part that comes from the objects: {share:.1%}")

# %%
parts = {
    "cross entropy, p = 0.5": shares(cross_entropy(torch.full_like(targets, 0.5), targets))[1],
    "cross entropy, prior": shares(cross_entropy(p, targets))[1],
    "focal loss, prior": shares(focal(p, targets))[1],
}
show_shares(
    {name: {"positive": s, "negative": 1 - s} for name, s in parts.items()},
    "Who speaks in the loss?",
    "share of the classification loss",
)

# %% [markdown]
# Now the objects are heard.
#
# ### Later, in training
#
# That was the first step. Later nearly all entries are easy, and a few are hard. Which of them does the loss listen to? Take the small trained detector of notebook 00, on this scene. We sort the terms of all entries, largest first, and ask how much of the sum the hundred largest make.

# %%
trained = Detector.pretrained("shapes", plain=True).model
with torch.no_grad():
    logits_trained = trained.predict(to_batch([scene])[0])[0][0]
p_trained = logits_trained.sigmoid().clamp(1e-7, 1 - 1e-7)  # [99765, 20]


def share_of_largest(entries, count):
    terms = entries[matches != -2].flatten().sort(descending=True).values
    return (terms[:count].sum() / terms.sum()).item()


hard = {
    "cross entropy": share_of_largest(cross_entropy(p_trained, targets), 100),
    "focal loss": share_of_largest(focal(p_trained, targets), 100),
}
for name, share in hard.items():
    print(f"{name:13}: the hundred hardest make {share:.0%}")
show_shares(
    {name: {"the hundred hardest": s, "all others": 1 - s} for name, s in hard.items()},
    "Who speaks in the loss of a trained detector?",
    "share of the classification loss",
)

# %% [markdown]
# A hundred of two million entries. They make about a fifth of the cross entropy, and nearly all of the focal loss. Hence its name: it focuses on what is still wrong. What is that here? We count the hundred by the class of the entry, and by the object that its anchor overlaps most.

# %%
terms = focal(p_trained, targets).where(kept[:, None], 0.0)
kinds = Counter()
for entry in terms.flatten().topk(100).indices.tolist():
    object_under = labels[best_object[entry // 20]]
    kinds[f"{CLASSES[entry % 20]} on the {CLASSES[object_under]}"] += 1
most = kinds.most_common(4)
print("the four most frequent:", sorted(name for name, _ in most))
print("they are more than three quarters:", sum(count for _, count in most) > 75)

# %% [markdown]
# These are the failures that notebook 00 showed: the ring, cut off by the border, was taken for a moon, and the gear was a flower as well.
#
# ## On logits
#
# The formula above has a weakness. In float32, a p that should be 1 − 10⁻⁹ is 1, and log(1 − p) is −∞. Some implementations clamp p to [0.0001, 0.9999] to avoid it. See what this does to an object that the head has missed completely, with a logit of −12:

# %%
logit = torch.tensor(-12.0, requires_grad=True)
clamped = torch.sigmoid(logit).clamp(1e-4, 1 - 1e-4)
focal(clamped, one).backward()
print("clamped: gradient", round(logit.grad.item(), 3))

logit.grad = None
retinanet_lite.focal_loss(logit, one).backward()
print("ours:    gradient", round(logit.grad.item(), 3))

# %% [markdown]
# The clamp cuts the gradient off just where it is needed most: from such an anchor the object is not learned at all. Without it the gradient is −α, the full pull: out there the cross entropy has slope −1, and (1 − p_t)² is 1. The package computes everything from logarithms of sigmoids. With the logit x, and s = x where the target is 1, s = −x where it is 0:
#
# p_t = σ(s), log(p_t) = log σ(s), and, since 1 − σ(s) = σ(−s), (1 − p_t)^γ = exp(γ · log σ(−s))
#
# PyTorch's `logsigmoid` stays accurate for any number.
#
# ## The class
#
# Matching, targets, focal loss, box loss: all of it, for a batch. `annotations` is [B, M, 5]: each row has the four edges and the class of an object. M is the number of objects in the fullest image; the others are filled up with rows of −1.


# %%
def focal_loss(logits, targets, alpha=0.25, gamma=2.0):
    s = torch.where(targets == 1, logits, -logits)
    alpha_t = torch.where(targets == 1, alpha, 1 - alpha)
    return alpha_t * torch.exp(gamma * F.logsigmoid(-s)) * -F.logsigmoid(s)


class FocalLoss(nn.Module):
    def forward(self, classification, regression, anchors, annotations):
        losses = []
        for logits, deltas, rows in zip(classification, regression, annotations, strict=True):
            objects = rows[rows[:, 4] >= 0]  # without the rows of −1
            matches = retinanet_lite.match_anchors(anchors, objects[:, :4])
            positive = matches >= 0
            matched = objects[matches[positive]]  # one row per positive anchor, 5 numbers each
            count = max(1, len(matched))

            targets = torch.zeros_like(logits)
            targets[positive, matched[:, 4].long()] = 1
            entries = focal_loss(logits, targets)[matches != -2]

            wanted = transform.encode(anchors[positive], matched[:, :4])
            off = F.smooth_l1_loss(deltas[positive], wanted, beta=1 / 9, reduction="sum")
            losses.append([entries.sum() / count, off / (4 * count)])
        c, r = zip(*losses, strict=True)
        return {"classification": torch.stack(c).mean(), "regression": torch.stack(r).mean()}


# %% [markdown]
# ### Proof
#
# Random logits and deltas for a batch of two: our scene, and an image with nothing in it. The losses, and their gradients with respect to all logits and deltas, are those of the package.

# %%
nothing = (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
annotations = to_annotations([(boxes, labels), nothing])
print("annotations", shape(annotations))

results = []
for loss in (FocalLoss(), retinanet_lite.FocalLoss()):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 99765, 20, generator=generator).requires_grad_()
    deltas = torch.randn(2, 99765, 4, generator=generator).requires_grad_()
    losses = loss(logits, deltas, anchors, annotations)
    sum(losses.values()).backward()
    results.append([*losses.values(), logits.grad, deltas.grad])
for name, a, b in zip(
    ["classification", "regression", "gradient of logits", "gradient of deltas"],
    *results,
    strict=True,
):
    print(f"{name:18} equal: {torch.allclose(a, b)}")

# %% [markdown]
# ## The star's term
#
# What does the star's anchor learn? We take the head's first answer, p = 0.01 and deltas 0. Row 95,592 adds to the classification loss the focal loss of its 20 entries, and to the box loss the mean of four smooth L1 terms, both divided by the 350 positive anchors. Before that division:

# %%
first_logit = -math.log(99.0)  # the logit of p = 0.01
entries = retinanet_lite.focal_loss(torch.full((20,), first_logit), targets[STAR])
print(
    "focal loss of 'star':",
    round(entries[8].item(), 3),
    " of all 20:",
    round(entries.sum().item(), 3),
)
terms = F.smooth_l1_loss(torch.zeros(4), encoded, beta=1 / 9, reduction="none")
print(
    "smooth L1 of the four:",
    [round(t, 3) for t in terms.tolist()],
    " mean:",
    round(terms.mean().item(), 3),
)

# %% [markdown]
# And the gradients of that row. A learning step moves each number *against* its gradient.

# %%
logits = torch.full((1, 99765, 20), first_logit, requires_grad=True)
deltas = torch.zeros(1, 99765, 4, requires_grad=True)
losses = retinanet_lite.FocalLoss()(logits, deltas, anchors, annotations[:1])
sum(losses.values()).backward()
print("losses:", {name: round(value.item(), 3) for name, value in losses.items()})
by_logits, by_deltas = logits.grad[0, STAR] * 350, deltas.grad[0, STAR] * 350
print("gradient of the logit of 'star':", round(by_logits[8].item(), 3))
print("of each other logit, at most:   ", round(by_logits[torch.arange(20) != 8].max().item(), 6))
print("of tx, ty, tw, th:              ", [round(g, 3) for g in by_deltas.tolist()])

# %% [markdown]
# (Times 350, the number of positive anchors, so that the numbers are those of one anchor.) The logit of "star" goes up, with a little more than α: as p rises, not only −log(p) falls, but (1 − p)² too. The others go a very little down. tx, ty and th pull at full strength, because they are more than β off: 1, and a quarter of it after the mean over four. Their gradients are positive, so they fall: tx to the left, ty up, th less tall, which is where the star is. tw is right already, and does not pull.
#
# ### Play with it
#
# Here are the entries of our scene. An entry without an object is called easy if its probability is under 0.1, and hard otherwise. The bars say who makes the entries, the loss, and the gradient (that of the loss by the logits; the bar adds up its absolute sizes). What do γ and α do to the curve, and to who is heard?
#
# "Training" goes forward in time, roughly: at 0 every entry says π, as before the first step; at 1 the logits are those of the trained detector, and π is forgotten; in between they are in between. Raise π at training 0: what is left of the objects' share? Set it back to 0.01. Then set γ to 0, and see what drowns the objects, at the start and at the end.
#
# Two million entries are too many for a slider, so this cell puts those of like logits together:

# %%
entries = bin_by_logit(logits_trained[matches != -2].flatten(), targets[matches != -2].flatten())

# %% tags=["nbval-ignore-output"]
explore_focal_loss(entries)

# %%
print("after training:", show_focal_loss(entries))

# %%
print("the same with γ = 0:", show_focal_loss(entries, gamma=0.0))

# %%
print("γ = 0, before training:", show_focal_loss(entries, gamma=0.0, training=0.0))

# %% [markdown]
# With γ = 2 the easy negatives make nearly nothing of the loss, though they are nearly all of the entries. With γ = 0 they make most of it, before training and after. The detector itself was trained with γ = 2 all the same; only the loss that measures it changes. (It is not quite the cross entropy of above: α = 0.25 still counts an entry without an object three times as much as one with an object. So before training the objects make 3% here, where they made 7.5%.)

# %% [markdown]
# ## Exercise 1 (10 min)
#
# Write `iou_of(a, b)` for two boxes, each a list x1, y1, x2, y2.
#
# *Hint: two boxes may lie apart. Then the shared part is not negative, it is 0.*


# %%
def iou_of(a, b):
    # your turn
    ...


check_iou(iou_of)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def iou_of(a, b):
#     width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
#     height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
#     areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
#     return width * height / (sum(areas) - width * height)
# ```
# </details>
#
# ## Exercise 2 (10 min)
#
# Write `targets_of(anchor, box)`: it gets two boxes, each a list x1, y1, x2, y2, and returns tx, ty, tw, th.
#
# *Hint: the formulas are under "What the box learns"; they want centres and sizes. `math.log` is the logarithm.*


# %%
def targets_of(anchor, box):
    # your turn: return tx, ty, tw, th
    ...


check_targets(targets_of)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def targets_of(anchor, box):
#     wa, ha = anchor[2] - anchor[0], anchor[3] - anchor[1]
#     w, h = box[2] - box[0], box[3] - box[1]
#     tx = (box[0] + w / 2 - anchor[0] - wa / 2) / wa / 0.1
#     ty = (box[1] + h / 2 - anchor[1] - ha / 2) / ha / 0.1
#     return tx, ty, math.log(w / wa) / 0.2, math.log(h / ha) / 0.2
# ```
# </details>
#
# ## Exercise 3 (5 min)
#
# Write `focal_of(p, target)` for a single entry with numbers: γ = 2 and α = 0.25.
#
# *Hint: p and target are plain numbers, so use `if` and `math.log`. First p_t and α_t, each by the target.*


# %%
def focal_of(p, target):
    # your turn
    ...


check_focal(focal_of)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def focal_of(p, target):
#     p_t = p if target == 1 else 1 - p
#     alpha_t = 0.25 if target == 1 else 0.75
#     return -alpha_t * (1 - p_t) ** 2 * math.log(p_t)
# ```
# </details>
#
# ## What others do
#
# Others decide some of this otherwise. Each difference is an argument, so you can have it either way, and here you see what it changes. (As in notebook 02, v1 is torchvision's older RetinaNet and v2 its newer one.)
#
# ### Deltas divided by nothing
#
# torchvision and detectron2 leave out the divisions by 0.1 and 0.2. With us that is `BBoxTransform(std=(1, 1, 1, 1))`. Their targets are a tenth or a fifth of ours, and mean the same box. What does not work is to mix the two: to learn deltas by one rule, and read them by the other.

# %%
plain = retinanet_lite.BBoxTransform(std=(1, 1, 1, 1))
encoded_plain = plain.encode(anchors[STAR], boxes[0])
print("the star's targets, ours:  ", [round(t, 3) for t in encoded.tolist()])
print("the star's targets, theirs:", [round(t, 3) for t in encoded_plain.tolist()])
ours_as_theirs = plain.decode(anchors[STAR], encoded)
theirs_as_ours = transform.decode(anchors[STAR], encoded_plain)
for name, box in [("ours as theirs", ours_as_theirs), ("theirs as ours", theirs_as_ours)]:
    print(f"{name}: edges up to {(box - boxes[0]).abs().max():.0f} pixels off")
title = "Where do our deltas lead, read as theirs?"
show_decoding(scene.image, anchors[STAR], ours_as_theirs, boxes[0], title)

# %% [markdown]
# Our deltas read as theirs throw the box far away. Theirs read as ours leave it nearly where its anchor is: a mistake that looks like a detector that has learned little.
#
# ### Which best anchors are kept
#
# torchvision and detectron2 keep best anchors, too, but *all* that are equally good. With us that is `keep_best="low_quality"`: torchvision calls such matches low-quality matches.

# %%
for keep_best in (False, True, "low_quality"):
    learns = retinanet_lite.match_anchors(anchors, boxes, keep_best=keep_best)
    found = [(learns >= 0).sum().item(), (learns == pill).sum().item()]
    print(f"keep_best={keep_best}: {found[0]} positive, the pill has {found[1]}")
five = anchors[learns == pill]
print("tx of the five:", [round(t, 1) for t in transform.encode(five, boxes[pill])[:, 0].tolist()])
show_anchors(scene.image, five, "Which anchors are kept for the pill?", boxes[pill])
_ = plt.gca().set(xlim=(505, 705), ylim=(640, 550))

# %% [markdown]
# `True` keeps the first, the solid one; `"low_quality"` keeps all five. The one in the middle has the shortest way to go: a tx of 0.4 in place of 4.
#
# There is a second difference. An anchor that is kept in their way learns the object that *it* overlaps most, and that need not be the one that it was kept for. Take a large object, a small one inside it, and two anchors:

# %%
two_objects = torch.tensor([[0.0, 0, 40, 120], [5, 5, 17, 17]])
names = ["large", "small"]
two_anchors = torch.tensor([[0.0, 0, 40, 40], [0, 0, 40, 100]])
for name, row in zip("AB", box_iou(two_anchors, two_objects).tolist(), strict=True):
    print(f"anchor {name}: IoU with the large object {row[0]:.2f}, with the small one {row[1]:.2f}")
for keep_best in (False, True, "low_quality"):
    rows = retinanet_lite.match_anchors(two_anchors, two_objects, keep_best=keep_best).tolist()
    learned = [names[row] if row >= 0 else "nothing" for row in rows]
    print(f"keep_best={keep_best}: A learns {learned[0]}, B learns {learned[1]}")

# %% [markdown]
# A is the small object's best anchor, so it is kept. But A overlaps the large object more. With `True` it learns the small one; with `"low_quality"` it learns the large one, and no anchor learns the small one.
#
# ### What a box costs
#
# `FocalLoss(box_loss=…)` has three choices:
#
# - `"smooth_l1"`, ours and the original's: the mean of smooth L1 over the four numbers;
# - `"l1"`, that of torchvision's v1 and of detectron2: the sum of the four absolute differences, without a parabola;
# - `"giou"`, that of torchvision's v2: it compares boxes, not deltas. The cost is one minus the **generalized IoU** of the decoded box and the object (Rezatofighi et al. 2019, arXiv 1902.09630).
#
# Why not one minus the IoU? Because the IoU of two boxes apart is 0, whether 1 or 1,000 pixels apart, and a loss that stays the same has no gradient. The generalized IoU of two boxes A and B goes on counting. Let C be the smallest box around both, A ∪ B what A and B cover together, and | | an area:
#
# $$\mathrm{GIoU} = \mathrm{IoU} - \frac{|C| - |A \cup B|}{|C|}$$
#
# So from the IoU it takes the part of C that neither of them covers. It is 1 for equal boxes, and nears −1 as they move apart. For the star and its anchor, with `shared` and `together` (which is |A ∪ B|) from the top of this page:

# %%
area_c = (max(ax2, bx2) - min(ax1, bx1)) * (max(ay2, by2) - min(ay1, by1))
print("IoU:", round(shared / together, 4))
print("part of C that neither covers:", round((area_c - together) / area_c, 4))
print("by hand:    ", round(shared / together - (area_c - together) / area_c, 4))
print("torchvision:", round(generalized_box_iou(anchors[STAR][None], boxes[:1]).item(), 4))

# %% [markdown]
# Now put a box on top of an object of its size, 128 pixels, and move it to the right. What does each loss say?

# %%
box_losses = {
    "smooth_l1, our deltas": retinanet_lite.FocalLoss(),
    "l1, deltas divided by nothing": retinanet_lite.FocalLoss(box_loss="l1", box_transform=plain),
    "giou": retinanet_lite.FocalLoss(box_loss="giou", box_transform=plain),
}
pixels = torch.arange(257)
still = anchors[STAR].expand(257, 4)  # anchor and object alike
moved = still + pixels[:, None] * torch.tensor([1, 0, 1, 0])
curves = {"1 − IoU": 1 - box_iou(moved, still[:1])[:, 0]}
for name, loss in box_losses.items():
    curves[name] = loss.box_losses(loss.box_transform.encode(still, moved), still, still)

# %%
_, ax = plt.subplots(figsize=(6.8, 3.4), layout="constrained")
for (name, curve), line in zip(curves.items(), LINES, strict=False):
    ax.plot(pixels, curve, **line, label=name)
    saved = (curve[192] - curve[182]).item()
    print(f"{name}: at 192 pixels, 10 pixels closer save {saved:.2f}")
ax.axvline(128, color="black", linewidth=0.8, label="apart from here on")
ax.set(title="Which loss still falls when boxes apart come closer?", xlabel="pixels off")
ax.set(ylabel="loss of the box", ylim=(0, 3))
_ = ax.legend(fontsize=8)

# %% [markdown]
# All but 1 − IoU. While the boxes overlap, `giou` lies on 1 − IoU, since two boxes of one size, side by side, leave nothing of C uncovered. Beyond, it goes on, but the farther off the box is, the less it pulls; and as GIoU is never below −1, it never costs more than 2. The other two are as good as straight lines, and pull as hard far off as near by: they look at each of the four numbers alone, and at no overlap.
#
# The units differ, so the box loss also weighs otherwise beside the classification loss. For our scene, with the head's first deltas, 0:

# %%
for name, loss in box_losses.items():
    at, to = anchors[positive], boxes[matches[positive]]
    each = loss.box_losses(torch.zeros(len(at), 4), at, to)  # [350]
    print(f"{name}: {each.mean():.2f} per positive anchor")

# %% [markdown]
# All divide the sum by the number of positive anchors, here 350. torchvision does as we do: each image's sum by its own number, then the mean over the images. detectron2 divides the sum of a whole batch by a moving average of that number: its mean over many batches, in which later ones count more. So there a positive anchor weighs about the same, whether its image has few others or many.
#
# That average has no argument here, nor has the original's clamp of p to [0.0001, 0.9999]: under "On logits" you saw what it costs.
#
# The table of all differences is in [differences](../docs/differences.md). The arguments that make our detector one of the others are in `retinanet_lite/zoo/torchvision_retinanet.py` and `retinanet_lite/zoo/pytorch_retinanet.py`, with what reads and writes their parameters.
#
# ## What to remember
#
# 1. IoU of at least 0.5: positive; under 0.4: negative; between: ignored; and an object keeps its best anchor, unless another object takes it.
# 2. The prior and (1 − p_t)^γ quiet two million easy entries, so that 350 anchors are heard.
# 3. An anchor learns the shift and stretch that make it its object's box. The loss works on logits, and clamps nothing.
#
# In the paper: RetinaNet §3 (focal loss), §4.1 (prior, normaliser); table 1b, as published: an average precision (AP, a measure of detections from 0 to 100, more is better) of 31.1 for γ = 0 with its best α, and 34.0 for γ = 2 with α = 0.25.
#
# Next: [06 · RetinaNet](06_retinanet.ipynb), where all of it comes together.
