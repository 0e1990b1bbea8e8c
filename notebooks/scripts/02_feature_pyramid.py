# %% [markdown]
# # 02 · The feature pyramid
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/OWNER_NAME/retinanet-lite/blob/main/notebooks/02_feature_pyramid.ipynb)
#
# **In this notebook you bring what C5 knows back down to C3, and get the pyramid: P3, P4 and P5, and two coarser grids, P6 and P7, for the largest objects.**
#
# About 20 seconds on a CPU, 25 minutes to read, and 30 to write. You need C3, C4 and C5 from notebook [01](01_backbone.ipynb).

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
from retinanet_lite.data.drawing import random_scene, walkthrough_scene

_ = torch.manual_seed(0)
learn.show_map(here="pyramid")

# %% [markdown]
# First the backbone's three grids, for the same two images as before. Its weights are random.


# %%
def shape(x):
    return list(x.shape)


scenes = [walkthrough_scene(), random_scene(seed=1)]
images, annotations = to_batch(scenes)
backbone = retinanet_lite.ResNet(retinanet_lite.Bottleneck, [3, 4, 6, 3])
with torch.no_grad():  # we look, we do not train
    C3, C4, C5 = backbone(images)
print("C3", shape(C3))
print("C4", shape(C4))
print("C5", shape(C5))

# %% [markdown]
# ## The problem
#
# In our scene there is a square of 24 pixels and a house 386 pixels high. On C5, whose cells are 32 pixels wide, the square is less than one cell. So let us find small objects on C3 and large ones on C5?
#
# A cell of C3 sees 91×91 pixels (notebook 01), which holds the square, but it has gone through few layers: its features say less of *what* is there (as published, §1 of the paper). A cell of C5 sees 427×427 and has gone through all layers, but there is one only every 32 pixels. A **feature pyramid** lends what C5 knows to the finer levels. What is it worth? As published in the paper (table 1; the average recall on COCO with 1,000 proposals an image): 56.3 with the pyramid, 49.5 without the way down, 46.1 without the lateral convolutions, which you are about to build.
#
# ## One width for all
#
# The three grids have 512, 1024 and 2048 channels. To add them they need the same number. A 1×1 convolution mixes the channels of each cell, and looks at no neighbours. It is called **lateral**, since it goes sideways.

# %%
lateral3 = nn.Conv2d(512, 256, kernel_size=1)
lateral4 = nn.Conv2d(1024, 256, kernel_size=1)
lateral5 = nn.Conv2d(2048, 256, kernel_size=1)
M5 = lateral5(C5)  # M for "merged", see below
print(shape(C5), "→", shape(M5))

# %% [markdown]
# ## From C5 down to C4
#
# "Down" means towards the lower number, from coarse to fine. To lend C4 what C5 knows, stretch M5 to the size of C4, and add. Stretching here means: repeat each cell. The results are called M5, M4 and M3, M for *merged*; M5 has nothing to merge with yet.

# %%
tiny = torch.tensor([[1.0, 2], [3, 4]])
print(F.interpolate(tiny[None, None], size=(4, 4), mode="nearest")[0, 0].int())

# %%
up = F.interpolate(M5, size=C4.shape[-2:], mode="nearest")
M4 = lateral4(C4) + up
print(shape(M5), "→", shape(up))
print(shape(lateral4(C4)), "+", shape(up), "=", shape(M4))

# %% [markdown]
# And once more, from M4 down to C3. M4 already holds what C5 lent it, so C3 gets both.

# %%
M3 = lateral3(C3) + F.interpolate(M4, size=C3.shape[-2:], mode="nearest")
print("M3", shape(M3))

# %% [markdown]
# Repeating cells leaves steps. A 3×3 convolution can smooth them, and M5 gets one, too. The results are the pyramid's levels P3, P4 and P5.

# %%
output3, output4, output5 = [nn.Conv2d(256, 256, kernel_size=3, padding=1) for _ in range(3)]
P3, P4, P5 = output3(M3), output4(M4), output5(M5)
print("P3", shape(P3), shape(P3) == [2, 256, 80, 104])
print("P4", shape(P4), shape(P4) == [2, 256, 40, 52])
print("P5", shape(P5), shape(P5) == [2, 256, 20, 26])

# %% [markdown]
# ## Two more levels
#
# The largest boxes that the heads start from on P5, its anchors (notebook 04), have the area of a square of 203 pixels. For larger objects there are P6 and P7: two more convolutions of stride 2, as in RetinaNet's paper. P6 starts from C5, and P7 from P6; the ReLU puts something non-linear between the two convolutions.

