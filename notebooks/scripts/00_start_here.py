# %% [markdown]
# # 00 · Start here
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/OWNER_NAME/retinanet-lite/blob/main/notebooks/00_start_here.ipynb)
#
# **In this notebook a detector finds 11 of a picture's 13 objects, you train another one, and you see the whole of it once, from pixels to boxes.**
#
# It takes about a minute on a laptop's CPU, 25 minutes to read, and 10 to write. You need Python and a first acquaintance with PyTorch: what a tensor is, and that a network learns by gradients. You need to know nothing about detectors.
#
# Run the cells one by one with Shift + Enter. A test runs them all, and compares what they print with what stands here.

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
from tqdm.auto import tqdm

from retinanet_lite import BasicBlock, Detector, RetinaNet, learn, retinanet_resnet50
from retinanet_lite.data.batches import to_batch
from retinanet_lite.data.drawing import CLASSES, random_scene, walkthrough_scene
from retinanet_lite.learn.trace import trace

_ = torch.manual_seed(0)
learn.show_map()

# %% [markdown]
# These are the parts of the detector, in the order of the notebooks. At the end of this page you will know what each is for.
#
# ## A picture, and what is in it
#
# An object detector gets a picture and answers two questions at once: *what* is in it, and *where*.
#
# Our picture is drawn, so we know the answer exactly. It has 13 objects of 20 possible **classes**. Where an object is, we say with a **box**: the smallest upright rectangle around it.

# %%
scene = walkthrough_scene()
learn.show_scene(scene, "What is in the picture, and where?")

# %% [markdown]
# A box is four numbers: x1, y1 are its left and top edge, x2, y2 its right and bottom edge. They are in pixels, x counts to the right, y counts **down**, and (0, 0) is the top left corner of the picture. (Pictures and grids are given as rows × columns, height first: ours is 640×832. Boxes are given as width × height.) A class is a whole number from 0 to 19.

# %%
for box, label in list(zip(scene.boxes.tolist(), scene.labels.tolist(), strict=True))[:3]:
    print([round(edge) for edge in box], "class", label, "=", CLASSES[label])

# %% [markdown]
# The first of them is the star. It will be with you in all the notebooks: you will follow it from its pixels to its detection.
#
# ## A detector at work
#
# A small detector comes with this package. It has learned the 20 classes from drawn pictures, and this one was not among them. For a picture it returns boxes, labels (the classes), and **scores**: how sure it is, from 0 to 1. The figure shows what it says with a score above 0.5.

# %%
detector = Detector.pretrained("shapes")
detections = detector([scene.image])[0]


def above(threshold, detections):
    """The detections with a score above the threshold."""
    kept = detections["scores"] > threshold
    return {name: values[kept] for name, values in detections.items()}


learn.show_detections(scene, above(0.5, detections), "What does the detector find?")

# %% [markdown]
# Did it find them all? We call an object found if a detection of the same class lies on it well. How well two boxes lie on each other is measured by their **IoU**, intersection over union: the area that they share, divided by the area that they cover together. It is 1 for equal boxes and 0 for boxes apart. We ask for at least 0.5.


# %%
def found(scene, detections):
    """For each object: is there a detection of its class with an IoU of 0.5 or more?"""
    iou = box_iou(scene.boxes, detections["boxes"])  # [objects, detections]
    same_class = scene.labels[:, None] == detections["labels"][None, :]
    return ((iou >= 0.5) & same_class).any(dim=1)


hits = found(scene, above(0.5, detections))
print("objects found:", hits.sum().item(), "of", len(hits))
print("the star:", hits[0].item())

# %% [markdown]
# The two that it misses are worth a look. The ring is cut off by the border, and the detector says "moon". And the flat blue pill at the bottom gets no box. None of the boxes that the detector starts from fits the pill well, as notebook 04 shows. Such an object can be learned all the same: you will see it below, and notebook 05 shows how. The detector also says "flower" on the gear, beside "gear": two answers for one object, which notebook 09 explains.
#
# ### Play with it
#
# The score threshold decides how sure the detector must be. Move it down to 0.05, and boxes appear that it hardly believes in. Move it to 1, and everything goes. Choose another number, and another picture is drawn.


# %%
def show_picture(seed, threshold):
    scene = random_scene(seed)
    detections = above(threshold, detector([scene.image])[0])
    learn.show_detections(scene, detections, f"Which scores are above {threshold:.2f}?")


