# %% [markdown]
# # 06 · The focal loss
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/OWNER_NAME/retinanet-lite/blob/main/notebooks/06_focal_loss.ipynb)
#
# **In this notebook you see how 350 anchors that learn an object are outvoted by 98,768 that learn "nothing there", which loss hears them, and where that matters.**
#
# About 20 seconds on a CPU, 35 minutes to read, and 25 to write; it is the heart of RetinaNet. You need matching and box targets from notebook [05](05_matching.ipynb), and logits from notebook [03](03_heads.ipynb).

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
from torch import nn

import retinanet_lite
from retinanet_lite import Detector, learn
from retinanet_lite.data.batches import to_annotations, to_batch
from retinanet_lite.data.drawing import CLASSES, walkthrough_scene

learn.show_map(here="loss")


# %%
def shape(x):
    return list(x.shape)


scene = walkthrough_scene()
boxes, labels = scene.boxes, scene.labels
anchors = retinanet_lite.Anchors()(scene.image[None])
matches = retinanet_lite.match_anchors(anchors, boxes)  # [99765], as in notebook 05
positive = matches >= 0
STAR = 95592  # the row of the star's best anchor
print("anchors", shape(anchors))
print("positive:", positive.sum().item(), " negative:", (matches == -1).sum().item())

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
# ### Outvoted
#
# How wrong is an entry? Let p be the probability that the head gives the class, and **p_t** the probability that it gives to the *truth*: p where the target is 1, and 1 − p where it is 0. The usual loss is the **cross entropy**, −log(p_t): 0 for p_t = 1, and large when the truth was thought unlikely.
#
# The entries' losses are summed, and the sum is divided by the number of positive anchors (or by 1 if there are none). Last, the mean over the images of the batch is taken.
#
# Suppose a head without opinion: it says p = 0.5 everywhere.
#
# > **Predict, then run.** Of its loss, which share belongs to the 350 entries whose target is 1? And if it says 0.01 everywhere? *Your guess:*


# %%
def cross_entropy(p, targets):
    p_t = torch.where(targets == 1, p, 1 - p)
    return -torch.log(p_t)


def shares(loss, p):
    """The loss, and the objects' part of it and of its gradient, if every entry says p."""
    logits = torch.full_like(targets, math.log(p / (1 - p))).requires_grad_()
    entries = loss(logits.sigmoid(), targets)[kept]
    entries.sum().backward()
    pull = logits.grad.abs()[kept]  # how hard each entry pulls at its logit
    ones = targets[kept] == 1
    return entries.sum().item(), *((x[ones].sum() / x.sum()).item() for x in (entries, pull))


total, of_loss, of_gradient = shares(cross_entropy, 0.5)
print(f"loss per positive anchor: {total / 350:,.0f}")
print(f"part that comes from the objects: {of_loss:.3%}, of the gradient {of_gradient:.3%}")

# %% [markdown]
# Nearly two million entries shout "there is nothing", and 350 whisper "star", "house", "pill". Nearly all of the pull is towards "nothing". The paper reports that training from here diverges.
#
# ### The prior
#
# The first help is to start from another guess. The bias of the output layer is set to −log((1 − π) / π) with π = 0.01, so that every p is 0.01 at the start:

# %%
pi = 0.01
print(f"every p: {torch.sigmoid(torch.tensor(-math.log((1 - pi) / pi))):.4f}")
total, of_loss, of_gradient = shares(cross_entropy, pi)
print(f"loss per positive anchor: {total / 350:,.0f}")
print(f"part that comes from the objects: {of_loss:.1%}, of the gradient {of_gradient:.1%}")

# %% [markdown]
# Much better, but still: each negative entry costs next to nothing, −log(0.99) = 0.01, and two million of them outweigh 350 positive entries by far.
#
# ### The focal loss
#
# So turn the easy entries down. The focal loss multiplies the cross entropy by (1 − p_t)^γ:
#
# $$\mathrm{FL}(p_t) = -\alpha_t \, (1 - p_t)^{\gamma} \log(p_t)$$
#
# An entry that is nearly right has a p_t near 1, so 1 − p_t is small, and to the power of γ = 2 it is very small. For an entry that is wrong, 1 − p_t is near 1, and (1 − p_t)^γ takes little away. α_t is a weight for the two kinds: α = 0.25 where the target is 1, and 1 − α = 0.75 where it is 0. The smaller one for the few? With γ = 2 the negative entries are quiet already, and the pair 2 and 0.25 was the paper's best (table 1b).


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
learn.show_focal_curves()

