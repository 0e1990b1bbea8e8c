# %% [markdown]
# # 04 · Anchors
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/OWNER_NAME/retinanet-lite/blob/main/notebooks/04_anchors.ipynb)
#
# **In this notebook you lay 99,765 boxes over an image, find the one that fits the star best, and see which object no box fits well.**
#
# About 20 seconds on a CPU, 30 minutes to read, and 30 to write. You need the order of the rows from notebook [03](03_heads.ipynb).

# %%
# where the package is missing, as in Colab, this installs it; what is there already stays
from importlib.util import find_spec

if find_spec("retinanet_lite") is None:
    source = "git+https://github.com/OWNER_NAME/retinanet-lite"
    get_ipython().run_line_magic("pip", f'install -q "retinanet-lite[learn] @ {source}"')

# %%
import matplotlib.pyplot as plt
import torch
from torchvision.ops import box_iou

import retinanet_lite
from retinanet_lite import learn
from retinanet_lite.data.batches import to_batch
from retinanet_lite.data.drawing import CLASSES, random_scene, walkthrough_scene

_ = torch.manual_seed(0)
learn.show_map(here="anchors")


# %%
def shape(x):
    return list(x.shape)


scene = walkthrough_scene()
images, annotations = to_batch([scene, random_scene(seed=1)])
star = scene.boxes[0]
print("the star:", star.int().tolist())

# %% [markdown]
# ## A box to start from
#
# A head could say the four edges of a box directly. But its weights are the same at every cell, and it does not know where it is: for two stars that look the same from their cells it would say the same edges. So it does not say *where the box is*. It says *how the box differs from one that stands at this cell*. That one is the **anchor**. (One for each cell would do for that. Why there are nine, of several sizes and shapes, you will see in numbers once they are all there.)
#
# ## Nine boxes
#
# On level l a cell is 2^l pixels wide, its **stride**. The anchors' **base size** is four strides, the paper's choice: 32 pixels on P3, 512 on P7. On P5:

# %%
stride = 32
base = 4 * stride
print("base size on P5:", base, "pixels")

# %% [markdown]
# Three **scales** enlarge it, by 2^0, 2^(1/3) and 2^(2/3). Why these? The next level starts at twice the base size, which is 2^(3/3). So each size is 2^(1/3) = 1.26 times the one before, from P3's smallest to P7's largest:

# %%
scales = [2 ** (0 / 3), 2 ** (1 / 3), 2 ** (2 / 3)]
for level in range(3, 8):
    print(f"P{level}:", [round(4 * 2**level * scale) for scale in scales], "pixels")

# %% [markdown]
# Three **ratios** change the shape. A ratio is height divided by width: 0.5 is wide, 1 is square, 2 is tall. The area stays, so a ratio r makes the height √r times as large, and the width √r times as small:

# %%
for ratio in [0.5, 1.0, 2.0]:
    width, height = base / ratio**0.5, base * ratio**0.5
    print(f"ratio {ratio}: {width:.1f} wide, {height:.1f} high, area {width * height:.0f}")

# %% [markdown]
# Three scales times three ratios are nine anchors. Around the point (0, 0), a box of width w and height h is (−w/2, −h/2, w/2, h/2). In the list all scales of the first ratio come first, then those of the second:

# %%
boxes = []
for ratio in [0.5, 1.0, 2.0]:
    for scale in scales:
        w, h = base * scale / ratio**0.5, base * scale * ratio**0.5
        boxes.append([-w / 2, -h / 2, w / 2, h / 2])
nine = torch.tensor(boxes)  # [9, 4]
print(nine.round().int())

# %% [markdown]
# ## At a cell
#
# The star's cell on P5 is row 8, column 13. Its centre in pixels is ((13 + 0.5) · 32, (8 + 0.5) · 32). The 0.5 is there because cell 0 reaches from 0 to 32, and its middle is at 16.

# %%
centre = torch.tensor([(13 + 0.5) * stride, (8 + 0.5) * stride])
at_star = nine + torch.cat([centre, centre])  # [9, 4]
print("centre:", centre.tolist())
learn.show_anchors(scene.image, at_star, "Which of nine anchors fits the star best?", star)