# %% tags=["nbval-ignore-output"]
learn.explore(
    show_picture,
    seed=learn.slider("picture", 1, 0, 99, continuous_update=False),
    threshold=learn.slider("score threshold", 0.5, 0.05, 1.0, 0.05, continuous_update=False),
)

# %% [markdown]
# The same without sliders, for a page that does not run:

# %%
show_picture(seed=1, threshold=0.5)

# %% [markdown]
# ## On a photograph
#
# The boxes of drawn pictures are exact. But people use detectors on photographs. This one comes with matplotlib: Grace Hopper, a pioneer of compilers. In the left picture are three boxes drawn by hand, for a star of the flag, the glasses and the hat. The middle shows the cells of one of the detector's grids, 32 pixels wide. In the right picture are the nine boxes that one cell of it starts from, its **anchors**. The cell, black, holds the middle of the glasses.

# %%
from matplotlib.cbook import get_sample_data

from retinanet_lite import Anchors
from retinanet_lite.data.images import read_image

photo = read_image(get_sample_data("grace_hopper.jpg", asfileobj=False))  # [3, 600, 512]
by_hand = torch.tensor([[46.0, 62, 88, 117], [178, 168, 358, 232], [148, 22, 372, 178]])
titles = ["What, and where?", "What does a grid divide it into?", "Where does a cell start from?"]
_, axes = plt.subplots(1, 3, figsize=(9.6, 4.0), layout="constrained")
for ax, title in zip(axes, titles, strict=True):
    learn.show_image(photo, title, ax)
learn.add_boxes(axes[0], by_hand, learn.OBJECT, ["star", "glasses", "hat"])
axes[1].vlines(range(0, 512, 32), 0, 600, color="white", linewidth=0.8)
axes[1].hlines(range(0, 600, 32), 0, 512, color="white", linewidth=0.8)

row, column = 200 // 32, 268 // 32  # of the middle of the glasses, (268, 200)
all_anchors, counts = Anchors()((600, 512)), Anchors().level_counts(600, 512)
first = counts[0] + counts[1] + (row * 16 + column) * 9  # two finer grids come before
nine = all_anchors[first : first + 9]
learn.add_boxes(axes[2], nine, learn.ANCHOR)
learn.add_boxes(axes[2], torch.tensor([[column, row, column + 1, row + 1]]) * 32, learn.CELL)
print(f"anchors of the whole picture: {len(all_anchors):,}, over {counts[2] // 9} such cells")
print("IoU of the glasses with the best of the nine:", end=" ")
print(f"{box_iou(nine, by_hand[1:2]).max():.2f}, with the best of all: ", end="")
print(f"{box_iou(all_anchors, by_hand[1:2]).max():.2f}")

# %% [markdown]
# The small detector knows drawn shapes only. Notebook 11 brings in detectors that know photographs.
#
# ## How detectors came to this
#
# Why cells, and boxes that they start from? The numbers here are as published in the paper that is named beside them, each with its own computers; the benchmarks are PASCAL VOC and COCO. Their mAP or AP, from 0 to 100, is what notebook 10 measures from 0 to 1; VOC asks for boxes with an IoU of 0.5, COCO for better ones as well.
#
# - **A window that slides.** A classifier says what a small picture shows. To detect, look at every place and every size with it. That works for one class and a quick classifier, such as faces (Viola and Jones, 2001). A large network would have to run once for each of very many windows.
# - **Two stages.** So look only where something may be. R-CNN (Girshick et al., 2014, arXiv 1311.2524) takes about 2,000 regions that some other method proposes, and runs a network on each: 53.3 on VOC 2012. Faster R-CNN (Ren et al., 2015, arXiv 1506.01497) computes the features once for the whole picture, and lets a small network propose the regions, starting from anchors: 73.2 on VOC 2007, at 5 pictures a second.
# - **One stage.** YOLO (Redmon et al., 2016, arXiv 1506.02640) leaves the proposals out: each cell of one grid says at once what is there, and where. 63.4 on VOC 2007, at 45 pictures a second. SSD (Liu et al., 2016, arXiv 1512.02325) does so on several grids, for objects of several sizes: 74.3, at 59. On COCO they stay behind all the same: 21.6 for YOLOv2 and 31.2 for SSD513, where Faster R-CNN with a feature pyramid has 36.2.
# - **The imbalance.** Why? The authors of RetinaNet (Lin et al., 2017, arXiv 1708.02002, §1) answer: a second stage sees one or two thousand candidates that a first one has found promising. One stage sees all places, up to a hundred thousand, and nearly every one shows background. RetinaNet is a plain one-stage detector with a loss that turns easy background down: 39.1, with a ResNet-101 (table 2 of that paper, as the three numbers before; backbones and sizes of the four differ).
# - **Afterwards.** FCOS (Tian et al., 2019, arXiv 1904.01355) does without anchors. ATSS (Zhang et al., 2020, arXiv 1912.02424) finds that what mattered there was which places learn which object. DETR (Carion et al., 2020, arXiv 2005.12872) lets a network say a set of boxes at once, and needs neither anchors nor a removal of duplicates. All of these give many more answers than there are objects, and have to decide which answer learns which object. You will see both here, at their plainest.
#
# ## A detector that has learned nothing
#
# How does a detector come to know this? `RetinaNet` is the network inside. Here is a fresh one, and our scene at half its size, so that a laptop trains it in seconds. `to_batch` makes of the scene the two tensors that the network works with:
#
# - `images`, here [1, 3, 320, 416]: one picture, three colours, 320 rows, 416 columns;
# - `annotations`, here [1, 13, 5]: for each of the 13 objects its box and its class.
#
# > **Predict, then run.** A network with random weights looks at a scene of 13 objects. How many boxes does it report? *Your guess:*