# %%
p6 = nn.Conv2d(2048, 256, kernel_size=3, stride=2, padding=1)
p7 = nn.Conv2d(256, 256, kernel_size=3, stride=2, padding=1)
P6 = p6(C5)
P7 = p7(F.relu(P6))
print("P6", shape(P6), shape(P6) == [2, 256, 10, 13])
print("P7", shape(P7), shape(P7) == [2, 256, 5, 7])

# %% [markdown]
# P6 has 13 columns, and P7 has 7: half of 13 is 6.5, and a convolution with kernel 3, stride 2 and padding 1 rounds **up**. Level l has ⌈H / 2^l⌉ rows and ⌈W / 2^l⌉ columns, where ⌈ ⌉ is rounding up.

# %%
for level in range(3, 8):
    stride = 2**level
    print(f"P{level}: {-(-640 // stride)} × {-(-832 // stride)}")  # −(−a // b) rounds up

# %% [markdown]
# That is the whole pyramid. In the drawing C3 stands on top, so the way "down" goes up the page:

# %%
learn.show_pyramid()

# %% [markdown]
# ## Odd sizes
#
# Why did we stretch M5 "to the size of C4", and not just to twice its own? Take an image of 417×333 pixels.

# %%
with torch.no_grad():
    odd3, odd4, odd5 = backbone(torch.zeros(1, 3, 417, 333))
    doubled = F.interpolate(lateral5(odd5), scale_factor=2, mode="nearest")
    fitted = F.interpolate(lateral5(odd5), size=odd4.shape[-2:], mode="nearest")
print("C4     ", shape(odd4)[-2:])
print("doubled", shape(doubled)[-2:])
print("fitted ", shape(fitted)[-2:])

# %% [markdown]
# C5 has 14 rows, for 27 rows of C4. Twice 14 is 28, and 28 rows can't be added to 27. An implementation that doubles works only where C3 has exactly twice the rows and columns of C4, and C4 of C5, as for sides that are multiples of 32. Other images it has to pad first. Fitting to the other's size does without. How do 14 rows become 27? Each comes twice, and the last one only once:

# %%
rows_of_C5 = torch.arange(14.0)[None, None]
print(F.interpolate(rows_of_C5, size=27, mode="nearest").int().tolist()[0][0])

# %% [markdown]
# ## Build it (15 min)
#
# You have made all of the pyramid by hand. Put it into a class: eight convolutions, and the way through them. It has to take images of odd sizes. `learn.keep` compares it with the package's pyramid, and keeps it in `mine/pyramid.py` if it is right.
#
# *Hint: `interpolate` with `size=`, and M4, not M5, is handed down to M3.*


# %%
class MyPyramid(nn.Module):
    """C3, C4 and C5 become five levels of one width.

    Layers: lateral3, lateral4, lateral5 (1×1); output3, output4, output5 (3×3, padding 1);
        p6 and p7 (3×3, stride 2, padding 1).
    Shapes: inputs [C3, C4, C5], with C3_size, C4_size and C5_size channels
        → [P3, P4, P5, P6, P7], each with feature_size channels.
    """

    def __init__(self, C3_size, C4_size, C5_size, feature_size=256):
        super().__init__()
        # your turn: the layers

    def forward(self, inputs):
        C3, C4, C5 = inputs
        # your turn
        ...


learn.keep(MyPyramid)

# %% [markdown]
# Our class is folded in the next cell.


# %% tags=["hide-input"] jupyter={"source_hidden": true}
class PyramidFeatures(nn.Module):
    def __init__(self, C3_size, C4_size, C5_size, feature_size=256):
        super().__init__()
        self.lateral3 = nn.Conv2d(C3_size, feature_size, 1)
        self.lateral4 = nn.Conv2d(C4_size, feature_size, 1)
        self.lateral5 = nn.Conv2d(C5_size, feature_size, 1)
        self.output3 = nn.Conv2d(feature_size, feature_size, 3, padding=1)
        self.output4 = nn.Conv2d(feature_size, feature_size, 3, padding=1)
        self.output5 = nn.Conv2d(feature_size, feature_size, 3, padding=1)
        self.p6 = nn.Conv2d(C5_size, feature_size, 3, stride=2, padding=1)
        self.p7 = nn.Conv2d(feature_size, feature_size, 3, stride=2, padding=1)

    def forward(self, inputs):
        C3, C4, C5 = inputs
        M5 = self.lateral5(C5)
        M4 = self.lateral4(C4) + F.interpolate(M5, size=C4.shape[-2:], mode="nearest")
        M3 = self.lateral3(C3) + F.interpolate(M4, size=C3.shape[-2:], mode="nearest")
        P6 = self.p6(C5)
        P7 = self.p7(F.relu(P6))
        return [self.output3(M3), self.output4(M4), self.output5(M5), P6, P7]


# %% [markdown]
# ### Proof
#
# The same weights, and odd sizes on purpose: the outputs and all gradients are those of the package, up to rounding.


