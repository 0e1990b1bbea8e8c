# %% [markdown]
# # 03 · The heads
#
# **In this notebook every cell of the pyramid speaks: which classes it sees, and how to move its boxes. You turn 11,085 cells into 99,765 rows, and learn the one reshape that most mistakes come from.**
#
# About 20 seconds on a CPU, and 25 minutes to read. You need P3 to P7 from notebook [02](02_feature_pyramid.ipynb).

# %%
import torch
import torch.nn.functional as F
from ipywidgets import IntSlider, interact
from torch import nn

import retinanet_lite
from retinanet_lite.data.batches import to_batch
from retinanet_lite.data.shapes import CLASSES, random_scene, walkthrough_scene
from retinanet_lite.learn.diagrams import show_map
from retinanet_lite.learn.exercises import check_row_of, check_to_rows
from retinanet_lite.learn.figures import ANCHOR, OBJECT, add_boxes, plt, show_image

_ = torch.manual_seed(0)
show_map(here="heads")


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
# At every cell stand A = 9 **anchors**: boxes of nine sizes and shapes around the cell's centre. The next notebook builds them. For now it is enough to know that there are nine, and that they are numbered 0 to 8.
#
# Of each anchor the cell has to say two things:
#
# - how much it looks like each of the K = 20 classes: 20 numbers;
# - how to shift and stretch the anchor so that it becomes the object's box: 4 numbers, called **deltas**.
#
# A convolution gives each cell as many numbers as it has filters. So for the deltas we need 9 · 4 = 36 filters:

# %%
P5 = levels[2]
output = nn.Conv2d(256, 9 * 4, kernel_size=3, padding=1)
x = output(P5)
print(shape(P5), "→", shape(x))

# %% [markdown]
# ## From channels to rows
#
# That is a grid with 36 channels. What the loss and the detection want is a list: one row for each anchor, four numbers in a row. How do we get there?
#
# Take a case so small that you can read all of it: a grid of 2 rows and 3 columns, A = 2 anchors, V = 2 values each. We write into each place what it is: the number 1102 shall mean row 1, column 1, anchor 0, value 2. (Anchors are counted from 0, and values here from 1.)

# %%
tiny = torch.zeros(1, 4, 2, 3, dtype=torch.int64)  # [B, A·V, rows, columns]
for i in range(2):
    for j in range(3):
        for a in range(2):
            for v in range(2):
                tiny[0, a * 2 + v, i, j] = 1000 * i + 100 * j + 10 * a + (v + 1)
print("the four numbers of cell (1, 1):", tiny[0, :, 1, 1].tolist())

# %% [markdown]
# The channels of a cell are: anchor 0 value 1, anchor 0 value 2, anchor 1 value 1, anchor 1 value 2. In memory, though, a tensor [B, channels, rows, columns] keeps all cells of one channel side by side. We want all channels of one cell side by side. `permute` changes the order of the axes, and after that `reshape` cuts the list into rows:

# %%
permuted = tiny.permute(0, 2, 3, 1)  # [B, rows, columns, A·V]
rows = permuted.reshape(1, -1, 2)  # [B, rows · columns · A, V]
print(shape(tiny), "→", shape(permuted), "→", shape(rows))
print(rows[0].tolist())

# %% [markdown]
# Read it: each pair belongs to one cell and one anchor. The order is: cell by cell along the row, and in each cell anchor by anchor. In a formula, with w columns:
#
# row of (i, j, a) = (i · w + j) · A + a

# %%
i, j, a = 1, 1, 0
print("row", (i * 3 + j) * 2 + a, "holds", rows[0, (i * 3 + j) * 2 + a].tolist())

# %% [markdown]
# ### What the wrong order does
#
# `reshape` alone gives a tensor of the same shape. Nothing complains.

# %%
wrong = tiny.reshape(1, -1, 2)
print(shape(wrong), "is the same shape:", shape(wrong) == shape(rows))
print(wrong[0].tolist())

# %% [markdown]
# The first row now holds value 1 of cell (0, 0) and value 1 of cell (0, 1): two answers of two cells, taken for two numbers of one box. A network trained like this learns something, badly, and you search for weeks. See what becomes of the star. Its centre lies in cell (8, 13) of P5. Let that cell say "star", class 8, at anchor 4, and nothing else:

# %%
says_star = torch.zeros(1, 9 * 20, 20, 26)
says_star[0, 4 * 20 + 8, 8, 13] = 1
points = {}
for name, x in [("with permute", says_star.permute(0, 2, 3, 1)), ("without", says_star)]:
    row, label = x.reshape(-1, 20).nonzero()[0].tolist()
    i, j, a = row // 9 // 26, row // 9 % 26, row % 9
    points[name] = ((j + 0.5) * 32, (i + 0.5) * 32)  # the centre of that cell in pixels
    print(f"{name:12}: row {row} = cell ({i}, {j}), anchor {a}, says {CLASSES[label]!r}")