# %%
small_scene = walkthrough_scene(height=320, width=416)
images, annotations = to_batch([small_scene])
print("images     ", list(images.shape))
print("annotations", list(annotations.shape))

# %% [markdown]
# Given images alone, the model detects:

# %%
model = RetinaNet(
    num_classes=20,
    block=BasicBlock,  # the parts of the backbone, see notebook 01
    layers=[1, 1, 1, 1],  # one of them in each stage: as few as there can be
    feature_size=64,  # channels inside; the model of the walkthrough has 256
)
model.eval()
print("detections:", len(model(images)[0]["boxes"]))

# %% [markdown]
# None. It is not that it sees no candidates: it looks at 24,993 boxes, and asks of each whether it holds one of the 20 classes. But a fresh network is made so that it says the same of all of them, a probability of 0.01 (notebook 06 says why), and only scores above 0.05 are reported.
#
# `predict` returns what it says of each candidate: `logits`, a number for each class, and `deltas`, four numbers for the box; and the `anchors`, the boxes that it starts from. Notebooks 03 and 04 make them.

# %%
logits, deltas, anchors = model.predict(images)
probabilities = logits.sigmoid()  # from any number to a number between 0 and 1
print("candidates:", f"{len(anchors):,}")
print("probabilities from", f"{probabilities.min():.4f}", "to", f"{probabilities.max():.4f}")

# %% [markdown]
# ## It learns
#
# Given images *and* annotations, the model returns its **losses**: two numbers that say how wrong it is, one about classes and one about boxes. To learn is to change the model's parameters, step by step, so that the losses fall.
#
# The next cell takes 60 such steps. It runs for 20 to 40 seconds.

# %% tags=["nbval-ignore-output"]
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
model.train()
history = []
for _step in tqdm(range(60)):  # tqdm shows a bar
    losses = model(images, annotations)
    optimizer.zero_grad()
    sum(losses.values()).backward()
    optimizer.step()
    history.append([losses["classification"].item(), losses["regression"].item()])

# %%
_, ax = plt.subplots(figsize=(6.4, 3))
ax.plot([c for c, _ in history], label="classification: what?")
ax.plot([r for _, r in history], "--", label="regression: where?")
ax.set(title="Does it learn?", xlabel="step", ylabel="loss", yscale="log")
_ = ax.legend()

# %% [markdown]
# (A loss may jump at one step and fall all the same.)
#
# The same call as before, and now there are boxes. (Training is not the same to the last digit on every computer. On yours a box may be there that is not here.)

# %%
model.eval()
learned = above(0.5, model(images)[0])
hits = found(small_scene, learned)
print("objects found:", hits.sum().item(), "of", len(hits))
learn.show_detections(small_scene, learned, "What has it learned?")

# %% [markdown]
# All are found, and this detector has seen no other picture: it knows this one by heart. On the next one it fails:

# %%
half_size = random_scene(seed=1, height=320, width=416)
hits = found(half_size, above(0.5, model(to_batch([half_size])[0])[0]))
print("objects found in another picture: under a third:", (hits.sum() < len(hits) / 3).item())

