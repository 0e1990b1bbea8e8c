# %% [markdown]
# # 05 · Matching
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/OWNER_NAME/retinanet-lite/blob/main/notebooks/05_matching.ipynb)
#
# **In this notebook you decide what each of 99,765 anchors learns: 350 an object, 98,768 that there is none, and 647 nothing. And you see the four numbers by which an anchor becomes its object's box.**
#
# About 15 seconds on a CPU, 25 minutes to read, and 35 to write. You need the anchors of notebook [04](04_anchors.ipynb).

# %%
# where the package is missing, as in Colab, this installs it; what is there already stays
from importlib.util import find_spec

if find_spec("retinanet_lite") is None:
    source = "git+https://github.com/OWNER_NAME/retinanet-lite"
    get_ipython().run_line_magic("pip", f'install -q "retinanet-lite[learn] @ {source}"')

# %%
import math

import torch
import torch.nn.functional as F
from torchvision.ops import box_iou

import retinanet_lite
from retinanet_lite import learn
from retinanet_lite.data.drawing import CLASSES, random_scene, walkthrough_scene

learn.show_map(here="matching")


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
# The IoU of notebook 04, by hand now, for the star and its anchor. The shared part reaches from the larger of the two left edges to the smaller of the two right ones, and likewise from top to bottom:

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
# An anchor is only a box. When we say that it learns, we mean the heads: what they say in the anchor's row. For each anchor, take the object that it overlaps most. Then there are three cases, with the paper's thresholds:
#
# - IoU of at least 0.5: the anchor is **positive**. It learns this object: its class, and its box.
# - IoU under 0.4: it is **negative**. It learns that no class is there, and no box.
# - in between: it is **ignored**. It learns nothing at all.
#
# `matches` has a number for each anchor: the row of its object, or −1 for negative, or −2 for ignored.
#
# > **Predict, then run.** There are 13 objects and 99,765 anchors. How many anchors are positive? *Your guess:*

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
counts = [74880, 18720, 4680, 1170, 315]  # anchors of P3, P4, P5, P6 and P7
for number, label in enumerate(labels.tolist()):
    of_levels = [(level == number).sum().item() for level in matches.split(counts)]
    print(f"{CLASSES[label]:8}", f"{sum(of_levels):2}, on P3 to P7:", of_levels)

# %% [markdown]
# ### The pill
#
# The pill gets none. It stands in the data, and no anchor is told of it. The cure: every object gets its **best anchor**, whatever their IoU. If several are equally good, it gets the first of them in the list. (If two objects have the same best anchor, it learns the one that it overlaps more.) The package does this by default, `keep_best=True`; with `keep_best=False` it follows the paper.

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
print("positive:", (matches >= 0).sum().item())
print("ignored: ", (matches == -2).sum().item())
print("negative:", (matches == -1).sum().item())
learn.show_matching(
    scene, anchors, matches, counts, "Which anchors learn an object, and which are ignored?"
)

# %% [markdown]
# Each mark is the centre of an anchor, or of several that stand on one another. The pill's anchor was negative before, so 350 are positive now, 98,768 negative, and 647 ignored as before. P7, whose anchors are larger than any object here, has no positive one, and a few ignored.
#
# ### Build it (15 min)
#
# Write both rules in one function. `learn.keep` compares it with the package's `match_anchors`, and keeps it in `mine/matching.py` if it is right. An object's best anchor learns it even if that anchor has learned another one until then. An image may have no object at all: then every anchor is negative. An object that no anchor overlaps has no best anchor.
#
# *Hint: first the three cases, as above. Then go through the objects, from the one whose best IoU is least to the one whose best IoU is greatest, and give each its best anchor: who comes last has the last word. `argsort` tells the order, and `iou.max(dim=0)` the best anchor of each object.*


# %%
def my_matches(anchors, boxes):
    """Which object each anchor learns.

    Shapes: anchors [N, 4] and boxes [M, 4] → matches [N], whole numbers: the row of the object,
    or −1 for negative, or −2 for ignored.
    """
    # your turn
    ...


learn.keep(my_matches)

