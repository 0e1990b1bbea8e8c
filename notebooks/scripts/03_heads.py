# %% [markdown]
# # 03 · The heads
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/OWNER_NAME/retinanet-lite/blob/main/notebooks/03_heads.ipynb)
#
# **In this notebook every cell of the pyramid speaks: which classes it sees, and how to move its boxes. You turn 11,085 cells into 99,765 rows, with a reshape that is easy to get wrong.**
#
# About 20 seconds on a CPU, 25 minutes to read, and 25 to write. You need P3 to P7 from notebook [02](02_feature_pyramid.ipynb).

# %%
# where the package is missing, as in Colab, this installs it; what is there already stays
from importlib.util import find_spec

if find_spec("retinanet_lite") is None:
    source = "git+https://github.com/OWNER_NAME/retinanet-lite"
    get_ipython().run_line_magic("pip", f'install -q "retinanet-lite[learn] @ {source}"')

# %%
import torch
import torch.nn.functional as F
from torch import nn

import retinanet_lite
from retinanet_lite import Detector, learn
from retinanet_lite.data.batches import to_batch
from retinanet_lite.data.drawing import CLASSES, random_scene, walkthrough_scene

_ = torch.manual_seed(0)
learn.show_map(here="heads")

# %% [markdown]
# First the pyramid's five levels, for the same two images as before.


# %%
def shape(x):
    return list(x.shape)


scenes = [walkthrough_scene(), random_scene(seed=1)]
images, annotations = to_batch(scenes)
model = retinanet_lite.retinanet_resnet50(num_classes=20)
with torch.no_grad():
    levels = model.fpn(model.backbone(images))
for name, P in zip(["P3", "P4", "P5", "P6", "P7"], levels, strict=True):
    print(name, shape(P), "cells:", P.shape[2] * P.shape[3])
print("all cells:", f"{sum(P.shape[2] * P.shape[3] for P in levels):,}")

# %% [markdown]
# ## What a cell is asked
#
# Every cell has A = 9 **anchors**: boxes of nine sizes and shapes around the cell's centre. The next notebook builds them. For now it is enough to know that there are nine, and that they are numbered 0 to 8.
#
# Of each anchor the cell has to say two things:
#
# - how much it looks like each of the K = 20 classes: 20 numbers;
# - how to shift and stretch the anchor so that it becomes the object's box: 4 numbers, called **deltas**.
#
# A convolution gives each cell as many numbers as it has filters. So for the deltas we need 9 · 4 = 36 filters, and for the classes 9 · 20 = 180:

# %%
P5 = levels[2]
output = nn.Conv2d(256, 9 * 4, kernel_size=3, padding=1)
x = output(P5)
print("deltas: ", shape(P5), "→", shape(x))
print("classes:", shape(P5), "→", shape(nn.Conv2d(256, 9 * 20, kernel_size=3, padding=1)(P5)))

# %% [markdown]
# ## From channels to rows
#
# The first is a grid with 36 channels. What everything after it wants is a **list**: one row for each anchor, four numbers in a row. How do we get there?
#
# Take a case so small that you can read all of it: a grid of 2 rows and 3 columns, A = 2 anchors, V = 2 values each. A cell (i, j) is the one in row i and column j of the grid. We write into each place what it is, in four digits: 1102 means i = 1, j = 1, anchor 0, value 2. (Anchors are counted from 0, and values here from 1.)

# %%
tiny = torch.zeros(1, 4, 2, 3, dtype=torch.int64)  # [B, A·V, rows, columns]
for i in range(2):
    for j in range(3):
        for a in range(2):
            for v in range(2):
                tiny[0, a * 2 + v, i, j] = 1000 * i + 100 * j + 10 * a + (v + 1)


def digits(rows):
    return "  ".join(" ".join(f"{value:04d}" for value in row) for row in rows.tolist())


print("the four numbers of cell (1, 1):", digits(tiny[:, :, 1, 1]))

# %% [markdown]
# The channels of a cell are: anchor 0 value 1, anchor 0 value 2, anchor 1 value 1, anchor 1 value 2. In memory, though, a tensor [B, channels, rows, columns] keeps all cells of one channel side by side. We want all channels of one cell side by side. `permute` changes the order of the axes, and after that `reshape` cuts the list into rows:

# %%
permuted = tiny.permute(0, 2, 3, 1)  # [B, rows, columns, A·V]
rows = permuted.reshape(1, -1, 2)  # [B, rows · columns · A, V]
print(shape(tiny), "→", shape(permuted), "→", shape(rows))
print(digits(rows[0]))