# %%
def largest_gap(pairs):
    """The largest difference in pairs of tensors, as a part of the largest number in them."""
    return max((a - b).abs().max() for a, b in pairs) / max(b.abs().max() for _, b in pairs)


ours = PyramidFeatures(512, 1024, 2048)
package = retinanet_lite.PyramidFeatures(512, 1024, 2048)
ours.load_state_dict(package.state_dict())

inputs = [torch.randn(2, 512, 13, 9), torch.randn(2, 1024, 7, 5), torch.randn(2, 2048, 4, 3)]
P_ours, P_package = ours(inputs), package(inputs)
pairs = list(zip(P_ours, P_package, strict=True))
print(f"the {len(pairs)} outputs differ by at most {largest_gap(pairs):.4f} of the largest number")

sum(P.square().mean() for P in P_ours).backward()
sum(P.square().mean() for P in P_package).backward()
both = zip(ours.parameters(), package.parameters(), strict=True)
pairs = [(a.grad, b.grad) for a, b in both]
print(f"the {len(pairs)} gradients by at most {largest_gap(pairs):.4f} of the largest")

# %% [markdown]
# ## What does the way down do?
#
# Change a single cell of C5, and see which cells of each level change with it.
#
# > **Predict, then run.** A cell of C5 is as wide as four cells of P3. How many cells of P3 change? *Your guess:*

# %%
with torch.no_grad():
    before = package([C3, C4, C5])
    C5_changed = C5.clone()
    C5_changed[:, :, 8, 13] += 1.0  # the cell of C5 that holds the star's centre
    after = package([C3, C4, C5_changed])
for name, a, b in zip(["P3", "P4", "P5", "P6", "P7"], before, after, strict=True):
    changed = ((a - b).abs() > 1e-4).any(dim=1)[0]  # [rows, columns]
    rows, columns = changed.any(dim=1).sum().item(), changed.any(dim=0).sum().item()
    print(f"{name}: {rows}×{columns} cells change, {rows * columns} together")

# %% [markdown]
# On P5 it is 3×3, because of the 3×3 convolution. On P4 the cell was repeated to 2×2, and the convolution adds one on each side: 4×4. On P3 it is 4×4 and one on each side, 6×6. So what one cell of C5 knows about the star arrives at 36 cells of P3, which without the way down would never hear of it. (P6 is a convolution of stride 2 over C5: row 8 lies in the window of its row 4 only, column 13 in those of its columns 6 and 7. P7 is one over P6: row 4 lies in the window of row 2 only, column 6 in that of column 3, column 7 in those of columns 3 and 4.)
#
# ## Look
#
# Each level has its cells. The dot is the centre of the star's box, and the cell with the thick border holds it. The cells of P3 are small; the first panel shows those around the dot, enlarged. There you can see that it lies just below an upper edge: y is 257, and an edge of the cells of every level is at 256. So it belongs to the cell under that edge. The cells of P7 reach beyond the image: 7 columns of 128 pixels are 896.