# %% [markdown]
# Our function is folded in the next cell.


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def match(anchors, boxes):
    if len(boxes) == 0:
        return torch.full((len(anchors),), -1)
    iou = box_iou(anchors, boxes)  # [N, M]
    best_iou, matches = iou.max(dim=1)  # of each anchor
    matches[best_iou < 0.5] = -2
    matches[best_iou < 0.4] = -1
    best_iou, best_anchor = iou.max(dim=0)  # of each object, [M]
    for number in best_iou.argsort().tolist():
        if best_iou[number] > 0:
            matches[best_anchor[number]] = number
    return matches


# %% [markdown]
# The package's does the same. Compared on this scene and on a second one:

# %%
for one in (scene, random_scene(seed=1)):
    package = retinanet_lite.match_anchors(anchors, one.boxes)
    apart = (match(anchors, one.boxes) != package).sum().item()
    print(f"{len(one.boxes)} objects: {apart} of {len(package):,} anchors differ")

# %% [markdown]
# ### Play with it
#
# Here is one object alone, the blue box; what the picture shows elsewhere does not count. Move its edges with the sliders, and see which anchors learn it, and on which level. The four bars at the right are the next section's. Make it as flat as the pill, or as small as the square. Then move the two thresholds: under the left one an anchor is negative, from the right one on it is positive.

# %% tags=["nbval-ignore-output"]
learn.explore_matching(scene)

# %%
x1, y1, x2, y2 = boxes[pill].int().tolist()
print(learn.show_matching_of(scene, x=(x1, x2), y=(y1, y2)))

# %% [markdown]
# Alone, too, the pill has its one anchor.
#
# ## What the box learns
#
# A positive anchor has to become its object's box. Four numbers, its **targets**, say how. With the anchor's centre (xa, ya), width wa and height ha, and the object's x, y, w, h:
#
# - tx = (x − xa) / wa / 0.1 and ty = (y − ya) / ha / 0.1: how far the centre moves, as a part of the anchor's width and height, divided by 0.1;
# - tw = log(w / wa) / 0.2 and th = log(h / ha) / 0.2: how many times as wide and as high it gets, as a natural logarithm, divided by 0.2.
#
# What the regression head says are the **deltas**: four numbers of the same meaning, which have to become the targets. For the star:

# %%
x, y, w, h = (bx1 + bx2) / 2, (by1 + by2) / 2, bx2 - bx1, by2 - by1
xa, ya, wa, ha = (ax1 + ax2) / 2, (ay1 + ay2) / 2, ax2 - ax1, ay2 - ay1
target = [(x - xa) / wa / 0.1, (y - ya) / ha / 0.1, math.log(w / wa) / 0.2, math.log(h / ha) / 0.2]
print("the star's targets:", [round(t, 3) for t in target])
print(
    f"in pixels: {x - xa:.0f} across, {y - ya:.0f} down; {w / wa:.2f} as wide, {h / ha:.2f} as high"
)
title = "How must the star's anchor (dashed) move?"
learn.show_delta(scene.image, anchors[STAR], boxes[0], title)

# %% [markdown]
# Read them: 12 pixels to the left (tx < 0), 15 upwards (ty < 0), the width is right already (tw = 0), a little less high (th < 0). The logarithm makes twice as wide and half as wide equally far from 0:

# %%
for factor in (0.5, 1.0, 2.0):
    print(f"{factor} times as wide: tw = {math.log(factor) / 0.2:.2f}")

# %% [markdown]
# The package calls the way to the targets `encode`. The way back, from an anchor and four numbers to a box, is `decode`: x = xa + 0.1 · tx · wa, and w = wa · exp(0.2 · tw), likewise for y and h.

# %%
transform = retinanet_lite.BBoxTransform()
encoded = transform.encode(anchors[STAR], boxes[0])
gap = (encoded - torch.tensor(target)).abs().max()
print(f"encode and our formulas differ by at most {gap:.4f}")
decoded = transform.decode(anchors[STAR], encoded)
print("back again:  ", decoded.round().int().tolist(), "=", boxes[0].int().tolist())

# %% [markdown]
# What do 0.1 and 0.2 do? Here are the mean sizes of the four over all positive anchors, with the divisions and without. And how large are the pill's?