# %% [markdown]
# Read it: each pair is a row of the list, and belongs to one cell and one anchor. The order is: cell by cell along the grid's row, and in each cell anchor by anchor. In a formula, for a grid of w columns and anchor a:
#
# row of the list = (i · w + j) · A + a

# %%
i, j, a = 1, 1, 0
print("row", (i * 3 + j) * 2 + a, "holds", digits(rows[0, (i * 3 + j) * 2 + a][None]))

# %% [markdown]
# ### What the wrong order does
#
# `reshape` alone gives a tensor of the same shape. Nothing complains.

# %%
wrong = tiny.reshape(1, -1, 2)
print(shape(wrong), "is the same shape:", shape(wrong) == shape(rows))
print(digits(wrong[0]))

# %% [markdown]
# The first row now holds value 1 of cell (0, 0) and value 1 of cell (0, 1): two answers of two cells, taken for two numbers of one box. See what becomes of the star. Its centre lies in cell (8, 13) of P5. Let that cell say "star", class 8, at anchor 3, and nothing else:
#
# > **Predict, then run.** Will the answer arrive near the star, somewhere else in the picture, or outside of it? *Your guess:*

# %%
says_star = torch.zeros(1, 9 * 20, 20, 26)
says_star[0, 3 * 20 + 8, 8, 13] = 1
points = {}
for name, x in [("with permute", says_star.permute(0, 2, 3, 1)), ("without", says_star)]:
    row, label = x.reshape(-1, 20).nonzero()[0].tolist()
    i, j, a = row // 9 // 26, row // 9 % 26, row % 9
    points[name] = ((j + 0.5) * 32, (i + 0.5) * 32)  # the centre of that cell in pixels
    print(f"{name:12}: row {row} = cell ({i}, {j}), anchor {a}, says {CLASSES[label]!r}")

# %%
ax = learn.show_image(scenes[0].image, "Where does the answer of the star's cell arrive?")
edge = {"markeredgecolor": "white", "markersize": 14, "linestyle": ""}
ax.plot(*points["with permute"], "o", color=learn.OBJECT["edgecolor"], label="with permute", **edge)
ax.plot(*points["without"], "X", color=learn.ANCHOR["edgecolor"], label="without", **edge)
_ = ax.legend(loc="upper left", bbox_to_anchor=(1, 1))

# %% [markdown]
# ## The head
#
# Before the output come four 3×3 convolutions with ReLU. They keep the 256 channels. There are two such heads, one for classes and one for deltas. They have the same form, and share no weights.
#
# ### Build it (10 min)
#
# Write the head for any number of values an anchor: 4 for the deltas, K for the classes. `learn.keep` compares it with both of the package's, and keeps it in `mine/head.py` if it is right.
#
# *Hint: no ReLU after the output, since deltas and logits may be negative. Then the two calls that made rows of channels.*


# %%
class MyHead(nn.Module):
    """Four 3×3 convolutions with ReLU, and one that answers: one row an anchor.

    Layers: conv1, conv2, conv3, conv4 and output, all 3×3 with padding 1.
    Shapes: x [B, in_channels, h, w] → [B, h · w · num_anchors, values].
    """

    def __init__(self, in_channels, num_anchors, values, feature_size=256):
        super().__init__()
        self.values = values
        # your turn: the layers

    def forward(self, x):
        # your turn
        ...


learn.keep(MyHead)

# %% [markdown]
# Our class is folded in the next cell.


# %% tags=["hide-input"] jupyter={"source_hidden": true}
class Head(nn.Module):
    def __init__(self, in_channels, num_anchors, values, feature_size=256):
        super().__init__()
        self.values = values
        self.conv1 = nn.Conv2d(in_channels, feature_size, 3, padding=1)
        self.conv2 = nn.Conv2d(feature_size, feature_size, 3, padding=1)
        self.conv3 = nn.Conv2d(feature_size, feature_size, 3, padding=1)
        self.conv4 = nn.Conv2d(feature_size, feature_size, 3, padding=1)
        self.output = nn.Conv2d(feature_size, num_anchors * values, 3, padding=1)

    def forward(self, x):
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = F.relu(conv(x))
        x = self.output(x).permute(0, 2, 3, 1)  # [B, rows, columns, A·V]
        return x.reshape(len(x), -1, self.values)  # [B, rows · columns · A, V]


# %%
regression_model = Head(256, num_anchors=9, values=4)
classification_model = Head(256, num_anchors=9, values=20)

# %% [markdown]
# ### Proof
#
# The package calls them `RegressionModel` and `ClassificationModel`. With the same weights they give the same rows and the same gradients, up to rounding.


# %%
def largest_gap(pairs):
    """The largest difference in pairs of tensors, as a part of the largest number in them."""
    return max((a - b).abs().max() for a, b in pairs) / max(b.abs().max() for _, b in pairs)


