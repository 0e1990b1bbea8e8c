# %% [markdown]
# # 14 · What others do
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/OWNER_NAME/retinanet-lite/blob/main/notebooks/14_what_others_do.ipynb)
#
# **In this notebook you meet decisions that others have made otherwise, see what they change, and make of our detector torchvision's, number for number.**
#
# About 40 seconds on a CPU with 4 GB of memory free, and 50 minutes to read. You need notebooks [01](01_backbone.ipynb) to [07](07_retinanet.ipynb), and you get more out of it once you have trained something ([08](08_training.ipynb)).

# %%
# where the package is missing, as in Colab, this installs it; what is there already stays
from importlib.util import find_spec

if find_spec("retinanet_lite") is None:
    source = "git+https://github.com/OWNER_NAME/retinanet-lite"
    get_ipython().run_line_magic("pip", f'install -q "retinanet-lite[learn] @ {source}"')

# %%
import matplotlib.pyplot as plt
import torch
from torch import nn
from torchvision.ops import box_iou

import retinanet_lite
from retinanet_lite import Detector, learn
from retinanet_lite.data.batches import to_batch
from retinanet_lite.data.drawing import CLASSES, random_scene, walkthrough_scene

_ = torch.manual_seed(0)
learn.show_map(here="detector")

# %% [markdown]
# Implementations of RetinaNet are not all alike. Where the package has an argument for a difference, you can have it either way. You will meet three names: **the original**, which the walkthrough describes; **torchvision**, PyTorch's library for images, with an older RetinaNet, its **v1**, and a newer one, its **v2**; and **detectron2**, a library of detectors. torchvision is here, and what we say of it is run or can be. What we say of the other two was read in their published code, and is not run here.
#
# First our detector, with random weights, on the two images of the notebooks before.


# %%
def shape(x):
    return list(x.shape)


scenes = [walkthrough_scene(), random_scene(seed=1)]
images, annotations = to_batch(scenes)
scene = scenes[0]
boxes, labels = scene.boxes, scene.labels
STAR = 95592  # the row of the star's best anchor
model = retinanet_lite.retinanet_resnet50(num_classes=20)
backbone, fpn = model.backbone, model.fpn
anchors = model.anchors(images)
with torch.no_grad():
    C3, C4, C5 = backbone(images)
    levels = fpn([C3, C4, C5])
P5 = levels[2]
print("anchors", shape(anchors), "objects", shape(boxes))

# %% [markdown]
# ## The pyramid
#
# ### P6 from P5
#
# torchvision's v1 makes P6 from P5, with `p6_from="P5"`. The paper, the original, detectron2 and v2 make it from C5, as we do (as published). Here are both, with the same weights where the shapes allow it:

# %%
from_P5 = retinanet_lite.PyramidFeatures(512, 1024, 2048, p6_from="P5")
shared = {name: weight for name, weight in fpn.state_dict().items() if name != "p6.weight"}
# strict=False: what is missing in `shared` stays as it is
print("not shared:", from_P5.load_state_dict(shared, strict=False).missing_keys)
for name, pyramid in [("C5", fpn), ("P5", from_P5)]:
    count = sum(p.numel() for p in pyramid.p6.parameters())
    print(
        f"P6 from {name}: weights {shape(pyramid.p6.weight)} and 256 biases, {count:,} parameters"
    )

# %% [markdown]
# P5 has 256 channels where C5 has 2048, so P6 needs an eighth of the weights. And what does it see? We take the cell of P6 that holds the star's centre, row 4, column 6, and let the gradient tell, as in notebook 01. It differs from zero where a cell of C3, C4 or C5 can change this one:
#
# > **Predict, then run.** P6 from C5 is one 3×3 convolution on C5. On how many cells of C5 does P6 from P5 depend? *Your guess:*

# %%
views = {}
for name, pyramid in [("C5", fpn), ("P5", from_P5)]:
    grids = [C[:1].clone().requires_grad_() for C in (C3, C4, C5)]
    pyramid(grids)[3][0, :, 4, 6].sum().backward()
    asked = [f"C{number}" for number, C in enumerate(grids, 3) if C.grad is not None]
    views[f"P6 from {name}"] = grids[2].grad[0]  # [2048, 20, 26]
    strength = grids[2].grad[0].abs().amax(dim=0)  # [20, 26]
    seen = (strength > 1e-4 * strength.max()).sum().item()
    print(f"P6 from {name}: asks {asked}, {seen} cells of it")
learn.show_features(scenes[0].image, views, "Which cells of C5 can change one cell of P6?")