# %% [markdown]
# The blue box is the star's. The others are the anchors: eight dashed, and solid, in green and with its number, the one that fits best. To compare boxes we use **IoU**, intersection over union: the shared area divided by the area of both together.

# %%
iou = box_iou(at_star, star[None])[:, 0]  # [9]
print([round(value, 2) for value in iou.tolist()])
print("best:", iou.argmax().item())

# %% [markdown]
# Anchor 3, the square of 128 pixels. In the list of all anchors, the nine of the star's cell begin in row 95,589 (notebook 03). So it stands in row 95,589 + 3 = 95,592.
#
# ## At all cells
#
# Now the same for every cell of P5. `meshgrid` gives y and x of each cell's centre, in pixels. Then a [20, 26, 1, 4] and a [9, 4] tensor are added: where one has size 1, or lacks a dimension, it is repeated to fit the other. PyTorch calls that broadcasting, and it gives each cell its nine.

# %%
y = (torch.arange(20) + 0.5) * stride
x = (torch.arange(26) + 0.5) * stride
y, x = torch.meshgrid(y, x, indexing="ij")  # [20, 26] each
centres = torch.stack([x, y, x, y], dim=-1)  # [20, 26, 4]
P5_anchors = centres[:, :, None, :] + nine  # [20, 26, 9, 4]
print(shape(centres), "→", shape(P5_anchors), "→", shape(P5_anchors.reshape(-1, 4)))

# %% [markdown]
# The reshape needs no permute. We built the tensor in the order of the heads' rows: cell by cell along the row, in each cell anchor by anchor.
#
# ## Build it (15 min)
#
# One function for all five levels, P3 to P7, of an image of any size. Level l has stride 2^l, ⌈height / 2^l⌉ rows and ⌈width / 2^l⌉ columns. Its nine shapes are those of P5, `nine`, times its stride / 32. `learn.keep` compares your list with the package's, and keeps the function in `mine/anchors.py` if it is right.
#
# *Hint: what you have done for P5, in a loop. `-(-a // b)` divides and rounds up. You may use the page's `nine`; it is kept along.*


# %%
def my_anchors(height, width):
    """All anchors of an image of height×width pixels.

    Returns [N, 4]: x1, y1, x2, y2 in pixels. P3 first, P7 last; cells row by row; in a cell
    all scales of the first ratio, then of the next.
    """
    # your turn
    ...


learn.keep(my_anchors)