# %% [markdown]
# γ = 0 is the cross entropy, and each larger γ takes more from the easy entries at the right. At p_t = 0.8, γ = 2 leaves (1 − 0.8)² = 1/25 of the cost; at p_t = 0.1 it leaves 0.9² = 81%.
#
# On the scene, with the prior:

# %%
total, of_loss, of_gradient = shares(focal, pi)
print(f"loss per positive anchor: {total / 350:.2f}")
print(f"part that comes from the objects: {of_loss:.1%}, of the gradient {of_gradient:.1%}")

# %%
parts = {
    "cross entropy, p = 0.5": shares(cross_entropy, 0.5)[2],
    "cross entropy, prior": shares(cross_entropy, pi)[2],
    "focal loss, prior": shares(focal, pi)[2],
}
learn.show_shares(
    {name: {"positive": s, "negative": 1 - s} for name, s in parts.items()},
    "Who pulls in the first step?",
    "share of the gradient by the logits",
)

# %% [markdown]
# Now the objects are heard.
#
# ### Later, in training
#
# That was the first step. Which entries does the loss listen to later? Take the small trained detector of notebook 00, on this scene. We sort the terms of all entries, largest first, and ask how much of the sum the hundred largest make.

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
learn.show_shares(
    {name: {"the hundred hardest": s, "all others": 1 - s} for name, s in hard.items()},
    "Who speaks in the loss of a trained detector?",
    "share of the classification loss",
)

# %% [markdown]
# A hundred of two million entries. The hundred largest of each make about a fifth of the cross entropy, and nearly all of the focal loss. Hence its name: it focuses on what is still wrong. What is that here? We count the hundred by the class of the entry, and by the object that its anchor overlaps most.

# %%
from collections import Counter

from torchvision.ops import box_iou