# %% [markdown]
# Neither asks C3 or C4: the way down brings C5 to P3, and nothing comes back up. From C5, the cell of P6 sees 3×3 cells of C5, each with all its 2048 channels. From P5 it sees 5×5, since P5's own 3×3 convolution lies between, but only what passes through the 256 channels of `lateral5`. (The weights are random, so what counts is only which cells are not dark.)
#
# ### Stretching by 2
#
# On the way down, the pyramid stretches each grid to the size of the next finer one (notebook 02). The original and detectron2 stretch by a factor of 2. They first **pad** the image, at its right and lower border, to multiples of 32. (torchvision pads too, though it stretches as we do.) Take 417×333 pixels of our picture:

# %%
import torch.nn.functional as F

padded = F.pad(images[:1, :, :417, :333], (0, -333 % 32, 0, -417 % 32))  # right, bottom
with torch.no_grad():
    _, padded4, padded5 = backbone(padded)
    doubled = F.interpolate(fpn.lateral5(padded5), scale_factor=2, mode="nearest")
    fitted = F.interpolate(fpn.lateral5(padded5), size=padded4.shape[-2:], mode="nearest")
print("padded to", shape(padded)[-2:], "C4", shape(padded4)[-2:], "doubled", shape(doubled)[-2:])
print(f"doubled and fitted differ by at most {(doubled - fitted).abs().max():.4f}")
for height, width in [(417, 333), (448, 352)]:
    cells = [-(-height // stride) * -(-width // stride) for stride in (8, 16, 32, 64, 128)]
    print(f"P3 to P7 of {height}×{width}: {sum(cells):,} cells")

# %% [markdown]
# Once the image is padded, both ways give the same numbers. The price of padding is cells to compute: 3,288 in place of 3,001.
#
# ## The heads
#
# torchvision's v2 puts a **group norm** behind each of `conv1` to `conv4`, before the ReLU. The argument is `norm_groups=32`. The original, detectron2 and torchvision's v1 have no norm in their heads, and by default neither have we.
#
# You know batch norm from notebook 01. Group norm does the same to other sets of numbers: not to one channel of all images, but to several channels of one image. It cuts the 256 channels of an image into 32 groups of 8 neighbours, and brings each group to mean 0 and standard deviation 1, over its 8 channels and all cells of the level. Then each channel gets a learned scale and shift, which start as 1 and 0. By hand, for the second group of the first image:

# %%
norm = nn.GroupNorm(32, 256)
with torch.no_grad():
    x = model.regression_model.conv1(P5)  # [2, 256, 20, 26]
    group = x[0, 8:16]
    # eps, a tiny number, keeps it from dividing by 0
    by_hand = (group - group.mean()) / (group.var(correction=0) + norm.eps).sqrt()
    print(shape(x), "a group:", shape(group))
    print(f"differ by at most {(by_hand - norm(x)[0, 8:16]).abs().max():.4f}")

# %% [markdown]
# Batch norm would measure over the images of a batch, here two, and keep one mean and one deviation for all five levels. Group norm measures each image and each level by itself, in training and afterwards.
#
# What changes in the head? A norm brings a shift of its own, so the convolution in front of it needs no bias.

# %%
plain = retinanet_lite.ClassificationModel(256, num_classes=20)
normed = retinanet_lite.ClassificationModel(256, num_classes=20, norm_groups=32)
for name, head in [("plain", plain), ("norm", normed)]:
    sizes = {key: p.numel() for key, p in head.named_parameters()}
    biases = sum(size for key, size in sizes.items() if key.startswith("conv") and "bias" in key)
    norms = sum(size for key, size in sizes.items() if key.startswith("norm"))
    print(f"{name:5} {sum(sizes.values()):,} parameters", end=" ")
    print(f"with {biases:,} biases in conv1 to conv4, {norms:,} scales and shifts")

# %% [markdown]
# That is next to nothing. What the head says is another matter. How far do the logits of a level spread? The table has their standard deviation, and that of the features they are made of; the columns ×10 are for features that are ten times as large. All weights here are random. The last column has the features of the small trained detector, for comparison:

# %%
trained = Detector.pretrained("shapes", plain=True).model
print("    features  plain   ×10  norm  ×10  features, trained")
with torch.no_grad():
    learned = trained.fpn(trained.backbone(images))
    for name, P, T in zip(["P3", "P4", "P5", "P6", "P7"], levels, learned, strict=True):
        spread = [
            head(factor * P[:1]).std().item() for head in (plain, normed) for factor in (1, 10)
        ]
        row = "{}  {:8.0f}  {:5.1f} {:5.0f}  {:4.1f} {:4.1f}  {:8.1f}"
        print(row.format(name, P[0].std(), *spread, T[0].std()))
    moved = (normed(P5) - normed(10 * P5)).abs().max().item()
    print(f"norm, the logits of P5 move by at most {moved:.2f}")

# %% [markdown]
# Without a norm, ten times the features give ten times the logits, and a level with smaller features speaks more softly. Which level that is, is a matter of the weights: here, with random ones, P5 to P7. In the trained detector the features of P3 to P5 are alike, and those of P7 four times as large. With the norm all levels are equally loud, and the factor is gone.
#
# The norm also joins what was apart, for the mean and the deviation are those of the whole level. Make the features of the star's cell on P5 ten times as large. Which cells now say something else?

# %%
louder = P5.clone()
louder[:, :, 8, 13] *= 10
maps = {}
with torch.no_grad():
    for name, head in [("plain", plain), ("norm", normed)]:
        moved = (head(louder) - head(P5))[0].abs().reshape(20, 26, 9 * 20).amax(dim=2) > 0.005
        maps[name] = moved[None].float()
        print(f"{name}: the logits of {moved.sum().item()} of {moved.numel()} cells move")
title = "Which cells of P5 hear of the star's cell? (bright: yes)"
learn.show_features(scenes[0].image, maps, title, limits=(0, 1))

# %% [markdown]
# In the plain head it is 11×11 cells, since each of five 3×3 convolutions adds one on every side. With the norm it is all 520. So what a cell says depends a little on all of the image, and, where a smaller image was filled up to the size of its batch, on the filling too.
#
# ## Anchors
#
# Our anchors stand in the middle of their cell, at row + 0.5 and column + 0.5. You have seen in notebook 04 what leaving out the 0.5 does. The argument is `offset=0.0`; torchvision and detectron2 have it so. (detectron2 also lists the nine by size first: the three ratios of the first size, then those of the next.) torchvision goes two steps further:
#
# - `rounded=True`: it cuts the sizes to whole pixels, such as 40.3 to 40, and rounds the corners.
# - `floor_strides=True`: it does not put the cells of a level 2^l pixels apart, but divides the image's side by the number of cells, and rounds down.
#
# Are these three all there is? torchvision's own class makes the same anchors:

# %%
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

scales = [2 ** (0 / 3), 2 ** (1 / 3), 2 ** (2 / 3)]
theirs = retinanet_lite.Anchors(offset=0.0, rounded=True, floor_strides=True)
whole_sizes = [[int(4 * 2**level * scale) for scale in scales] for level in range(3, 8)]
generator = AnchorGenerator(whole_sizes, [[0.5, 1.0, 2.0]] * 5)
print("sizes on P3:", [round(32 * scale, 1) for scale in scales], "→", whole_sizes[0])
for height, width in [(640, 832), (800, 1088)]:
    image = torch.zeros(1, 3, height, width)
    grids = [torch.zeros(1, 1, *size) for size in theirs.level_sizes(height, width)]
    made = generator(ImageList(image, [(height, width)]), grids)[0]
    apart = (theirs(image) - made).abs().max()
    print(f"{height}×{width}: differ from torchvision's by at most {apart:.2f} pixels")

# %% [markdown]
# Here are the nine of the star's cell on P5, ours and theirs. The cell is the black square, the + is the anchors' centre, blue is the star's box, and green is anchor 3.

# %%
star = scene.boxes[0]
x, y = ((star[:2] + star[2:]) / 2).tolist()
print(f"the star's middle: ({x:.0f}, {y:.0f})")
_, axes = plt.subplots(1, 2, figsize=(9, 4.4), layout="constrained")
cell = torch.tensor([[13, 8, 14, 9]]) * 32
for ax, name, drawn in zip(axes, ["ours", "theirs"], [anchors, theirs(images)], strict=True):
    learn.show_image(scene.image, f"Where do the nine anchors stand? ({name})", ax)
    learn.add_boxes(ax, drawn[95589:95598], learn.ANCHOR)
    learn.add_boxes(ax, star[None], learn.OBJECT)
    learn.add_boxes(ax, cell, learn.CELL)
    learn.add_boxes(ax, drawn[95592][None], learn.POSITIVE | {"linewidth": 2.0}, ["anchor 3"])
    x, y = ((drawn[95592, :2] + drawn[95592, 2:]) / 2).tolist()
    ax.plot(x, y, "k+", markersize=12)
    ax.set(xlim=(280, 580), ylim=(420, 120))
    fit = box_iou(drawn[95592][None], star[None]).item()
    print(f"{name:6} centre ({x:.0f}, {y:.0f}), IoU of anchor 3 with the star {fit:.3f}")

# %% [markdown]
# Half a cell up and to the left, and the star is better off by far. That is luck: its middle lies near a corner of a cell of P5, and others lie near the middle of one. We come to them in a moment.
#
# ### Strides that fall short
#
# The strides differ where the image's side does not divide by 2^l. For an image of 800×1088 pixels, this is how far apart torchvision's anchors stand, down and across, and how many pixels the last ones are away from where they would stand with 2^l:

# %%
for level, (rows, columns) in enumerate(theirs.level_sizes(800, 1088), start=3):
    down, across = 800 // rows, 1088 // columns
    off = (rows - 1) * (2**level - down), (columns - 1) * (2**level - across)
    print(f"P{level}: {rows}×{columns} cells, {down} and {across} apart, the last off by", off)
regular = retinanet_lite.Anchors(offset=0.0, rounded=True)(image)  # without floor_strides
moved = box_iou(regular[-6][None], theirs(image)[-6][None]).item()  # anchor 3 of the last cell
print(f"P7's last square of 512 pixels, as it stands and with 2^l: IoU {moved:.2f}")

# %% [markdown]
# On P7 the rows stand 114 pixels apart, where the cells are 128 pixels high. Each row falls 14 pixels further behind, and the last is 84 pixels off; the square anchor of 512 pixels there has an IoU of only 0.58 with the one that would stand there with 2^l. (On P3 to P5 nothing is off, because 800 and 1088 divide by 32. torchvision fills every image up to such sides, and with `floor_strides` our detector does the same.)
#
# ### Play with it
#
# Choose the size of an image, its sides multiples of 32. How far are the last anchors of each level from where they would stand with 2^l? At which sizes is no level off?


# %%
def show_short(height, width):
    down, across = [], []
    for side, off in ((height, down), (width, across)):
        for stride in (8, 16, 32, 64, 128):
            cells = -(-side // stride)  # rounded up
            off.append((cells - 1) * (stride - side // cells))
    _, ax = plt.subplots(figsize=(6.4, 2.8), layout="constrained")
    ax.bar([level - 0.2 for level in range(5)], down, 0.4, label="down")
    ax.bar([level + 0.2 for level in range(5)], across, 0.4, hatch="//", label="across")
    ax.set(title=f"How far off are the last anchors of {height}×{width} pixels?", ylabel="pixels")
    ax.set(xticks=range(5), xticklabels=["P3", "P4", "P5", "P6", "P7"], ylim=(0, 130))
    ax.legend(fontsize=8)


# %% tags=["nbval-ignore-output"]
learn.explore(
    show_short,
    height=learn.slider("height", 800, 512, 1344, 32),
    width=learn.slider("width", 1088, 512, 1344, 32),
)

# %%
show_short(height=800, width=1088)

# %% [markdown]
# At multiples of 128 in both directions: there every level's cells fill the image.
#
# Do such anchors fit worse? We take the three differences one after the other, each on top of those before:

# %%
names = [CLASSES[label] for label in labels.tolist()]
differences = [("offset", 0.0), ("rounded", True), ("floor_strides", True)]
columns = []
for count in range(4):
    made = retinanet_lite.Anchors(**dict(differences[:count]))(images)
    columns.append(box_iou(made, scene.boxes).amax(dim=0))  # [13], each object's best IoU
    most = (columns[-1] - columns[max(count - 1, 0)]).abs().max().item()
    name = f"+ {differences[count - 1][0]}" if count else "ours"
    print(f"{name:15} mean {columns[-1].mean():.2f}, largest change {most:.2f}")
titles = ["ours", "offset", "rounded", "strides"]
learn.show_table(
    torch.stack(columns, 1), names, titles, "What does each difference change?", "best IoU"
)

# %% [markdown]
# The offset changes much for one object or the other: the star gains 0.23, the gear loses 0.19. Over all of them it is even. The rounding changes next to nothing. And the strides change nothing in this picture, since they differ on P7 only (832 divides by 64, and not by 128), where no object has its best anchor.
#
# ### Mixed up
#
# What does not work is to learn with one kind of anchors and read with the other. Let a detector have learned with torchvision's anchors, perfectly: for each object, the anchor that fits it best knows the deltas that lead to its box. The package's `BBoxTransform` makes deltas of anchors and boxes (`encode`) and boxes of anchors and deltas (`decode`); notebook 05 did both by hand. We read them with torchvision's anchors, and with ours:

# %%
transform = retinanet_lite.BBoxTransform()
rows = box_iou(theirs(images), scene.boxes).argmax(dim=0)  # [13], each object's best anchor
deltas = transform.encode(theirs(images)[rows], scene.boxes)
for name, made in [("theirs", theirs(images)), ("ours  ", anchors)]:
    read = transform.decode(made[rows], deltas)  # [13, 4]
    fits = box_iou(read, scene.boxes).diagonal()
    under = (fits < 0.5).sum().item()
    print(f"read with {name}: mean IoU {fits.mean():.2f}, under 0.5: {under} of {len(fits)}")
shifts = (read - scene.boxes)[:, 0]
print(f"read with ours, {shifts.min():.0f} to {shifts.max():.0f} pixels too far right")
right, down = (read - scene.boxes)[0, :2].tolist()
print(f"the star, read with ours: {right:.0f} pixels too far right, {down:.0f} too far down")

ax = learn.show_image(scene.image, "What comes of reading with the wrong anchors? (dashed)")
learn.add_boxes(ax, scene.boxes, learn.OBJECT)
learn.add_boxes(ax, read, learn.DETECTION | {"linestyle": "--"})

# %% [markdown]
# Every box is about half a cell too far down and right, 4 pixels on P3 and 32 on P6. (The objects are blue, what was read is dashed.) The mean IoU of a perfect detector has dropped to 0.63, and nothing warns you: classes and scores do not depend on anchors. So tell the detector which anchors its weights were trained with: `RetinaNet(..., anchors=Anchors(offset=0.0, ...))`.
#
# ## Matching and box loss
#
# ### Deltas divided by nothing
#
# In notebook 05 the four targets of a box are divided by 0.1, 0.1, 0.2 and 0.2. torchvision and detectron2 leave that out. With us that is `BBoxTransform(std=(1, 1, 1, 1))`. Their targets are a tenth or a fifth of ours, and mean the same box. What does not work is to mix the two: to learn deltas by one rule, and read them by the other.

# %%
encoded = transform.encode(anchors[STAR], boxes[0])
plain = retinanet_lite.BBoxTransform(std=(1, 1, 1, 1))
encoded_plain = plain.encode(anchors[STAR], boxes[0])
print("the star's targets, ours:  ", [round(t, 3) for t in encoded.tolist()])
print("the star's targets, theirs:", [round(t, 3) for t in encoded_plain.tolist()])
ours_as_theirs = plain.decode(anchors[STAR], encoded)
theirs_as_ours = transform.decode(anchors[STAR], encoded_plain)
for name, box in [("ours as theirs", ours_as_theirs), ("theirs as ours", theirs_as_ours)]:
    print(f"{name}: edges up to {(box - boxes[0]).abs().max():.0f} pixels off")
title = "Where do our deltas lead, read as theirs?"
learn.show_decoding(scene.image, anchors[STAR], ours_as_theirs, boxes[0], title)

# %% [markdown]
# Our deltas read as theirs throw the box far away. Theirs read as ours leave it near its anchor.
#
# ### Which best anchors are kept
#
# In notebook 05 each object keeps its best anchor, even if their IoU is below 0.5. torchvision and detectron2 do so, too, but keep *all* anchors that are equally good. With us that is `keep_best="low_quality"`: torchvision calls such matches low-quality matches.

# %%
pill = names.index("pill")
for keep_best in (False, True, "low_quality"):
    learns = retinanet_lite.match_anchors(anchors, boxes, keep_best=keep_best)
    found = [(learns >= 0).sum().item(), (learns == pill).sum().item()]
    print(f"keep_best={keep_best}: {found[0]} positive, the pill has {found[1]}")
five = anchors[learns == pill]
print("tx of the five:", [round(t, 1) for t in transform.encode(five, boxes[pill])[:, 0].tolist()])
learn.show_anchors(scene.image, five, "Which anchors are kept for the pill?", boxes[pill])
_ = plt.gca().set(xlim=(505, 705), ylim=(640, 550))

# %% [markdown]
# `True` keeps the first, the solid one; `"low_quality"` keeps all five. The one in the middle has the shortest way to go: a tx of 0.4 in place of 4.
#
# There is a second difference. An anchor that is kept in their way learns the object that *it* overlaps most, and that need not be the one that it was kept for. Take a large object, a small one inside it, and two anchors:

# %%
two_objects = torch.tensor([[0.0, 0, 40, 120], [5, 5, 17, 17]])
kinds = ["large", "small"]
two_anchors = torch.tensor([[0.0, 0, 40, 40], [0, 0, 40, 100]])
for name, row in zip("AB", box_iou(two_anchors, two_objects).tolist(), strict=True):
    print(f"anchor {name}: IoU with the large object {row[0]:.2f}, with the small one {row[1]:.2f}")
for keep_best in (False, True, "low_quality"):
    rows = retinanet_lite.match_anchors(two_anchors, two_objects, keep_best=keep_best).tolist()
    learned = [kinds[row] if row >= 0 else "nothing" for row in rows]
    print(f"keep_best={keep_best}: A learns {learned[0]}, B learns {learned[1]}")

# %% [markdown]
# A is the small object's best anchor, so it is kept. But A overlaps the large object more. With `True` it learns the small one; with `"low_quality"` it learns the large one, and no anchor learns the small one.
#
# ### What a box costs
#
# `FocalLoss(box_loss=…)` has three choices:
#
# - `"smooth_l1"`, ours and the original's: the mean of smooth L1 over the four numbers;
# - `"l1"`, that of torchvision's v1, and of detectron2 as its RetinaNet configurations set it: the sum of the four absolute differences, without a parabola;
# - `"giou"`, that of torchvision's v2: it compares boxes, not deltas. The cost is one minus the **generalized IoU** of the decoded box and the object (Rezatofighi et al. 2019, arXiv 1902.09630).
#
# Why not one minus the IoU? Because the IoU of two boxes apart is 0, whether 1 or 1,000 pixels apart, and a loss that stays the same has the gradient 0. The generalized IoU of two boxes A and B goes on counting. Let C be the smallest box around both, A ∪ B what A and B cover together, and | | an area:
#
# $$\mathrm{GIoU} = \mathrm{IoU} - \frac{|C| - |A \cup B|}{|C|}$$
#
# So from the IoU it takes the part of C that neither of them covers. It is 1 for equal boxes, and nears −1 as they move apart. For the star and its anchor, with `shared`, the area that both cover, and `together`, which is |A ∪ B|:

# %%
from torchvision.ops import generalized_box_iou

(ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = anchors[STAR].tolist(), boxes[0].tolist()
shared = (min(ax2, bx2) - max(ax1, bx1)) * (min(ay2, by2) - max(ay1, by1))
together = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - shared
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
for (name, curve), line in zip(curves.items(), learn.LINES, strict=False):
    ax.plot(pixels, curve, **line, label=name)
    near, far = [(curve[at] - curve[at - 10]).item() for at in (64, 192)]
    print(f"{name}: 10 pixels closer save {near:.2f} at 64 pixels, {far:.2f} at 192")
ax.axvline(128, color="black", linewidth=0.8, label="apart from here on")
ax.set(title="Which loss still falls when boxes apart come closer?", xlabel="pixels off")
ax.set(ylabel="loss of the box", ylim=(0, 3))
_ = ax.legend(fontsize=8)

# %% [markdown]
# All but 1 − IoU. While the boxes overlap, `giou` lies on 1 − IoU, since two boxes of one size, side by side, leave nothing of C uncovered. Beyond, it goes on, but the farther off the box is, the less it pulls; and as GIoU is never below −1, it never costs more than 2. The other two pull as hard at 192 pixels as at 64: they look at each of the four numbers alone, and at no overlap.
#
# The units differ, so the box loss also weighs otherwise beside the classification loss. For our scene, with the head's first deltas, 0:

# %%
matches = retinanet_lite.match_anchors(anchors, boxes)
positive = matches >= 0
for name, loss in box_losses.items():
    at, to = anchors[positive], boxes[matches[positive]]
    each = loss.box_losses(torch.zeros(len(at), 4), at, to)  # [350]
    print(f"{name}: {each.mean():.2f} per positive anchor")

# %% [markdown]
# We and torchvision divide the sum by the number of positive anchors, here 350: each image's sum by its own number, then the mean over the images. detectron2 divides the sum of a whole batch by a moving average of that number: its mean over many batches, in which later ones count more. So there a positive anchor weighs about the same, whether its image has few others or many.
#
# That average has no argument here, nor has the original's clamp of p to [0.0001, 0.9999]: notebook 06 shows under "On logits" what it costs.
#
# ## The first weights
#
# Before training, others draw the weights otherwise. torchvision and detectron2 do as the paper says: a standard deviation of 0.01 in all layers of the heads. What becomes of random numbers on their way through four hidden layers? We measure their length. `theirs` is torchvision's v1, not trained:

# %%
from torchvision.models.detection import retinanet_resnet50_fpn

theirs = retinanet_resnet50_fpn(
    weights=None, weights_backbone=None, num_classes=20, min_size=160, max_size=224
)
their_head = theirs.head.classification_head
ours_hidden, theirs_hidden = list(model.classification_model.children())[:4], list(their_head.conv)
for name, hidden in [("ours", ours_hidden), ("theirs", theirs_hidden)]:
    x = start = torch.rand(1, 256, 20, 26)
    with torch.no_grad():
        for layer in hidden:
            x = layer(x).relu()
    print(f"{name}: the length is {x.norm() / start.norm():.2f} times what it was")
print("bias of their output:", round(their_head.cls_logits.bias[0].item(), 3))

# %% [markdown]
# Through ours they keep their size, through theirs they fade to about a hundredth. The bias of the output is ours, −log 99: training starts from a probability of 0.01 there, too. In our model that is the argument `prior`. The other weights have no argument; whoever loads trained ones overwrites them.
#
# ## Batch norm
#
# Batch norm divides a channel by √(variance + eps). The eps is a small number, so that nothing is divided by 0. In PyTorch and here it is 10⁻⁵; the weights that torchvision publishes for v1 want 0, and that is `bn_eps=0.0`. To which channels does it matter?

# %%
import math

for variance in (1.0, 1e-3, 1e-5):
    with_eps, without = 1 / math.sqrt(variance + 1e-5), 1 / math.sqrt(variance)
    print(f"variance {variance:g}: times {with_eps:.1f} with eps, times {without:.1f} without")
parameters = [p for norm in backbone.batch_norms() for p in norm.parameters()]
print("scales and shifts of all batch norms:", f"{sum(p.numel() for p in parameters):,}")

# %% [markdown]
# To those that hardly vary: with a variance of 10⁻⁵ a channel comes out 316.2 / 223.6 = 1.4 times as large without eps. And a file of weights does not say which eps it was trained with.
#
# Freezing differs, too. torchvision's v1, trained, keeps mean, variance, scale and shift, as we do. Its v2 does not freeze them, which is our `freeze_bn=False`. The original keeps mean and variance until the next `train()`, and the 53,120 scales and shifts go on learning. If you want the latter of our model: `for norm in model.backbone.batch_norms(): norm.requires_grad_(True)`.
#
# ## All differences together
#
# These are the arguments that make our model torchvision's v1 (with `bn_eps=0.0` for the weights that it publishes), and of each part those that are not our default:

# %%
from retinanet_lite.zoo import torchvision_v1
from retinanet_lite.zoo.detector_file import arguments

for name, value in torchvision_v1().items():
    if isinstance(value, nn.Module):
        default = arguments(type(value)())
        value = {key: v for key, v in arguments(value).items() if v != default[key]}
    print(f"{name}: {value}")

# %% [markdown]
# All but one you have met above. `keep_empty` is new: torchvision keeps a detection whose box lies outside the image, and of which nothing is left when the box is cut off at the border. We drop it (notebook 09).
#
# ### Proof
#
# Is that all? We give torchvision's model random parameters, biases as well: so no file is needed, and no parameter is 0 and could be left out unnoticed. Its batch norms measure once, so that numbers do not grow from layer to layer, and its outputs are drawn such that there is much to detect. (It takes images from 0 to 1, and normalises them itself. It would resize them, too; `min_size` and `max_size` above are those of our images, so that it does not.)

# %%
few_scenes = [walkthrough_scene(160, 224), random_scene(1, 160, 224)]
pictures = [scene.image / 255 for scene in few_scenes]
objects = [{"boxes": scene.boxes, "labels": scene.labels} for scene in few_scenes]
for conv in theirs.modules():
    if isinstance(conv, nn.Conv2d):
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
nn.init.normal_(their_head.cls_logits.weight, std=0.002)
nn.init.normal_(theirs.head.regression_head.bbox_reg.weight, std=0.001)
nn.init.constant_(their_head.cls_logits.bias, -3.0)
with torch.no_grad():
    for p in theirs.parameters():
        if p.dim() == 1:  # biases, and the scales and shifts of batch norm
            p.add_(0.1 * torch.randn_like(p))
for norm in [m for m in theirs.modules() if isinstance(m, nn.BatchNorm2d)]:
    norm.momentum = None  # this batch counts alone
with torch.no_grad():
    theirs.train()(pictures, objects)  # batch norm measures
zero = [name for name, p in theirs.named_parameters() if not p.any()]
print("tensors of parameters:", len(list(theirs.parameters())), "and only zeros in:", zero)

# %% [markdown]
# `from_torchvision` reads from the parameters what network they belong to, and makes it with the arguments above. First what the network says about every anchor:

# %%
model = retinanet_lite.from_torchvision(theirs.eval().state_dict())
few, few_annotations = to_batch(few_scenes)
with torch.no_grad():
    logits, deltas, boxes = model.predict(few)
    grids = list(theirs.backbone(few).values())
    said = theirs.head(grids)
their_boxes = theirs.anchor_generator(ImageList(few, [(160, 224)] * 2), grids)[0]
pairs = {
    "anchors": (boxes, their_boxes),
    "logits": (logits, said["cls_logits"]),
    "deltas": (deltas, said["bbox_regression"]),
}
for name, (a, b) in pairs.items():
    print(f"{name:8}", shape(a), f"differ by at most {(a - b).abs().max():.4f}")

# %% [markdown]
# And what both detect, and how wrong they are. (torchvision's model is one of those that give losses only in `train()` mode. Its batch norms are in its backbone, and must not measure again.)

# %%
with torch.no_grad():
    for a, b in zip(model(few), theirs(pictures), strict=True):
        print("detections:", len(a["labels"]), "and", len(b["labels"]), end="; ")
        print("other labels:", (a["labels"] != b["labels"]).sum().item(), end="; ")
        print(f"boxes differ by at most {(a['boxes'] - b['boxes']).abs().max():.2f} pixels")
    theirs.train().backbone.eval()
    ours, others = model(few, few_annotations), theirs(pictures, objects)
for name, other in [("classification", "classification"), ("regression", "bbox_regression")]:
    print(f"{name} loss differs by {(ours[name] - others[other]).abs():.4f}")
back = retinanet_lite.to_torchvision(model)
apart = max((back[key] - v).abs().max().item() for key, v in theirs.state_dict().items())
print(f"and back: parameters differ by at most {apart:.4f}")

# %% [markdown]
# Both give as many detections as they may, 300 an image, with the same labels and the same boxes. So you know torchvision's RetinaNet as well: it is the model that you built, with the arguments above. `predict` in `retinanet_lite/model/retinanet.py` is still the few lines of your class, without an `if`: each difference stands in the part that it belongs to.
#
# Three more things to know:
#
# - The way back, `to_torchvision`, gives the parameters as torchvision's model loads them. It warns if your model has other settings, with which the same parameters mean other boxes.
# - `torchvision_v2()` and `pytorch_retinanet()` have the arguments for torchvision's v2 and for the original. `from_torchvision` reads v2's files as well, and `from_pytorch_retinanet` the original's.
# - `Detector.pretrained("coco")` fetches the weights that torchvision publishes for v1, trained on the photographs of the collection COCO. It knows that their eps is 0.
#
# ## After the network
#
# What is done with the network differs, too. This is not run here; it is as published, in the paper and in their code.
#
# - The paper and detectron2 train with SGD (momentum 0.9, weight decay 0.0001), 16 images a step, learning rate 0.01, and start from a backbone that learned to tell the thousand classes of ImageNet. `Recipe(optimizer="sgd", learning_rate=0.01, weight_decay=1e-4, batch_size=16)` comes near to that, with a cosine in place of drops.
# - In most of the paper's experiments the only change of the images is flipping them left to right. `transforms.augment()` also moves, zooms and recolours them.
# - To detect, torchvision has the same stages and numbers as we have, but for the empty boxes above; detectron2 has the same thresholds, keeps at most 100 detections, and cuts boxes off at the border at the end.
# - The original has no top k, no maximum and no clamp. It runs one NMS for a whole batch, so that images remove each other's boxes (notebook 09 shows it), and its detections come class by class, not best first. Its `ClipBoxes` changes the boxes that it is given, and clamps the left and top edge only at 0, the right and bottom edge only at the border.
#
# How evaluations differ, notebook [10](10_evaluation.ipynb) tells beside its own.
#
# ## To go on with
#
# Two tasks without a single right answer.
#
# 1. Choose two of the differences, and say beforehand which matters more in a training. Then try: notebook 08's recipe with each, and with both.
#
#    <details><summary>What to look for</summary>
#
#    Three seeds each, or you compare seeds. Do the two add up? A difference may matter at another batch size or picture size alone: which?
#    </details>
#
# 2. Read the source of another RetinaNet, and find a difference that this page does not have.
#
#    <details><summary>What to look for</summary>
#
#    Begin with what must agree: the order of rows, the centre of the anchors, the four numbers of a box, the normaliser of the loss. How would you prove that you have understood it?
#    </details>
#
# ## What to remember
#
# 1. What torchvision's trained model computes otherwise is an argument of the part that it belongs to; all together they make our detector torchvision's.
# 2. Parameters mean something only with the anchors, the deltas and the eps that they were trained with. A mix gives no error, only worse detections.
# 3. `from_torchvision`, `from_pytorch_retinanet` and `to_torchvision` know the arguments.
#
# [Who does what](../docs/differences.md) has the table of all differences, with what is done to an image before, and what no argument changes. The arguments are in `retinanet_lite/zoo/torchvision_retinanet.py` and `retinanet_lite/zoo/pytorch_retinanet.py`, with what reads and writes the parameters.
