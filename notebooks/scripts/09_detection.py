# %% [markdown]
# # 09 · Detection
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/OWNER_NAME/retinanet-lite/blob/main/notebooks/09_detection.ipynb)
#
# **In this notebook you turn two million class scores into a short list of boxes, one step at a time, and follow the star from its anchor to its detection.**
#
# About 20 seconds on a CPU, 30 minutes to read, and 45 to write. You need the anchors of notebook [04](04_anchors.ipynb), IoU and the four targets of a box from notebook [05](05_matching.ipynb), and logits and deltas from notebook [03](03_heads.ipynb).

# %%
# where the package is missing, as in Colab, this installs it; what is there already stays
from importlib.util import find_spec

if find_spec("retinanet_lite") is None:
    source = "git+https://github.com/OWNER_NAME/retinanet-lite"
    get_ipython().run_line_magic("pip", f'install -q "retinanet-lite[learn] @ {source}"')

# %%
import math

import torch
from torchvision.ops import batched_nms, box_iou

import retinanet_lite
from retinanet_lite import learn
from retinanet_lite.data.batches import to_batch
from retinanet_lite.data.drawing import CLASSES, Shape, draw, random_scene, walkthrough_scene
from retinanet_lite.detector import Detector

learn.show_map(here="detection")


# %%
def shape(x):
    return list(x.shape)


scene = walkthrough_scene()
images, _ = to_batch([scene])
STAR = 95592  # the row of the star's best anchor, from notebook 04
STAR_CLASS = CLASSES.index("star")

# %% [markdown]
# ## What the network says
#
# To detect, you need a network that has learned something. One comes with the package: a small one, with a single block in each stage of the backbone and 64 channels in the pyramid. It has learned our 20 classes from other drawn scenes, and has never seen this one. `predict` gives what it says of every anchor, as in notebook 07. Nothing is learned on this page, so we need no gradients.

# %%
detector = Detector.pretrained("shapes", plain=True)
model = detector.model
with torch.no_grad():
    logits, deltas, anchors = model.predict(images)
print("logits ", shape(logits), shape(logits) == [1, 99765, 20])
print("deltas ", shape(deltas), shape(deltas) == [1, 99765, 4])
print("anchors", shape(anchors), shape(anchors) == [99765, 4])
print("entries:", f"{logits.numel():,}")

# %% [markdown]
# An **entry** is one class at one anchor. Each has a logit, any real number x. The sigmoid, 1 / (1 + e⁻ˣ), makes a probability of it. In a list of detections the probability is called the **score**.

# %%
scores = logits[0].sigmoid()  # [99765, 20]
learn.show_probabilities(scores[STAR], "What does the star's anchor see?")
print("the star's anchor says:", CLASSES[scores[STAR].argmax()])
print("with the score:", round(scores[STAR, STAR_CLASS].item(), 3))

# %% [markdown]
# Each class has a sigmoid of its own, so the 20 numbers need not sum to 1. An anchor may say two classes at once, or none.
#
# ## Decode
#
# The same anchor has four deltas, tx, ty, tw and th. They say how it has to change: tx and ty the shift, in tenths of its width and height, tw and th the logarithm of the stretch, in fifths. Here are the right answers, the targets of notebook 05, and what the network says:

# %%
star = scene.boxes[0]
targets = model.regress_boxes.encode(anchors[STAR], star)
print("targets:", [round(t, 1) for t in targets.tolist()])
print("deltas: ", [round(t, 1) for t in deltas[0, STAR].tolist()])

# %% [markdown]
# Nearly. In training the targets were divided by 0.1, 0.1, 0.2 and 0.2. So now the deltas are multiplied:

# %%
x1, y1, x2, y2 = anchors[STAR].tolist()
xa, ya, wa, ha = (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
tx, ty, tw, th = deltas[0, STAR].tolist()

x = xa + 0.1 * tx * wa  # the shift, from anchors to pixels
y = ya + 0.1 * ty * ha
w = wa * math.exp(0.2 * tw)  # the stretch; exp undoes the logarithm
h = ha * math.exp(0.2 * th)
decoded = torch.tensor([x - w / 2, y - h / 2, x + w / 2, y + h / 2])

apart = (decoded - model.regress_boxes.decode(anchors[STAR], deltas[0, STAR])).abs().max()
print(f"differs from the package's decode by at most {apart:.2f} pixels")

# %%
title = "Where does the star's anchor go?"
learn.show_decoding(scene.image, anchors[STAR], decoded, star, title)
before, after = box_iou(torch.stack([anchors[STAR], decoded]), star[None])[:, 0].tolist()
print("IoU with the star, anchor: ", round(before, 2))
print("IoU with the star, decoded:", round(after, 2))

# %% [markdown]
# ### The clamp
#
# The exponential has no upper end. Nothing keeps a network from saying tw = 1000, and then:

# %%
print("e to the power of 0.2 · 1000:", torch.tensor(0.2 * 1000).exp().item())
wide = torch.tensor([[-math.inf, 0.0, math.inf, 10.0]])
print("IoU of an infinite box with itself:", box_iou(wide, wide).item())

# %% [markdown]
# A box that is infinitely wide has an infinite area. Its union with itself is ∞ + ∞ − ∞, and so its IoU with itself is `nan`, not a number. So the stretch is **clamped**: 0.2 · tw and 0.2 · th count for at most log(1000 / 16) = 4.135, a stretch of 62.5. In our picture that is no loss: even an anchor 32 pixels wide can still become a box of 2000.
#
# For all anchors at once:


# %%
def decode(anchors, deltas):
    """Boxes [n, 4] from anchors [n, 4] and deltas [n, 4]."""
    size = anchors[:, 2:] - anchors[:, :2]
    centre = (anchors[:, :2] + anchors[:, 2:]) / 2 + 0.1 * deltas[:, :2] * size
    stretch = (0.2 * deltas[:, 2:]).clamp(max=math.log(1000 / 16))
    size = size * stretch.exp()
    return torch.cat([centre - size / 2, centre + size / 2], dim=1)


boxes = decode(anchors, deltas[0])
print("boxes", shape(boxes), shape(boxes) == [99765, 4])

# %% [markdown]
# ## Clip
#
# True boxes end at the image's border. So those of the detector are cut off there, too: x is kept between 0 and the width, y between 0 and the height. (A box that lies outside altogether has no area left, and is dropped.)


# %%
def clip(boxes, height, width):
    x1, y1, x2, y2 = boxes.unbind(dim=1)
    x1, x2 = x1.clamp(0, width), x2.clamp(0, width)
    y1, y2 = y1.clamp(0, height), y2.clamp(0, height)
    return torch.stack([x1, y1, x2, y2], dim=1)


clipped = clip(boxes, 640, 832)
for name, edges in [("x", clipped[:, [0, 2]]), ("y", clipped[:, [1, 3]])]:
    print(f"{name} from {edges.min():.0f} to {edges.max():.0f}")
apart = (clipped - model.detection.clip_boxes(boxes, images)).abs().max()
print(f"differs from ClipBoxes by at most {apart:.2f} pixels")

# %% [markdown]
# The ring sticks out of our image on the right, and its true box ends at the border, x2 = 832. Take the anchors that fit it, with an IoU of at least 0.5, and look how far their boxes go:

# %%
ring = scene.boxes[12]
rows = box_iou(anchors, ring[None])[:, 0] >= 0.5
print("the ring:", ring.int().tolist(), " anchors:", rows.sum().item())
print(f"largest x2: {boxes[rows, 2].max():.0f}, after clipping: {clipped[rows, 2].max():.0f}")

# %% [markdown]
# ## Threshold
#
# Most entries say "nothing of this class here". How many say more?

# %%
learn.show_above(scores, 0.05, "How many of two million entries have a score above …?")


# %%
def about(count, digits=2):
    """A count to a few digits: those after them may differ from computer to computer."""
    return round(count, digits - len(str(count)))


above = scores > 0.05  # [99765, 20]
print("entries:", f"{scores.numel():,}")
print("above 0.05: about", f"{about(above.sum().item()):,}")
print("anchors that have one: about", f"{about(above.any(dim=1).sum().item()):,}")

# %% [markdown]
# The paper drops all entries of 0.05 or less (as published). That is a low threshold: it asks only for what is not hopeless, not for what is *likely*. Notebook 10 needs the unlikely ones too, because AP counts the whole list.
#
# Since few anchors are left, it is a waste to decode all 99,765 of them first. Each row is decoded by itself, so it can be done after the threshold, with the same result:

# %%
row, label = above.nonzero(as_tuple=True)  # [n] each: which anchor, which class
score = scores[row, label]  # [n]
apart = (decode(anchors[row], deltas[0, row]) - boxes[row]).abs().max()
print(f"threshold first, then decode: boxes differ by at most {apart:.2f} pixels")

# %% [markdown]
# ## The best of each level
#
# A crowded image could have many more entries above the threshold. To bound the work, each of the five levels sends on only its **top k**, the k entries with the highest scores, with k = 1000.

# %%
counts = model.anchors.level_counts(640, 832)
for level, entries in zip(range(3, 8), scores.split(counts), strict=True):
    n = (entries > 0.05).sum().item()
    print(f"P{level}: about {about(n, digits=1)} above 0.05")

# %% [markdown]
# On our scene no level has so many, and nothing is cut. A lower k would cut:


# %%
def candidates(scores, counts, threshold=0.05, top_k=1000):
    """Row, class and score of the entries that go on, each [n]."""
    rows, labels, start = [], [], 0
    for level in scores.split(counts):
        row, label = (level > threshold).nonzero(as_tuple=True)
        best = level[row, label].argsort(descending=True, stable=True)[:top_k]
        rows.append(row[best] + start)  # the row among all levels
        labels.append(label[best])
        start += len(level)
    row, label = torch.cat(rows), torch.cat(labels)
    return row, label, scores[row, label]


row, label, score = candidates(scores, counts)
box = clipped[row]  # [n, 4]
print("entries that go on: about", f"{about(len(row)):,}")
print("with k = 100:       about", about(len(candidates(scores, counts, top_k=100)[0])))

# %% [markdown]
# ## Non-maximum suppression
#
# An object is learned by many anchors, and it is found by many. These are the boxes that say "star" with a score above 0.3 (and not 0.05, so that the picture below stays clear):

# %%
mine = (label == STAR_CLASS) & (score > 0.3)
star_boxes, star_scores = box[mine], score[mine]
iou = box_iou(star_boxes, star_boxes)  # intersection over union, each box with each
print("boxes: about", about(len(star_boxes), digits=1))
print("smallest IoU with the star:", round(box_iou(star_boxes, star[None]).min().item(), 1))
print("smallest IoU of two of them:", round(iou.min().item(), 1))

# %% [markdown]
# One star, one box: which? **Non-maximum suppression**, NMS for short, takes the one with the highest score, and removes all that overlap it with an IoU of more than 0.5. They probably mean the same object. Then the best of those that are left, and so on, until none is left.


# %%
def nms(boxes, scores, threshold=0.5):
    """Places of the boxes that stay, best first."""
    kept = []
    left = scores.argsort(descending=True)
    while len(left) > 0:
        best, others = left[0], left[1:]
        kept.append(best.item())
        overlap = box_iou(boxes[best][None], boxes[others])[0]
        left = others[overlap <= threshold]
    return kept


kept = nms(star_boxes, star_scores)
print("boxes that stay:", len(kept))
learn.show_suppression(scene.image, star_boxes, kept, "Which of the star's boxes stays?")

# %% [markdown]
# This is done for each class by itself: a box that says "ring" does not remove one that says "star". `batched_nms` of torchvision does it for all classes at once. With the same boxes it keeps the same:

# %%
kept = []
for k in range(20):
    places = (label == k).nonzero()[:, 0]  # of the boxes of this class
    kept += places[nms(box[places], score[places])].tolist()
kept = torch.tensor(kept)
kept = kept[score[kept].argsort(descending=True)]  # best first, over all classes
theirs = batched_nms(box, score, label, 0.5)
print("kept by ours or torchvision's alone:", len(set(kept.tolist()) ^ set(theirs.tolist())))
print("before: about", f"{about(len(box)):,}", " after: about", about(len(kept)))

# %% [markdown]
# Those that remain are cut to the best 300, so that no image gives an endless list.
#
# ### What NMS costs
#
# "They probably mean the same object" is a guess. Here are two discs, one largely hidden by the other. Suppose that the network is perfect, and gives both true boxes with good scores:
#
# > **Predict, then run.** NMS removes what overlaps a better box by more than 0.5. How many of the two boxes stay? *Your guess:*

# %%
two = draw(
    [
        Shape("disc", (60, 60, 200, 200), (0, 114, 178)),
        Shape("disc", (96, 60, 236, 200), (230, 159, 0)),
    ],
    260,
    300,
)
print("IoU of the two:", round(box_iou(two.boxes[:1], two.boxes[1:]).item(), 2))
two_scores = torch.tensor([0.8, 0.9])
for threshold in (0.5, 0.7):
    print(f"NMS at {threshold}: {len(nms(two.boxes, two_scores, threshold))} of 2 stay")
learn.show_suppression(two.image, two.boxes, nms(two.boxes, two_scores), "Two discs: which stays?")

# %% [markdown]
# At 0.5 the disc at the back is lost, although the network had said it rightly. At 0.7 it stays. But a high threshold leaves duplicates elsewhere. This is our scene:

# %%
sure = score > 0.5
for threshold in (0.5, 0.7, 0.9):
    n = len(batched_nms(box, score, label, threshold))
    n_sure = len(batched_nms(box[sure], score[sure], label[sure], threshold))
    print(f"NMS at {threshold}: about {about(n, digits=1)} boxes, with a score above 0.5: {n_sure}")

# %% [markdown]
# At 0.7 there are as many sure ones, but the whole list is longer, and at 0.9 there are sure duplicates as well.

# %% [markdown]
# ## All stages
#
# From two million entries to the detections. The last line counts those with a score above 0.5, the ones that you would show.

# %%
final = kept[:300]
stages = {
    "entries": scores.numel(),
    "above 0.05": about(above.sum().item()),
    "at most 1000 a level": about(len(row)),
    "after NMS": about(len(kept)),
    "at most 300": about(len(final)),
    "score above 0.5": (score[final] > 0.5).sum().item(),
}
for stage, count in stages.items():
    print(f"{stage:22} {count:9,}")
learn.show_stages(stages, "What is left after each stage? (to two digits)")

# %% [markdown]
# Two stages cut nothing on this scene; they are there for crowded ones. And 13 boxes for 13 objects is chance: two of the objects are not among them, as you will see.

# %% [markdown]
# ## Build it (20 min)
#
# All stages in one function. Decode and clip come after the threshold and the top k, when few boxes are left. `learn.keep` compares it with the package's, on crowded images and on empty ones, and keeps it in `mine/detection.py` if it is right. You may use the functions of this page; they are kept along.
#
# *Hint: `candidates`, then `decode` and `clip`, then leave out what has no width or no height, then `batched_nms`, and at most 300.*


# %%
def my_detections(logits, deltas, anchors, counts, height, width):
    """The detections of one image, best first.

    Shapes: logits [N, K], deltas [N, 4], anchors [N, 4]; counts, rows of each level.
    Returns boxes [n, 4] in pixels, scores [n], labels [n].
    """
    # your turn: return boxes, scores, labels
    ...


learn.keep(my_detections)

# %% [markdown]
# Ours is folded in the next cell.


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def detect(logits, deltas, anchors, counts, height, width):
    row, label, score = candidates(logits.sigmoid(), counts)
    box = clip(decode(anchors[row], deltas[row]), height, width)
    inside = (box[:, 2:] > box[:, :2]).all(dim=1)  # some of it is left
    box, label, score = box[inside], label[inside], score[inside]
    kept = batched_nms(box, score, label, 0.5)[:300]
    return box[kept], score[kept], label[kept]


# %% [markdown]
# ### Proof
#
# The package's `Detection` module gives the same boxes, scores and labels. There is no gradient to compare: nothing here learns. The loss looks at logits and deltas before any of these stages, so a threshold can be changed without training again.

# %%
ours = detect(logits[0], deltas[0], anchors, counts, 640, 832)
package = model.detection(logits, deltas, anchors, counts, images)[0]
for mine, (name, theirs) in zip(ours, package.items(), strict=True):
    print(f"{name:6} differ by at most {(mine - theirs).abs().max():.2f}")

# %% [markdown]
# And with your parts in the model, and the weights that it came with? Those with a score above 0.5:

# %%
yours = learn.with_your_parts(Detector.pretrained("shapes", plain=True).model)
found = yours(images)[0]
print("yours:", (found["scores"] > 0.5).sum().item(), end="  ")
print("the package's:", (package["scores"] > 0.5).sum().item())

# %% [markdown]
# ## The star's detection
#
# `Detector` does all of it, from the image to the list. Here is what it finds with a score above 0.5:


# %%
def likely(found, threshold=0.5):
    """The detections with a score above the threshold."""
    mine = found["scores"] > threshold
    return {name: values[mine] for name, values in found.items()}


found = likely(detector([scene.image])[0])
learn.show_detections(scene, found, "What does the detector find?")

# %%
hits = box_iou(scene.boxes, found["boxes"]) >= 0.5  # [13, n]
hits &= scene.labels[:, None] == found["labels"]
print("objects found:", hits.any(dim=1).sum().item(), "of 13")
print("not found:", [CLASSES[label] for label in scene.labels[~hits.any(dim=1)]])
first = hits[0].nonzero()[0, 0]
overlap = box_iou(found["boxes"][first][None], star[None]).item()
print(
    "the star's detection: IoU",
    round(overlap, 2),
    "score",
    round(found["scores"][first].item(), 3),
)

# %% [markdown]
# Which anchor does it come from? NMS does not ask which anchor fits best, only which has the highest score. Here it is the same one:

# %%
winner = row[mine][nms(star_boxes, star_scores)[0]].item()
print("the star's detection comes from row", f"{winner:,}")

# %% [markdown]
# So the star has come all the way: from its pixels to row 95,592, and from there to the list.
#
# And the two that are not found? Ask what is detected in their places, whatever the class. For a third object, the gear, the same question:

# %%
for name in ("ring", "pill", "gear"):
    place = scene.boxes[scene.labels == CLASSES.index(name)]  # [1, 4]
    there = box_iou(place, found["boxes"])[0] >= 0.5
    fit = box_iou(place, anchors).max().item()
    said = [CLASSES[label] for label in found["labels"][there]]
    print(f"{name}: best IoU of an anchor {fit:.2f}, detected {said}")

# %% [markdown]
# What the border has left of the ring is taken for a moon. The pill's best anchor has an IoU of 0.36 with it (notebook 04), and nothing is said there. And the gear has two answers, because NMS for "flower" does not know of "gear". Notebook 10 sorts such errors.
#
# ## A batch
#
# Images of a batch must not meet. If one NMS ran over all of them, two stars at the same place in two images would remove each other:

# %%
pair = torch.stack([star, star])
print("one NMS for both images:", len(nms(pair, torch.tensor([0.9, 0.8]))), "of 2 stars")

# %% [markdown]
# So each image has its own. A batch gives what its images give alone:

# %%
batch = [scene.image, random_scene(seed=1).image]
together = detector(batch, batch_size=2)
alone = [detector([image])[0] for image in batch]
for a, b in zip(map(likely, together), map(likely, alone), strict=True):
    overlap = box_iou(a["boxes"], b["boxes"]).amax(dim=1).mean().item()
    print(len(a["boxes"]), "and", len(b["boxes"]), "with a score above 0.5,", end=" ")
    print(f"mean IoU of the pairs {overlap:.1f}")

# %% [markdown]
# ### Play with it
#
# Every stage has a number to set. Lower the score threshold until the ring is found: what else appears? Set the top k to 1: which objects are left? Raise the NMS threshold: when do boxes of one object pile up?

# %% tags=["nbval-ignore-output"]
learn.explore_detection(scene, (logits, deltas, anchors), counts)

# %%
_ = learn.show_stages_of_detection(scene, (logits, deltas, anchors), counts, score_threshold=0.2)

at_least = retinanet_lite.Detection(score_threshold=0.2)(logits, deltas, anchors, counts, images)[0]
hits = box_iou(scene.boxes, at_least["boxes"]) >= 0.5
hits &= scene.labels[:, None] == at_least["labels"]
print("objects not found:", [CLASSES[label] for label in scene.labels[~hits.any(dim=1)]])
lowest = retinanet_lite.Detection()(logits, deltas, anchors, counts, images)[0]  # 0.05
pills = lowest["boxes"][lowest["labels"] == CLASSES.index("pill")]
fits = box_iou(pills, scene.boxes[scene.labels == CLASSES.index("pill")])
print(f"at 0.05, boxes of a pill: about {about(len(pills), 1)}, best IoU with it {fits.max():.1f}")

# %% [markdown]
# At 0.2 the ring is there, among boxes that nobody asked for. The pill is not, even at 0.05: there are boxes of this name, but none has an IoU of 0.5 with it.

# %% [markdown]
# ## Exercise 1 (10 min)
#
# Write `decode_box(anchor, deltas)`: the box x1, y1, x2, y2, from an anchor x1, y1, x2, y2 and tx, ty, tw, th. Numbers, no tensors. Mind the clamp.
#
# *Hint: centre and size of the anchor first. `min` clamps a number.*


# %%
def decode_box(anchor, deltas):
    # your turn: return x1, y1, x2, y2
    ...


learn.check_decode_box(decode_box)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def decode_box(anchor, deltas):
#     x1, y1, x2, y2 = anchor
#     tx, ty, tw, th = deltas
#     most = math.log(1000 / 16)
#     x = (x1 + x2) / 2 + 0.1 * tx * (x2 - x1)
#     y = (y1 + y2) / 2 + 0.1 * ty * (y2 - y1)
#     w = (x2 - x1) * math.exp(min(0.2 * tw, most))
#     h = (y2 - y1) * math.exp(min(0.2 * th, most))
#     return x - w / 2, y - h / 2, x + w / 2, y + h / 2
# ```
# </details>
#
# ## Exercise 2 (10 min)
#
# Write NMS the other way round: go through the boxes from the best to the worst, and keep each one that no kept box removes. `which_stay(overlaps, scores, threshold)` gets the IoU of box i and box j as `overlaps[i][j]`, and returns the places of those that stay, best first.
#
# *Hint: `sorted(range(len(scores)), key=lambda i: -scores[i])` gives the places from the best to the worst.*


# %%
def which_stay(overlaps, scores, threshold):
    # your turn
    ...


learn.check_nms(which_stay)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def which_stay(overlaps, scores, threshold):
#     kept = []
#     for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
#         if all(overlaps[i][j] <= threshold for j in kept):
#             kept.append(i)
#     return kept
# ```
# </details>
#
# ## Exercise 3 (5 min)
#
# How many entries reach NMS? `levels` is a list of lists, the scores of each level. Write `count_kept(levels, threshold, top_k)`.
#
# *Hint: the threshold comes first; top_k is for each level.*


# %%
def count_kept(levels, threshold, top_k):
    # your turn
    ...


learn.check_count_kept(count_kept)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def count_kept(levels, threshold, top_k):
#     above = [sum(score > threshold for score in level) for level in levels]
#     return sum(min(count, top_k) for count in above)
# ```
# </details>
#
# Others keep fewer detections, or clip otherwise: [what others do](14_what_others_do.ipynb#after-the-network).
#
# ## To go on with
#
# Two tasks without a single right answer.
#
# 1. Keep both discs. Write an NMS that lowers the scores of what overlaps, in place of removing it, and try it on the discs and on the scene.
#
#    <details><summary>What to look for</summary>
#
#    How many boxes with a score above 0.5 stay for each object? What has the score come to mean? Which number did you have to choose, and by what?
#    </details>
#
# 2. Find a picture that makes the detection slow.
#
#    <details><summary>What to look for</summary>
#
#    Time each stage (`time.perf_counter`). How does it grow with the number of entries above the threshold? Which number of the pipeline bounds it?
#    </details>
#
# ## What to remember
#
# 1. Threshold 0.05, the 1000 best of each level, decode, clip, NMS at 0.5 for each class, the 300 best.
# 2. Decode multiplies by 0.1, 0.1, 0.2, 0.2, and clamps the stretch before the exponential.
# 3. NMS guesses that boxes of one class with an IoU of more than 0.5 mean one object. It removes duplicates, and sometimes an object.
#
# In the paper: RetinaNet §4.1, "Inference": threshold 0.05, at most 1000 predictions of a level, NMS at 0.5.
#
# Next: [10 · Evaluation](10_evaluation.ipynb), which asks how good these detections are.