terms = focal(p_trained, targets).where(kept[:, None], 0.0)
nearest = box_iou(anchors, boxes).argmax(dim=1)  # [99765], each anchor's object
kinds = Counter()
for entry in terms.flatten().topk(100).indices.tolist():
    object_under = labels[nearest[entry // 20]]
    kinds[f"{CLASSES[entry % 20]} on the {CLASSES[object_under]}"] += 1
most = kinds.most_common(4)
print("the four most frequent:", sorted(name for name, _ in most))
print("together about", 5 * round(sum(count for _, count in most) / 5), "of the hundred")

# %% [markdown]
# The ring, cut off by the border, is taken for a moon, and the gear for a flower as well: notebook 00 showed both.
#
# ### Does it matter?
#
# Those were shares. What counts is what a detector finds in the end. As published in the paper (tables 1a and 1b: COCO's 80 classes, ResNet-50), AP is 30.2 (average precision, a measure of detections; more is better, and notebook 10 takes it apart) with the cross entropy, both kinds of entries weighing alike, 31.1 with its best α, 0.75, and 34.0 with γ = 2 and α = 0.25.
#
# (The paper counts it from 0 to 100, this page from 0 to 1.) Is it so in small trainings, too? For this page the network of notebook 08 was trained with each of the three, with three seeds, in five settings. The usual one: three kinds of shapes, up to four objects in a scene of 128×128 pixels, a prior of 0.01, 600 steps of four scenes. The others are what their names say: π = 0.5 in place of 0.01; twenty kinds of shapes; these with 1,800 steps; and one object of at most 40 pixels in a scene of 192×192. Before you read on: in which of them would you expect γ to matter most?

# %%
learn.show_focal_study("Where does γ matter?")
for setting, losses in learn.focal_study().items():
    means = [f"{loss}: {sum(values) / len(values):.3f}" for loss, values in losses.items()]
    print(f"{setting:27}", "   ".join(means))

# %% [markdown]
# Each mark is one training. In the usual setting γ changes no more than the seed does. Without the prior nothing diverges here, and the focal loss is ahead by about 0.02. (The paper reports that its training with the cross entropy diverged without the prior, §5.1.) With one small object in a larger scene the focal loss is ahead by about 0.03. With twenty classes it is *behind*, by 0.09 after 600 steps, and by 0.02 after 1,800. So in these small trainings it is no magic: here it helps a little, there it costs steps. The trainings are those of `benchmarks/focal_study.py`; they took about a hundred minutes of one core.
#
# ## On logits
#
# The formula above has a weakness. In float32, a p that should be 1 − 10⁻⁹ is 1, and log(1 − p) is −∞. Some implementations, the original among them, clamp p to [0.0001, 0.9999] to avoid it. See what this does to an object that the head has missed completely, with a logit of −12:

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
# PyTorch's `logsigmoid` needs no rounded probability on its way, as you saw in notebook 03.
#
# ## Build it (20 min)
#
# Both losses of an image, from what the heads say. The classes: a target for every entry, the focal loss on logits, without the ignored anchors, and the sum divided by the number of positive anchors, or by 1 if there is none. The boxes: smooth L1 with β = 1/9 between the deltas and the targets of notebook 05, its mean over the four numbers of all positive anchors, and 0 if there is none. `learn.keep` compares both, and their gradients, with the package's, for images with and without objects and for logits of several hundred. If all is right, it keeps the function in `mine/losses.py`.
#
# *Hint: `objects[matches[positive]]` has a row for each positive anchor, the object that it learns. Its last number, the class, is a float; `.long()` makes an index of it. `retinanet_lite.BBoxTransform().encode(anchors, boxes)`, with [P, 4] each, makes the targets of P anchors, `F.smooth_l1_loss(…, beta=1 / 9, reduction="sum")` the boxes' sum.*


# %%
def my_losses(logits, deltas, anchors, objects, matches):
    """The losses of one image: of the classes and of the boxes, two numbers.

    Shapes: logits [N, K], deltas [N, 4], anchors [N, 4]; objects [M, 5], four edges and the
    class of each; matches [N], the row of the object that an anchor learns, −1 or −2.
    """
    # your turn: return of_classes, of_boxes
    ...


learn.keep(my_losses)

# %% [markdown]
# Ours is folded in the next cell.


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def focal_loss(logits, targets, alpha=0.25, gamma=2.0):
    s = torch.where(targets == 1, logits, -logits)
    alpha_t = torch.where(targets == 1, alpha, 1 - alpha)
    return alpha_t * torch.exp(gamma * F.logsigmoid(-s)) * -F.logsigmoid(s)


def losses_of_image(logits, deltas, anchors, objects, matches):
    positive = matches >= 0
    matched = objects[matches[positive]]  # one row per positive anchor, 5 numbers each
    count = max(1, len(matched))

    targets = torch.zeros_like(logits)
    targets[positive, matched[:, 4].long()] = 1
    entries = focal_loss(logits, targets)[matches != -2]

    wanted = retinanet_lite.BBoxTransform().encode(anchors[positive], matched[:, :4])
    off = F.smooth_l1_loss(deltas[positive], wanted, beta=1 / 9, reduction="sum")
    return entries.sum() / count, off / (4 * count)


# %% [markdown]
# ## The class
#
# Matching and both losses, for a batch. `annotations` is [B, M, 5]: each row has the four edges and the class of an object. M is the number of objects in the fullest image; the others are filled up with rows of −1. The losses of the images are averaged.


# %%
class FocalLoss(nn.Module):
    def forward(self, classification, regression, anchors, annotations):
        losses = []
        for logits, deltas, rows in zip(classification, regression, annotations, strict=True):
            objects = rows[rows[:, 4] >= 0]  # without the rows of −1
            matches = retinanet_lite.match_anchors(anchors, objects[:, :4])
            losses.append(losses_of_image(logits, deltas, anchors, objects, matches))
        c, r = zip(*losses, strict=True)
        return {"classification": torch.stack(c).mean(), "regression": torch.stack(r).mean()}


# %% [markdown]
# ### Proof
#
# Random logits and deltas for a batch of two: our scene, and an image with nothing in it. The losses, and their gradients with respect to all logits and deltas, are those of the package, up to rounding.

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
    gap = (a - b).abs().max() / b.abs().max()
    print(f"{name:18} differs by at most {gap:.4f} of its largest number")

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
encoded = retinanet_lite.BBoxTransform().encode(anchors[STAR], boxes[0])
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
# (Times 350, the number of positive anchors, so that the numbers are those of one anchor.) The logit of "star" goes up, with a little more than α: as p rises, not only −log(p) falls, but (1 − p)² too. The others go a very little down. tx, ty and th pull at full strength, because they are more than β = 1/9 off: 1, and a quarter of it after the mean over four. Their gradients are positive, so they fall: tx to the left, ty up, th less tall, which is where the star is. tw is right already, and does not pull.
#
# ### Play with it
#
# Here are the entries of our scene. An entry without an object is called easy if its probability is under 0.1, and hard otherwise. The bars say who makes the entries, the loss, and the gradient (that of the loss by the logits; the bar adds up its absolute sizes). What do γ and α do to the curve, and to who is heard?
#
# "Training" goes forward in time, roughly: at 0 every entry says π, as before the first step; at 1 the logits are those of the trained detector, and π is forgotten; in between they are in between. Raise π at training 0: what is left of the objects' share? Set it back to 0.01. Then set γ to 0, and see what drowns the objects, at the start and at the end.
#
# For the sliders, this cell puts entries of like logits together:

# %%
entries = learn.bin_by_logit(
    logits_trained[matches != -2].flatten(), targets[matches != -2].flatten()
)

# %% tags=["nbval-ignore-output"]
learn.explore_focal_loss(entries)

# %%
print("after training:", learn.show_focal_loss(entries))

# %%
print("the same with γ = 0:", learn.show_focal_loss(entries, gamma=0.0))

# %%
print("γ = 0, before training:", learn.show_focal_loss(entries, gamma=0.0, training=0.0))

# %% [markdown]
# (The shares are rounded.) With γ = 2 the easy negatives make nearly nothing of the loss, though they are nearly all of the entries. With γ = 0 they make most of it, before training and after. The detector itself was trained with γ = 2 all the same; only the loss that measures it changes. (It is not quite the cross entropy of above: α = 0.25 still counts an entry without an object three times as much as one with an object. So before training the objects make 3% here, where they made 7.5%.)
#
# ## Exercise (5 min)
#
# Write `focal_of(p, target)` for a single entry with numbers: γ = 2 and α = 0.25.
#
# *Hint: p and target are plain numbers, so use `if` and `math.log`. First p_t and α_t, each by the target.*


# %%
def focal_of(p, target):
    # your turn
    ...


learn.check_focal(focal_of)

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
# ## To go on with
#
# Two tasks without a single right answer.
#
# 1. Find γ and α with which the scene's ones and zeros pull alike: half of the gradient each, before training, and later.
#
#    <details><summary>What to look for</summary>
#
#    Use the explorer first, then `shares`. Does one pair serve both moments? What would you have to watch in a training to choose them?
#    </details>
#
# 2. Write another loss for the imbalance: of each image, keep only the three hardest zeros for each one, and drop the rest.
#
#    <details><summary>What to look for</summary>
#
#    What does it do with the ignored anchors? Compare its shares with the focal loss's. What could go wrong if a third of the objects were not labelled?
#    </details>
#
# ## What to remember
#
# 1. There is no class for the background: a negative anchor has 20 targets of 0.
# 2. The prior and (1 − p_t)^γ quiet two million easy entries: in the first step, nearly all of the pull is that of 350 anchors. What it is worth depends on the data.
# 3. The loss works on logits, and clamps nothing.
#
# In the paper: RetinaNet §3 (focal loss), §3.3 and §4.1 (prior, normaliser), §5.1; tables 1a and 1b.
#
# Next: [07 · RetinaNet](07_retinanet.ipynb), where all of it comes together.