# %%
ax = show_image(scenes[0].image, "Where does the answer of the star's cell arrive?")
ax.plot(
    *points["with permute"], "o", color=OBJECT["edgecolor"], markersize=12, label="with permute"
)
ax.plot(*points["without"], "X", color=ANCHOR["edgecolor"], markersize=14, label="without")
_ = ax.legend(loc="lower right")

# %% [markdown]
# ## The head
#
# Before the output come four 3×3 convolutions with ReLU. They keep the 256 channels, and give the head room to think. There are two such heads, one for classes and one for deltas. They have the same form, and share no weights.


# %%
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


regression_model = Head(256, num_anchors=9, values=4)
classification_model = Head(256, num_anchors=9, values=20)

# %% [markdown]
# ### Proof
#
# The package calls them `RegressionModel` and `ClassificationModel`. With the same weights they give the same rows and the same gradients.

# %%
P6 = levels[3]
for ours, package in [
    (regression_model, retinanet_lite.RegressionModel(256)),
    (classification_model, retinanet_lite.ClassificationModel(256, num_classes=20)),
]:
    package.load_state_dict(ours.state_dict())
    out_ours, out_package = ours(P6), package(P6)
    out_ours.square().mean().backward()
    out_package.square().mean().backward()
    pairs = list(zip(ours.parameters(), package.parameters(), strict=True))
    same = [torch.allclose(a.grad, b.grad, rtol=1e-4) for a, b in pairs]
    print(type(package).__name__, "outputs equal:", torch.allclose(out_ours, out_package))
    print("   gradients equal:", sum(same), "of", len(same))

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
# Before P5 come all the rows of P3 and P4. On P5 the star's cell is row 8, column 13.

# %%
before_P5 = 80 * 104 * 9 + 40 * 52 * 9
first = before_P5 + (8 * 26 + 13) * 9
print(f"rows {first:,} to {first + 8:,}")

# %% [markdown]
# Keep these nine rows in mind. In the next notebook you will see which of them fits the star best.
#
# ## Logits, not probabilities
#
# What leaves the classification head are **logits**: any numbers from −∞ to ∞. The **sigmoid** σ(x) = 1 / (1 + e⁻ˣ) turns a logit into a probability between 0 and 1. Each class has its own, and they need not add up to 1. If all are small, there is no object: the background needs no class of its own.
#
# Why not let the head return probabilities at once? Because they are rounded, and logits are not:

# %%
logit = torch.tensor(20.0)
p = torch.sigmoid(logit)
print("probability of 'no star':             ", (1 - p).item())
print("its logarithm, by way of probabilities:", torch.log(1 - p).item())
print("its logarithm, from the logit:         ", F.logsigmoid(-logit).item())

# %% [markdown]
# The head is very sure that this is a star, and if it is wrong, the loss should be large and its gradient should push back. By way of the rounded probability the loss is infinite, and the gradient useless. From the logit it is 20.
#
# ### The first answer
#
# Before training, the package's head gives every anchor and every class the same probability, π = 0.01. That is done by the **bias** of its output layer, which is −log((1 − π) / π). Notebook 05 shows why nobody should start without it.

# %%
bias = model.classification_model.output.bias
print("bias:", round(bias[0].item(), 3), "→ probability", round(torch.sigmoid(bias[0]).item(), 4))
probabilities = classification.sigmoid()
print(f"all 99,765 · 20 from {probabilities.min():.4f} to {probabilities.max():.4f}")

# %% [markdown]
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


def explore(row):
    level, i, j, a = locate(row)
    stride = 2**level
    ax = show_image(scenes[0].image, f"Row {row:,}: P{level}, cell ({i}, {j}), anchor {a}")
    cell = torch.tensor([[j, i, j + 1, i + 1]]) * stride
    add_boxes(ax, cell, ANCHOR)
    plt.show()


# %% tags=["nbval-ignore-output"]
_ = interact(explore, row=IntSlider(80_000, 0, 99_764, continuous_update=False))

# %%
print(locate(first))
explore(first)

# %% [markdown]
# ## Exercise 1 (5 min)
#
# Write `to_rows(x, values)`: from [B, A·V, h, w] to [B, h·w·A, V]. `values` is V.
#
# *Hint: two calls. After the first, the channels are the last axis.*


# %%
def to_rows(x, values): ...  # your turn


check_to_rows(to_rows)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def to_rows(x, values):
#     return x.permute(0, 2, 3, 1).reshape(len(x), -1, values)
# ```
# </details>
#
# ## Exercise 2 (5 min)
#
# Write `row_of(i, j, anchor, columns)`: the row, counted within its level, of an anchor of cell (i, j), when a cell has 9 anchors and the level has that many columns.
#
# *Hint: how many cells come before this one?*


# %%
def row_of(i, j, anchor, columns): ...  # your turn


check_row_of(row_of)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def row_of(i, j, anchor, columns):
#     return (i * columns + j) * 9 + anchor
# ```
# </details>
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