# %%
positive = matches >= 0
wanted = transform.encode(anchors[positive], boxes[matches[positive]])  # [350, 4]
sizes = wanted.abs().mean(dim=0)
print("mean sizes:        ", [round(size, 1) for size in sizes.tolist()])
undivided = sizes * torch.tensor([0.1, 0.1, 0.2, 0.2])
print("without a division:", [round(size, 2) for size in undivided.tolist()])
pill_targets = transform.encode(anchors[matches == pill][0], boxes[pill])
print("the pill's:        ", [round(t, 1) for t in pill_targets.tolist()])

# %% [markdown]
# The divisions bring all four near 1. The pill's anchor has a long way to go: it is the first of the five that lie within the pill's length, at its left end, so tx is large; it is less wide than the pill and less flat, so tw and th are. All three are more than twice the mean.
#
# ### Play with it
#
# The four deltas move the box that is decoded from the star's anchor. Can you put it on the star? The targets above say how.

# %% tags=["nbval-ignore-output"]
learn.explore_deltas(scene, anchors[STAR])

# %%
print(learn.show_deltas(scene, anchors[STAR], *(round(t, 1) for t in target)))

# %% [markdown]
# (These are the targets rounded to a tenth, so the box is not quite the star's.)
#
# ### The box loss
#
# The loss of a box is **smooth L1** of the difference d between a delta and its target: d² / (2β) where |d| < β, and |d| − β/2 beyond. β, where the parabola turns into a line, is 1/9, as in the original. Here are its cost and its gradient:

# %%
d = torch.tensor([-2.0, -1.0, -0.05, 0.0, 0.05, 1.0, 2.0], requires_grad=True)
beta = 1 / 9
by_hand = torch.where(d.abs() < beta, d**2 / (2 * beta), d.abs() - beta / 2)
by_hand.sum().backward()
print("d:       ", [round(value, 2) for value in d.tolist()])
print("cost:    ", [round(value, 3) for value in by_hand.tolist()])
print("gradient:", [round(value, 2) for value in d.grad.tolist()])
gap = (by_hand - F.smooth_l1_loss(d, 0 * d, reduction="none", beta=beta)).abs().max()
print(f"differs from PyTorch's by at most {gap:.4f}")

# %% [markdown]
# Far off the gradient is 1, however far; near 0 it fades. The box loss of an image is the mean over the four numbers of all its positive anchors, and 0 if it has none. For our scene, if all deltas are 0, as a new head says them:

# %%
print("box loss:", round(F.smooth_l1_loss(0 * wanted, wanted, beta=beta).item(), 2))

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


learn.check_iou(iou_of)

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


learn.check_targets(targets_of)

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
# ## To go on with
#
# Two tasks without a single right answer.
#
# 1. Invent a rule without IoU: for example, the nine cells nearest to an object's centre, on the level whose anchors have about its size.
#
#    <details><summary>What to look for</summary>
#
#    How many positive anchors does each object get, the small ones and the large? What happens where two objects have the same centre? Does the pill fare better?
#    </details>
#
# 2. Move the two thresholds, 0.4 and 0.5, apart, together, up and down.
#
#    <details><summary>What to look for</summary>
#
#    Count the positive anchors of each object. Which objects lose first? An anchor with an IoU of 0.45 is ignored: what would it teach as background, and what as an object?
#    </details>
#
# ## What to remember
#
# 1. IoU of at least 0.5: positive; under 0.4: negative; between: ignored; and every object gets its best anchor.
# 2. A positive anchor learns to become its object's box: tx, ty are the shift as a part of its sides over 0.1, tw, th the logarithm of the stretch over 0.2.
# 3. The box loss is smooth L1, the mean over the four numbers of all positive anchors.
#
# Others do some of this otherwise: [what others do](14_what_others_do.ipynb#matching-and-box-loss).
#
# In the paper: RetinaNet §4, "Anchors" (0.5 and 0.4) and "Box Regression Subnet". The four numbers are from Girshick, Donahue, Darrell and Malik, *Rich feature hierarchies*, 2014 (arXiv 1311.2524), appendix C.
#
# Next: [06 · The focal loss](06_focal_loss.ipynb), why the loss does not drown in 98,768 negative anchors.