P6 = levels[3]
for ours, package in [
    (regression_model, retinanet_lite.RegressionModel(256)),
    (classification_model, retinanet_lite.ClassificationModel(256, num_classes=20)),
]:
    package.load_state_dict(ours.state_dict())
    out_ours, out_package = ours(P6), package(P6)
    out_ours.square().mean().backward()
    out_package.square().mean().backward()
    both = zip(ours.parameters(), package.parameters(), strict=True)
    pairs = [(a.grad, b.grad) for a, b in both]
    gap = largest_gap([(out_ours, out_package)])
    print(f"{type(package).__name__}: outputs differ by at most {gap:.4f} of the largest number,")
    print(f"   the {len(pairs)} gradients by at most {largest_gap(pairs):.4f} of the largest")

# %% [markdown]
# ## One head for five levels
#
# The same head goes over P3, P4, P5, P6 and P7. It can, since all have 256 channels. A small star on P3 and a large one on P5 then teach the same weights what a star is, and the head needs a fifth of the parameters.

# %%
print("parameters of both heads, shared by five levels:", end=" ")
heads = [*regression_model.parameters(), *classification_model.parameters()]
print(f"{sum(p.numel() for p in heads):,}")

# %%
with torch.no_grad():
    regression = [model.regression_model(P) for P in levels]
    classification = [model.classification_model(P) for P in levels]
for name, r, c in zip(["P3", "P4", "P5", "P6", "P7"], regression, classification, strict=True):
    print(name, shape(r), shape(c))

# %% [markdown]
# One level after the other, they make one long list for each image:

# %%
regression = torch.cat(regression, dim=1)
classification = torch.cat(classification, dim=1)
print("regression    ", shape(regression), shape(regression) == [2, 99765, 4])
print("classification", shape(classification), shape(classification) == [2, 99765, 20])

# %% [markdown]
# ### Which rows are the star's?
#
# The star covers cells on all five levels. Here we take P5, and notebook 04 shows why. Before P5 come all the rows of P3 and P4, and on P5 the star's cell is row 8, column 13.

# %%
before_P5 = 80 * 104 * 9 + 40 * 52 * 9
first = before_P5 + (8 * 26 + 13) * 9
print(f"rows {first:,} to {first + 8:,}")

# %% [markdown]
# Keep these nine rows in mind. In the next notebook you will see which of them fits the star best.
#
# ## Logits, not probabilities
#
# What leaves the classification head are **logits**: any numbers from −∞ to ∞. The **sigmoid** σ(x) = 1 / (1 + e⁻ˣ) turns a logit into a probability between 0 and 1. Each class has its own, and they need not add up to 1. If all are small, the head says that there is no object: the background needs no class of its own.
#
# Why not let the head return probabilities at once? Because in float32 a probability that is nearer to 1 than about 3·10⁻⁸ is rounded to exactly 1, and its logit is not. The loss that you will meet in notebook 06 takes the logarithm of the probability given to the truth. Suppose a head is very sure of a star, with a logit of 20, and there is none:

# %%
logit = torch.tensor(20.0, requires_grad=True)
by_probability = torch.log(1 - torch.sigmoid(logit))
from_logit = F.logsigmoid(-logit)
for name, value in [("by way of the probability", by_probability), ("from the logit", from_logit)]:
    (gradient,) = torch.autograd.grad(value, logit)
    print(f"{name:26} logarithm {value.item():.0f}, gradient {gradient.item():.0f}")

# %% [markdown]
# By way of the rounded probability the logarithm is infinite, and the gradient no number. From the logit both are right. The cross entropy, of which that loss is made, is *minus* this logarithm: the answer costs 20, its gradient is +1, and a step against the gradient makes the logit smaller.
#
# ### The first answer
#
# Before training, our `model` gives every anchor and every class the same probability, π = 0.01. Two things do that. The weights of the output layer are as good as 0, so what comes in has no say. What is left is its **bias**, and that is −log((1 − π) / π). Notebook 06 shows what it is for.

# %%
output = model.classification_model.output
bias = output.bias
print(f"the largest weight: {output.weight.abs().max():.4f}")
print("bias:", round(bias[0].item(), 3), "→ probability", round(torch.sigmoid(bias[0]).item(), 4))
probabilities = classification.sigmoid()
print(f"all 99,765 · 20 from {probabilities.min():.4f} to {probabilities.max():.4f}")

# %% [markdown]
# ### And after training
#
# What does a head say that has learned? Ask the small detector of notebook 00. Its heads have 64 channels in place of 256, and the rows are the same 99,765. For each cell we take the highest probability of "star" among its nine anchors.