# %%
star = scenes[0].boxes[0]
centre = tuple(((star[:2] + star[2:]) / 2).tolist())
names = ["P3", "P4", "P5", "P6", "P7"]
learn.show_cells(scenes[0].image, [8, 16, 32, 64, 128], centre, names)
print("centre of the star:", centre)
for level, name in enumerate(names, start=3):
    print(name, "row", int(centre[1] // 2**level), "column", int(centre[0] // 2**level))

# %% [markdown]
# And what do the cells hold? With random weights, nothing that means anything. So we take the small detector of notebook 00 once more, which has learned. Its pyramid has 64 channels, and the same cells.

# %%
trained = Detector.pretrained("shapes").model
with torch.no_grad():
    T = trained.fpn(trained.backbone(images))
maps = {name: P[0] for name, P in zip(names, T, strict=True)}
print(maps["P3"].shape[0], "channels")
learn.show_features(scenes[0].image, maps, "What does each level hold?")

# %% [markdown]
# Over all channels together P3 and P4 show the objects filled, where C3 in notebook 01 showed outlines. On P6 and P7 there is no shape left to see, but look where P7 is bright: at the house and at the disc, the two largest objects.
#
# ### Play with it
#
# Pick a point of the image and a level. On the left is what its cell sees, the bright part. On the right are the six channels that stand out most in this cell: how many standard deviations each is above its own mean over the level. Beyond two, the dashed line, we say that it fires. The first of them is drawn in the middle. Put the point on the star: which channel fires most there, and what else makes it fire? And does any level see all of the house?

# %% tags=["nbval-ignore-output"]
learn.explore_pyramid(scenes[0], trained.backbone, maps)

# %%
print(learn.show_pyramid_at(scenes[0], trained.backbone, maps, x=240, y=152, level=3))

# %% [markdown]
# That is the small square, three cells of P3 wide. And the middle of the house, on the level that sees most:

# %%
print(learn.show_pyramid_at(scenes[0], trained.backbone, maps, x=183, y=407, level=7))

# %% [markdown]
# A cell of P7 sees 387 pixels in height and width, where the image does not end before; the house is 386 high. But its cells stand 128 pixels apart, and none stands just right. So no cell of this small detector's *pyramid* sees all of the house. How can it find it, then? The heads of the next notebook come after the pyramid, and their five 3×3 convolutions look at neighbouring cells once more. The gradient tells what can change two cells of P7 at the house, one under the other, the cell of P6 that holds it, and the classification head's answer at that cell of P6:


# %%
def seen(values):
    """First and last row and column of the image that can change these values."""
    (gradient,) = torch.autograd.grad(values.sum(), pixels, retain_graph=True)
    touched = gradient[0].abs().sum(dim=0) > 0  # [640, 832]
    rows, columns = touched.any(dim=1).nonzero(), touched.any(dim=0).nonzero()
    return f"rows {rows.min()} to {rows.max()}, columns {columns.min()} to {columns.max()}"


left, top, right, bottom = scenes[0].boxes[1].int().tolist()
pixels = images[:1].clone().requires_grad_()
_, _, _, P6_trained, P7_trained = trained.fpn(trained.backbone(pixels))
answers = trained.classification_model(P6_trained).reshape(10, 13, -1)
print(f"the house:           rows {top} to {bottom - 1}, columns {left} to {right - 1}")
print("cell (3, 1) of P7:   " + seen(P7_trained[0, :, 3, 1]))
print("cell (4, 1) of P7:   " + seen(P7_trained[0, :, 4, 1]))
print("cell (6, 2) of P6:   " + seen(P6_trained[0, :, 6, 2]))
print("the head's answer:   " + seen(answers[6, 2]))

# %% [markdown]
# One cell of P7 ends above the foot of the house, the next begins below its top, and P6 sees less. The head's answer depends on all of the house. (With more blocks in the backbone, cells see more by themselves: those of a ResNet-50's C5 see 427 pixels, as you counted in notebook 01.)

# %% [markdown]
# ## Exercise 1 (5 min)
#
# Write `count_cells(height, width)`: how many cells have P3, P4, P5, P6 and P7 together, for an image of any size?
#
# *Hint: each size rounds up. `-(-a // b)` does, or `math.ceil(a / b)`. For 640×832 it is 11,085.*


# %%
def count_cells(height, width):
    # your turn
    ...


learn.check_count_cells(count_cells)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def count_cells(height, width):
#     return sum(-(-height // s) * -(-width // s) for s in (8, 16, 32, 64, 128))
# ```
# </details>
#
# ## Exercise 2 (10 min)
#
# Write `merge(lateral, coarser)`: stretch `coarser` [B, C, h, w] to the size of `lateral` [B, C, H, W], and add. It has to work for every size.
#
# *Hint: the check tries an image of 417×333.*


# %%
def merge(lateral, coarser):
    # your turn
    ...


learn.check_merge(merge)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def merge(lateral, coarser):
#     return lateral + F.interpolate(coarser, size=lateral.shape[-2:], mode="nearest")
# ```
# </details>
#
# Others make P6 from P5, or stretch by 2: [what others do](14_what_others_do.ipynb#the-pyramid), once you have trained something.
#
# ## To go on with
#
# Two tasks without a single right answer.
#
# 1. In the trained detector, cut the way down: set the weights of `lateral4` and `lateral5` to 0, one after the other, and detect.
#
#    <details><summary>What to look for</summary>
#
#    Which objects are lost, and on which level did they live? P5 needs `lateral5`, too: how do you cut what goes down and leave P5 as it is?
#    </details>
#
# 2. Add a level P2 for objects under 23 pixels, on paper or in code.
#
#    <details><summary>What to look for</summary>
#
#    Where does it get its map from, and how many cells has it for 640×832 pixels, beside all the others together? What else in the detector has to know of it?
#    </details>
#
# ## What to remember
#
# 1. Lateral 1×1 for one width, stretch and add for the way down, 3×3 to smooth.
# 2. P3 to P7 have 256 channels each, and cells of 8, 16, 32, 64 and 128 pixels; sizes round up.
# 3. Stretch to the other's size, and any image fits.
#
# In the paper: Lin, Dollár, Girshick, He, Hariharan and Belongie, *Feature Pyramid Networks for Object Detection*, 2017 (arXiv 1612.03144), §3; P6 and P7 are RetinaNet's, §4.
#
# Next: [03 · The heads](03_heads.ipynb), where each cell speaks.