# %% [markdown]
# Our function is folded in the next cell.


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def make_anchors(height, width):
    """All N anchors of an image, [N, 4]."""
    levels = []
    for level in range(3, 8):
        stride = 2**level
        y = (torch.arange(-(-height // stride)) + 0.5) * stride  # −(−a // b) rounds up
        x = (torch.arange(-(-width // stride)) + 0.5) * stride
        y, x = torch.meshgrid(y, x, indexing="ij")
        centres = torch.stack([x, y, x, y], dim=-1)
        of_level = nine * (stride / 32)  # `nine` was made for P5, stride 32
        levels.append((centres[:, :, None, :] + of_level).reshape(-1, 4))
    return torch.cat(levels)


# %%
anchors = make_anchors(640, 832)
print(shape(anchors), shape(anchors) == [99765, 4])
print("row 95,592:", anchors[95592].tolist())

# %% [markdown]
# ### Proof
#
# There is nothing to learn in anchors, so there is no gradient to compare. The package's `Anchors` gives the same boxes, for this and for odd sizes; the edges are compared in pixels.

# %%
package = retinanet_lite.Anchors()
for height, width in [(640, 832), (417, 333), (65, 97)]:
    gap = (make_anchors(height, width) - package(torch.zeros(1, 3, height, width))).abs().max()
    print(f"{height}×{width}: edges differ by at most {gap:.2f}")

# %% [markdown]
# ## What do they fit?
#
# For each object, the best IoU that any anchor of a level reaches:
#
# > **Predict, then run.** Which object of the scene will be served worst, and why? *Your guess:*

# %%
iou = box_iou(anchors, scene.boxes)  # [99765, 13]
counts = package.level_counts(640, 832)
print("anchors per level:", counts)
best = torch.stack([level.amax(dim=0) for level in iou.split(counts)], dim=1)  # [13, 5]
names = [CLASSES[label] for label in scene.labels.tolist()]
learn.show_table(
    best, names, ["P3", "P4", "P5", "P6", "P7"], "Which level serves which object?", "best IoU"
)

# %%
row = iou[:, 0].argmax().item()
print("the star's best anchor is row", f"{row:,}", "with IoU", round(iou[row, 0].item(), 3))
print("its best on P4 has IoU", round(best[0, 1].item(), 3))
for name, value in zip(names, best.amax(dim=1).tolist(), strict=True):
    if value < 0.5:
        print("no anchor reaches 0.5 on the", name)

# %% [markdown]
# Each object has its best level: the square and the bolt P3, the moon P4, the gear P5, the house and the disc P6. Nobody wrote that rule: it follows from sizes, shapes and places. The star, whose middle lies near a corner of P5's cells, is served alike by two levels, with P5 a little ahead: 0.663 against 0.661. Both reach 0.5.
#
# The pill, 168×24 pixels, is left out. Remember it. By the paper's rule an anchor learns an object if their IoU is at least 0.5. So that rule teaches the pill to no anchor, and nothing complains. Notebook 05 has the cure.
#
# ## Why so many anchors?
#
# In the paper's table 1c, as published, AP on COCO (notebook 10 measures it; more is better) is 30.3 with one square anchor a cell, 32.4 with three ratios, 34.2 with three ratios at two sizes, and 34.0 with three ratios at three sizes, the nine that we have. What are several anchors good for? Two things, each with a number.
#
# **Two objects may stand at one place.** One box can learn one object; with one box a cell, two objects at one place would have to be learned at different cells. Take a wide pill and a tall leaf that cross, with the same middle. Each has its own best anchor, though both stand in one cell:

# %%
crossing = torch.tensor([[332.0, 272, 532, 368], [384, 220, 480, 420]])  # wide, tall
fits = box_iou(anchors, crossing)  # [99765, 2]
for name, (value, row) in zip(["wide", "tall"], zip(*fits.max(dim=0), strict=True), strict=True):
    print(f"{name}: row {row:,}, cell {row // 9:,}, anchor {row % 9} of it, IoU {value:.2f}")

# %% [markdown]
# **The sizes that a head has to say stay small.** How many times as wide and high as the box that it starts from must a box become? We ask it of each object's best anchor, over the objects of 50 scenes, if a cell has only the smallest of its squares, and if it has all nine:

# %%
sizes, anchor_sizes = [], ([], [])
for seed in range(50):
    objects = random_scene(seed).boxes
    sizes.append(objects[:, 2:] - objects[:, :2])
    for choice, few in zip(anchor_sizes, (anchors[3::9], anchors), strict=True):
        start = few[box_iou(few, objects).argmax(dim=0)]  # [M, 4], each object's best anchor
        choice.append(start[:, 2:] - start[:, :2])
sizes = torch.cat(sizes)
print(f"{len(sizes)} objects, sides from {sizes.min():.0f} to {sizes.max():.0f} pixels")
for name, choice in zip(["one square a cell", "nine anchors"], anchor_sizes, strict=True):
    factor = sizes / torch.cat(choice)
    low, high = factor.quantile(torch.tensor([0.01, 0.99])).tolist()
    print(f"{name}: 98% of the factors lie between {low:.1f} and {high:.1f}")

# %% [markdown]
# And of any number: **the overlap says who learns what.** No rule of its own is needed for which level, and which cells of it, shall learn an object. Those learn it whose anchors overlap it enough. (Later detectors do without anchors, and need other rules for that; FCOS, for example, gives each level a range of sizes: Tian et al. 2019, arXiv 1904.01355.) The star has

# %%
enough = (iou[:, 0] >= 0.5).split(counts)
print({f"P{level}": int(mask.sum()) for level, mask in enumerate(enough, start=3)}, "such anchors")

# %% [markdown]
# ## Which sizes are covered?
#
# We put squares of many sizes at random places, and look for each at the best IoU of all anchors. One line is the median of 40 places, the other the worst of them.


# %%
def fit_of_squares(anchors, side):
    """Best IoU of a square at 40 random places: the median of them, and the worst."""
    corner = torch.rand(40, 2) * torch.tensor([832.0 - side, 640.0 - side])
    squares = torch.cat([corner, corner + side], dim=1)  # [40, 4]
    best_iou = box_iou(anchors, squares).amax(dim=0)  # [40]
    return best_iou.median().item(), best_iou.min().item()


sides = [8, 12, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512, 600]
median, worst = zip(*[fit_of_squares(anchors, side) for side in sides], strict=True)

_, ax = plt.subplots(figsize=(6.4, 3.2))
ax.plot(sides, median, "o-", label="median of 40 places")
ax.plot(sides, worst, "v--", label="worst of 40 places")
ax.axhline(0.5, color="black", linewidth=0.8, label="0.5, enough to learn from")
ax.set(title="How well do anchors fit a square?", xlabel="side in pixels", ylabel="best IoU")
ax.set(xscale="log", xticks=sides[::2], xticklabels=sides[::2], ylim=(0, 1))
_ = ax.legend()

# %%
for side, value in zip(sides, worst, strict=True):
    if side in (16, 24, 128):
        print(f"squares of {side:3} pixels, at the worst place: {value:.2f}")

# %% [markdown]
# Squares of 24 pixels reach 0.5 everywhere, squares of 16 nowhere. P3's smallest square anchors are 32 pixels wide and stand 8 pixels apart, so a square of up to 24 pixels always lies wholly inside one. What they share is then the whole square, and the IoU is side² / 32²: 0.25 for 16 pixels, 0.56 for 24.
#
# Two things raise the IoU of smaller objects. Enlarge the images; or make the anchors smaller: `Anchors(size=2.0)` starts at 16 pixels. Both have the same price: beside the objects, the largest anchors are now half as large. (And enlarged images have more cells to compute.) With smaller anchors:

# %%
small_anchors = retinanet_lite.Anchors(size=2.0)(images)
for side in (16, 24, 600):
    for name, boxes in [("size=4", anchors), ("size=2", small_anchors)]:
        median_fit, worst_fit = fit_of_squares(boxes, side)
        print(f"{side:3} pixels, {name}: median {median_fit:.2f}, worst {worst_fit:.2f}")

# %% [markdown]
# Squares of 16 pixels now reach 0.5 at more than half of the places. Those of 600 pixels no longer do.
#
# ## Why + 0.5?
#
# torchvision and detectron2 leave out the 0.5: their anchors stand on the corners of the cells. Each anchor is then moved by half a cell. How much is that?

# %%
for level in range(3, 8):
    print(f"P{level}: {2**level // 2} pixels")

# %%
shift = torch.cat([torch.full((count, 1), 2.0**level / 2) for level, count in enumerate(counts, 3)])
others = box_iou(anchors - shift, scene.boxes).amax(dim=0)
print("mean of the objects' best IoU, with 0.5:   ", round(iou.amax(dim=0).mean().item(), 2))
print("mean of the objects' best IoU, without 0.5:", round(others.mean().item(), 2))

# %% [markdown]
# In this scene one grid fits about as well as the other. What does not work is to mix them: a network that learned its deltas from the one, and is read with the other, puts every box half a cell off, 16 pixels on P5. Weights that were trained without the 0.5 and are read with it give boxes that are all too far down and right. When you see that, look here first.
#
# ## Anchors that stick out
#
# Near the border anchors leave the image. We keep them, since one that sticks out may still fit an object well.

# %%
outside = (anchors[:, :2] < 0).any(dim=1) | (anchors[:, 2] > 832) | (anchors[:, 3] > 640)
print("anchors that stick out:", f"{outside.sum().item():,}")
fitting = iou.amax(dim=1) >= 0.5
print("anchors that fit an object at 0.5:", fitting.sum().item())
print("of these stick out:", (fitting & outside).sum().item())

# %% [markdown]
# ### Play with it
#
# Move the point, the ×, and see the anchors of the cell that holds it (the black square), on a level of your choice. The solid green anchor is the one that fits the object under the point best. If no object is there, the object that the anchors fit best is taken. Which level suits the heart, whose middle is (322, 550)?
#
# The other sliders change what the anchors are made of: the base size in strides; how many scales there are from one size to its double (an octave); the ratio r, which gives anchors of 1/r, 1 and r; and where in its cell the centre (the +) stands, 0.5 being the middle. The pill's middle is (604, 598). None of the nine reaches an IoU of 0.5. Can you find anchors that do?

# %% tags=["nbval-ignore-output"]
learn.explore_anchors(scene)

# %%
print(learn.show_anchors_at(scene, x=322, y=550, level=5))

# %%
print(learn.show_anchors_at(scene, x=604, y=598, level=4))

# %%
print(learn.show_anchors_at(scene, x=604, y=598, level=4, ratio=5.0))

# %% [markdown]
# P5 suits the heart best, with an IoU of 0.70. P4 would do, with 0.61; P6's anchors are too large, with 0.26. (The table above has the same numbers.) The pill gets 0.73 from P4 with a ratio of 5. But others pay for it:

# %%
for ratio in (2.0, 5.0):
    made = retinanet_lite.Anchors(ratios=(1 / ratio, 1, ratio))(images)
    fits = box_iou(made, scene.boxes)
    best_fit = dict(zip(names, fits.amax(dim=0).tolist(), strict=True))
    enough = (fits.amax(dim=1) >= 0.5).sum().item()
    fit_of = ", ".join(f"{name} {best_fit[name]:.2f}" for name in ("pill", "leaf", "bolt"))
    print(f"ratio {ratio:g}: best IoU of {fit_of}; {enough} anchors fit an object at 0.5")

# %% [markdown]
# ## Exercise 1 (5 min)
#
# Without looking back, write `anchor_shape(base, scale, ratio)`: the width and height of an anchor, when ratio is height divided by width and the area is (scale · base)².
#
# *Hint: two equations, w · h = (scale · base)² and h / w = ratio.*


# %%
def anchor_shape(base, scale, ratio):
    # your turn: return width, height
    ...


learn.check_anchor_shape(anchor_shape)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def anchor_shape(base, scale, ratio):
#     side = scale * base
#     return side / ratio**0.5, side * ratio**0.5
# ```
# </details>
#
# ## Exercise 2 (10 min)
#
# Which level suits a box of a given size, if a cell's centre lies right in its middle? Write `best_level(width, height)`: it returns the level, 3 to 7, and the best IoU that one of the level's nine anchors reaches. Then try it on the pill, 168×24 pixels. Is it its place that is bad, or its shape?
#
# *Hint: put the box around (0, 0), where `nine` is. `nine` was made for P5; the function above shows how to scale it. `box_iou` does the rest; it takes two tensors of boxes, [n, 4] and [m, 4].*


# %%
def best_level(width, height):
    # your turn: return level, iou
    ...


learn.check_best_level(best_level)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def best_level(width, height):
#     box = torch.tensor([[-width / 2, -height / 2, width / 2, height / 2]])
#     fits = [box_iou(nine * 2**level / 32, box).max().item() for level in range(3, 8)]
#     return 3 + fits.index(max(fits)), max(fits)
# ```
#
# `best_level(168, 24)` is P4 with an IoU of 0.36, which is no more than the pill has in the scene. So it is the shape.
# </details>
#
# torchvision and detectron2 leave the 0.5 out, and torchvision goes two steps further: [what others do](14_what_others_do.ipynb#anchors), once you have trained something.
#
# ## To go on with
#
# Two tasks without a single right answer.
#
# 1. Choose anchors for pictures that you know: lines of text, people in a street, cells under a microscope.
#
#    <details><summary>What to look for</summary>
#
#    Write down width and height of a few typical objects first. Which ratios and sizes leave none under 0.5? How many anchors a cell do you pay for that?
#    </details>
#
# 2. Cover the pill, 7 : 1, and change as little as possible.
#
#    <details><summary>What to look for</summary>
#
#    A new ratio, other scales, or smaller steps between cells: which reaches 0.5 with the fewest rows in the list? What do the new anchors fit besides?
#    </details>
#
# ## What to remember
#
# 1. 3 scales · 3 ratios at each of 11,085 cells make 99,765 anchors, in the order of the heads' rows.
# 2. A ratio keeps the area; the base size is four strides, 32 pixels on P3 and 512 on P7.
# 3. The star's best anchor is row 95,592 on P5. The pill has none above 0.5.
#
# In the paper: RetinaNet §4, "Anchors". Anchors come from Ren, He, Girshick and Sun, *Faster R-CNN*, 2015 (arXiv 1506.01497), §3.1.
#
# Next: [05 · Matching](05_matching.ipynb), where anchors learn objects.