# %%
trained = Detector.pretrained("shapes").model
with torch.no_grad():
    logits, _, _ = trained.predict(images[:1])
p_star = logits[0, :, CLASSES.index("star")].sigmoid()  # [99765]
sizes = [(80, 104), (40, 52), (20, 26), (10, 13), (5, 7)]
per_level = p_star.split([9 * rows * columns for rows, columns in sizes])
maps = {
    f"P{level}": values.reshape(rows, columns, 9).amax(dim=2)[None]
    for level, values, (rows, columns) in zip(range(3, 8), per_level, sizes, strict=True)
}
title = "Where does a trained head say 'star'? (dark: 0, bright: 1)"
learn.show_features(scenes[0].image, maps, title, limits=(0, 1), box=scenes[0].boxes[0])

# %%
says = {name: (values > 0.6).sum().item() for name, values in maps.items()}
print("cells that say 'star' with more than 0.6:", says)
print("surest of all rows:", f"{p_star.argmax().item():,}")

# %% [markdown]
# It speaks on P4 and P5, at the star, and hardly anywhere else. The surest of all 99,765 rows is one of the nine that you kept in mind, 95,589 to 95,597.
#
# ### Play with it
#
# Every row of the list belongs to a place in the image. Move through the rows and see to which.


# %%
def locate(row):
    """Level, row and column of the cell, anchor, for a row of the list at 640×832."""
    for level in range(3, 8):
        stride = 2**level
        rows, columns = -(-640 // stride), -(-832 // stride)
        if row < rows * columns * 9:
            return level, row // 9 // columns, row // 9 % columns, row % 9
        row -= rows * columns * 9


def show_row(row):
    level, i, j, a = locate(row)
    stride = 2**level
    title = f"Row {row:,} belongs to this cell: P{level}, ({i}, {j}), anchor {a}"
    ax = learn.show_image(scenes[0].image, title)
    cell = torch.tensor([[j, i, j + 1, i + 1]]) * stride
    learn.add_boxes(ax, cell, learn.CELL)


# %% tags=["nbval-ignore-output"]
learn.explore(show_row, row=learn.slider("row of the list", 80_000, 0, 99_764))

# %%
print(locate(first))
show_row(first)

# %% [markdown]
# ## Exercise 1 (5 min)
#
# The way back: write `to_grid(rows, height, width)`. It gets rows [B, h·w·A, V] of one level, and the level's h and w, and returns the grid [B, A·V, h, w].
#
# *Hint: undo the two calls in the opposite order. `-1` lets reshape find a length by itself.*


# %%
def to_grid(rows, height, width):
    # your turn
    ...


learn.check_to_grid(to_grid)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def to_grid(rows, height, width):
#     return rows.reshape(len(rows), height, width, -1).permute(0, 3, 1, 2)
# ```
# </details>
#
# ## Exercise 2 (10 min)
#
# Write `row_of(level, i, j, anchor)`: the row in the whole list of 99,765, for an image of 640×832.
#
# *Hint: first the rows of all levels before this one, then the cells before this one.*


# %%
def row_of(level, i, j, anchor):
    # your turn
    ...


learn.check_row_of(row_of)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def row_of(level, i, j, anchor):
#     before = sum(9 * -(-640 // 2**l) * -(-832 // 2**l) for l in range(3, level))
#     columns = -(-832 // 2**level)
#     return before + (i * columns + j) * 9 + anchor
# ```
# </details>
#
# Some put a norm into their heads: [what others do](14_what_others_do.ipynb#the-heads), once you have trained something.
#
# ## To go on with
#
# Two tasks without a single right answer.
#
# 1. Let the two heads share their first two convolutions. Write the class, and count.
#
#    <details><summary>What to look for</summary>
#
#    How many parameters does it save, of how many? What do “what” and “where” need from the same features, and how would you find out whether sharing harms?
#    </details>
#
# 2. Give each level heads of its own.
#
#    <details><summary>What to look for</summary>
#
#    How many parameters more? Which level would see the fewest objects in training (notebook 05 counts them for our scene)? What could its heads learn better alone?
#    </details>
#
# ## What to remember
#
# 1. A cell gives 9 · 20 logits and 9 · 4 deltas; one head of each kind serves all levels.
# 2. First permute, then reshape: row (i · w + j) · 9 + a belongs to cell (i, j) and anchor a.
# 3. Logits leave the head; the bias makes the first probability 0.01.
#
# In the paper: RetinaNet §4, "Classification Subnet" and "Box Regression Subnet".
#
# Next: [04 · Anchors](04_anchors.ipynb), the boxes that all these rows talk about.