# %% [markdown]
# To learn *stars* rather than *this star* takes many pictures, and a test on pictures that it never saw. The detector at the top of this page has had that; notebook 08 shows how it is done.
#
# ## What happened in between
#
# Between the picture and the boxes there are grids of numbers, some finer, some coarser. One place of such a grid is a **cell**. The next notebooks take the parts one at a time:
#
# | notebook | part | what it does |
# |---|---|---|
# | 01 | backbone | turns the image into three grids of features, numbers that describe what is seen there: C3, C4 and C5, each coarser than the last |
# | 02 | pyramid | makes of them five grids, P3 to P7; the fine ones get back what the coarse ones know |
# | 03 | heads | say at every cell of every grid which class is there, and how a box that stands there must move |
# | 04 | anchors | are these boxes to start from: nine at every cell |
# | 05 | matching | decides which anchor learns which object |
# | 06 | loss | says how wrong each answer is |
# | 07 | detector | is all of it together, and the first step of learning |
#
# And then it is used: 08 trains a detector, 09 takes its detections apart, 10 measures them, and 11 brings in pictures of your own. (14 shows what others do otherwise.)
#
# There is also a page to read along, [the walkthrough](../docs/walkthrough.md). It goes through the whole model line by line, with the shape of every tensor. Its structure is that of a well-known public implementation, `pytorch-retinanet`, which we call **the original**. The notebooks build what the walkthrough describes, and check their shapes against it.
#
# Here is the whole, in numbers. It is the detector of the walkthrough, RetinaNet over a ResNet-50, for a batch of two images of 640×832 pixels. You need not understand a row of it yet. After notebook 07 you will know why each number is what it is.

# %%
table = trace(retinanet_resnet50(num_classes=20), height=640, width=832, batch_size=2)
print(table)

# %% [markdown]
# The same as a drawing:

# %%
learn.show_model()

# %% [markdown]
# How to read a row of the table: `output` is the shape of the tensor that leaves a part. For a grid, that is [images, channels, rows, columns]. The `stride` is how many pixels of the image one cell is wide and high. `parameters` counts the model's weights.
#
# Two things to notice. The image's 640 rows become 80, 40, 20, 10 and 5: each level halves the one before, rounded up where it must. And the rows of `regression` add up to 99,765: that is how many boxes the detector looks at in each image.

# %%
levels = ["P3", "P4", "P5", "P6", "P7"]
counts = [table[f"regression {level}"].shape[1] for level in levels]
print(" + ".join(str(count) for count in counts), "=", f"{sum(counts):,}")

# %% [markdown]
# ## Exercise 1 (5 min)
#
# Boxes come as edges, x1, y1, x2, y2. Often you want them as a centre and a size. Write `describe(box)`: it gets a list of four numbers and returns centre x, centre y, width and height.
#
# *Hint: the centre lies halfway between two edges.*


# %%
def describe(box):
    x1, y1, x2, y2 = box
    # your turn: return centre_x, centre_y, width, height
    ...


learn.check_describe(describe)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def describe(box):
#     x1, y1, x2, y2 = box
#     return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
# ```
# </details>
#
# ## Exercise 2 (5 min)
#
# And the way back: write `edges(x, y, width, height)`, where x and y are the centre. It returns x1, y1, x2, y2.
#
# *Hint: half of the width lies to the left of the centre.*


# %%
def edges(x, y, width, height):
    # your turn: return x1, y1, x2, y2
    ...


learn.check_edges(edges)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def edges(x, y, width, height):
#     return x - width / 2, y - height / 2, x + width / 2, y + height / 2
# ```
# </details>
#
# ## To go on with
#
# Two tasks without a single right answer.
#
# 1. Draw a scene of your own with `draw` and `Shape` (see `retinanet_lite/data/drawing.py`) in which the detector errs.
#
#    <details><summary>What to look for</summary>
#
#    Which errors are left when every shape is large and stands alone? Change one thing at a time: size, overlap, crowding, colour against the background. Does a low score go with an error, or is it sure and wrong?
#    </details>
#
# 2. Show it a photograph of yours. It knows drawn shapes alone.
#
#    <details><summary>What to look for</summary>
#
#    It has no class for what it sees, and no word for “I don't know”. What does it say, where, and with which scores? How would you tell its user?
#    </details>
#
# ## What to remember
#
# 1. A detector answers *what* and *where*: classes, scores, and boxes x1, y1, x2, y2 in pixels.
# 2. `model(images, annotations)` gives losses to learn from; `model(images)` gives detections.
# 3. It looks at many candidate boxes, 99,765 in an image of 640×832, and says of each what it holds and how to move it.
#
# In the paper: Lin, Goyal, Girshick, He and Dollár, *Focal Loss for Dense Object Detection*, 2017 (arXiv 1708.02002), figure 3 shows the same parts.
#
# Next: [01 · The backbone](01_backbone.ipynb), where the image becomes features.
