# %% [markdown]
# # 10 · Your own data
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/OWNER_NAME/retinanet-lite/blob/main/notebooks/10_your_own_data.ipynb)
#
# **In this notebook you bring pictures of your own to the detector: you write them in the two usual formats, see what is wrong with them before training, and train on them.**
#
# About a minute on a CPU, and 30 minutes to read. You need notebooks [07](07_training.ipynb) and [09](09_evaluation.ipynb).

# %%
# where the package is missing, as in Colab, this installs it; what is there already stays
from importlib.util import find_spec

if find_spec("retinanet_lite") is None:
    source = "git+https://github.com/OWNER_NAME/retinanet-lite"
    get_ipython().run_line_magic("pip", f'install -q "retinanet-lite[learn] @ {source}"')

# %%
import json
import tempfile
import warnings
from pathlib import Path

import torch
from PIL import Image

from retinanet_lite import BasicBlock, Detector, Recipe, RetinaNet, anchor_coverage, evaluate, fit
from retinanet_lite.anchors import Anchors
from retinanet_lite.cli import main
from retinanet_lite.data.folders import CocoFolder, VocFolder
from retinanet_lite.data.images import read_image
from retinanet_lite.data.scenes import test_scenes, training_scenes
from retinanet_lite.data.transforms import augment
from retinanet_lite.learn.charts import show_coverage, show_items
from retinanet_lite.learn.diagrams import show_map
from retinanet_lite.learn.exercises import check_from_coco, check_to_labels
from retinanet_lite.learn.explorers import explore, slider
from retinanet_lite.pretrained import SHAPES

_ = torch.manual_seed(0)
show_map(here="your data")

# %% [markdown]
# ## What a data set has to give
#
# Anything with a length that gives item i as `(image, target)` can be trained on:
#
# - the image is [3, H, W], red, green and blue, whole numbers from 0 to 255 (uint8) or floating point from 0 to 1;
# - `target["boxes"]` is [M, 4], x1, y1, x2, y2 in pixels, floating point;
# - `target["labels"]` is [M], whole numbers (int64) from 0 to K − 1, where K is the number of classes.
#
# Three questions are asked every time:
#
# - *Is background a class?* No. An anchor without an object has probability near 0 for all K classes.
# - *Do labels start at 0 or 1?* At 0. With 1 the last class is out of range, and you are told.
# - *What about pictures without any object?* They are welcome: M is 0. They teach what background looks like.
#
# A class of your own needs `__len__` and `__getitem__`:


# %%
class MyPictures(torch.utils.data.Dataset):
    def __init__(self, paths, boxes, labels):
        self.paths, self.boxes, self.labels = paths, boxes, labels

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, i):
        # the types and the reshape matter for a picture without objects, whose lists are empty
        boxes = torch.tensor(self.boxes[i], dtype=torch.float32).reshape(-1, 4)
        labels = torch.tensor(self.labels[i], dtype=torch.int64)
        return read_image(self.paths[i]), {"boxes": boxes, "labels": labels}


# %% [markdown]
# `read_image` reads what cameras and programs write: grey pictures, transparent ones, 16 bits a pixel. It gives three channels of 8 bits for all of them, and turns photographs upright.

# %%
folder = Path(tempfile.mkdtemp())
picture = Image.new("RGB", (40, 30), "orange")
picture.save(folder / "colour.png")
picture.convert("L").save(folder / "grey.png")
picture.convert("RGBA").save(folder / "transparent.png")
Image.new("I;16", (40, 30), 65535).save(folder / "16_bits.png")
for name in ("colour", "grey", "transparent", "16_bits"):
    image = read_image(folder / f"{name}.png")
    print(f"{name:12}", list(image.shape), image.dtype, "upper left:", image[:, 0, 0].tolist())

paths = [folder / "colour.png", folder / "grey.png"]
mine = MyPictures(paths, boxes=[[[5, 5, 20, 25]], []], labels=[[2], []])
for _, target in [mine[0], mine[1]]:
    print("boxes", list(target["boxes"].shape), "labels", target["labels"].tolist())

# %% [markdown]
# ## A folder as Pascal VOC has it
#
# Most tools that draw boxes can write this format. Let us write one from drawn scenes, 48 to learn from and 24 to measure on, and pretend somebody had labelled them by hand.
#
# It has three folders. `JPEGImages` holds the pictures. `Annotations` holds an XML file for each picture, with its size and its objects. `ImageSets/Main` holds lists of names, one for each split.

# %%
root = folder / "shapes"
for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
    (root / name).mkdir(parents=True)


# %% [markdown]
# First the two files of one picture. An object is given as (class, x1, y1, x2, y2).


# %%
def write_voc(name, image, objects):
    """A picture and its XML. VOC counts pixels from 1."""
    height, width = image.shape[-2:]
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(root / f"JPEGImages/{name}.jpg")
    lines = ["<annotation>", f"  <filename>{name}.jpg</filename>"]
    lines += [f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>"]
    for kind, x1, y1, x2, y2 in objects:
        lines += [f"  <object><name>{kind}</name><bndbox>"]
        lines += [f"    <xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin>"]
        lines += [f"    <xmax>{x2}</xmax><ymax>{y2}</ymax>", "  </bndbox></object>"]
    (root / f"Annotations/{name}.xml").write_text("\n".join([*lines, "</annotation>"]))


# %% [markdown]
# Then a whole split: every picture of it, and the list of their names.


# %%
def write_split(split, scenes):
    names = []
    for i in range(len(scenes)):
        image, target = scenes[i]
        kinds = [scenes.classes[label] for label in target["labels"].tolist()]
        edges = target["boxes"].round().int().tolist()
        write_voc(f"{split}_{i:02}", image, [(k, *e) for k, e in zip(kinds, edges, strict=True)])
        names.append(f"{split}_{i:02}")
    (root / f"ImageSets/Main/{split}.txt").write_text("\n".join(names))


write_split("train", training_scenes(length=48))
write_split("test", test_scenes(length=24))
print((root / "Annotations/train_00.xml").read_text())

# %% [markdown]
# The `+ 1` in `write_voc` is the format's: its first pixel is number 1, and the last one counts. A box that covers the pixels 1 to 10 begins at edge 0 and ends at edge 10. The reader turns that round. (Some tools write edges from 0. For those there is `first_pixel=0`.)

# %%
train = VocFolder(root, split="train")
test = VocFolder(root, split="test", classes=train.classes)
print(len(train), "and", len(test), "pictures, classes", train.classes)
drawn = training_scenes(length=48)[0][1]["boxes"].round()
print("the boxes that were drawn:", torch.equal(train[0][1]["boxes"], drawn))

# %% [markdown]
# `classes=train.classes` gives the second split the same labels as the first. Without it, a class that is missing in one of them would shift the labels of the others.
#
# Then **look at your data**. Most that can go wrong with a data set is plain to see: boxes beside their objects, classes exchanged, objects that nobody labelled.

# %%
show_items([train[i] for i in range(8)], train.classes, "Do the boxes lie where they should?")

# %% [markdown]
# ## What is wrong with it?
#
# Real data sets have faults. Let us make four: a click without a drag, a box that leaves its picture, an XML that is gone, and a download that brought an error page instead of a picture. A picture without any object is there as well; that is no fault.

# %%
blank = torch.full((3, 128, 128), 240, dtype=torch.uint8)
write_voc("click", blank, [("disc", 60, 60, 60, 60), ("star", 5, 5, 50, 50)])
write_voc("outside", blank, [("disc", 100, 20, 160, 80)])
write_voc("gone", blank, [])
(root / "Annotations/gone.xml").unlink()
write_voc("no_picture", blank, [])
(root / "JPEGImages/no_picture.jpg").write_text("<html>404 not found</html>")
write_voc("empty", blank, [])
(root / "ImageSets/Main/faulty.txt").write_text("click\noutside\ngone\nno_picture\nempty")

try:
    VocFolder(root, split="faulty", classes=train.classes)
except ValueError as error:
    print(str(error).replace(str(root), "shapes"))

# %% [markdown]
# All faults are named at once, with file and cause. Not one after the other, and not in the third hour of a training. You can mend them, or leave out what is broken:

# %%
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the same list again; it is never dropped in silence
    faulty = VocFolder(root, split="faulty", classes=train.classes, on_problem="drop")
for problem in faulty.problems:
    print(f"{problem.file:28} {problem.action}")
for i in range(len(faulty)):
    print(f"objects in {Path(faulty.names[i]).name}:", len(faulty.target(i)["boxes"]))

# %% [markdown]
# ## A file as COCO has it
#
# COCO keeps all annotations in one JSON file, with three lists: `images`, `annotations`, `categories`. Each has ids, and annotations point to the other two by id. A box is [x, y, width, height], counted from 0. Here is the same test split:

# %%
category_ids = {"disc": 1, "star": 7, "triangle": 4}  # ids may have gaps, and often do
categories = [{"id": i, "name": name} for name, i in category_ids.items()]
images, annotations = [], []
for i in range(len(test)):
    name = Path(test.names[i]).name
    images.append({"id": 100 + i, "file_name": name, "width": 128, "height": 128})
    target = test.target(i)
    for (x1, y1, x2, y2), label in zip(target["boxes"].tolist(), target["labels"], strict=True):
        annotation = {"id": len(annotations) + 1, "image_id": 100 + i, "iscrowd": 0}
        annotation["category_id"] = category_ids[test.classes[label]]
        annotation["bbox"] = [x1, y1, x2 - x1, y2 - y1]
        annotation["area"] = (x2 - x1) * (y2 - y1)
        annotations.append(annotation)

content = {"images": images, "annotations": annotations, "categories": categories}
(folder / "test.json").write_text(json.dumps(content))
print(json.dumps(annotations[0]))

# %%
coco = CocoFolder(root / "JPEGImages", folder / "test.json")
print(len(coco), "pictures, classes", coco.classes, "with ids", coco.category_ids)
same = all(torch.equal(coco.target(i)["boxes"], test.target(i)["boxes"]) for i in range(len(test)))
print("the same boxes as in the VOC folder:", same)

# %% [markdown]
# The classes are in the order of their ids: 1, 4, 7 become the labels 0, 1, 2.
#
# ## Do the anchors fit?
#
# The first question of notebook 07, asked of your data:

# %%
coverage = anchor_coverage(Anchors(), train)
show_coverage(coverage, "How well does the best anchor fit each object?")
print(*coverage.advice(), sep="\n")

# %% [markdown]
# The command line asks it as well, for folders of both kinds. `main` is what the command `retinanet-lite` calls; in a terminal you would type `retinanet-lite anchors --voc shapes --split train --size 256 256`.

# %%
code = main(["anchors", "--voc", str(root), "--split", "train", "--size", "256", "256"])

# %% [markdown]
# `--size 256 256` scales the pictures to twice their size before the detector sees them. Now the objects are twice as large, and none is too small. It would cost four times as much, and the 1.4 of the advice about twice; for three objects of 122 we leave the pictures as they are.
#
# ### Play with it
#
# Move the anchors' base size, in strides. Four is the paper's. Where do most objects of this data set have a good anchor?


# %%
def show_size(size):
    coverage = anchor_coverage(Anchors(size=size), train)
    show_coverage(coverage, f"size={size:g}: {coverage.under(0.5):.0%} of the objects under 0.5")


# %% tags=["nbval-ignore-output"]
explore(show_size, size=slider("base size, strides", 4.0, 1.0, 12.0, 0.5, continuous_update=False))

# %%
show_size(size=3)

# %% [markdown]
# With three strides, for one, every object has a good anchor.

# %% [markdown]
# ## More out of few pictures
#
# 48 pictures are few. **Augmentation** changes them each time they are shown, in ways that keep what they show: flipped, moved, zoomed, recoloured. The boxes move along; one that leaves the picture is removed with its label. What comes in from outside is filled with one colour. Here is one picture, and seven times what becomes of it:

# %%
change = augment()
image, target = train[0]
first = (image, {"boxes": target["boxes"], "labels": target["labels"]})
torch.manual_seed(1)
changed = [change(*first) for _ in range(7)]
show_items([first, *changed], train.classes, "What does one picture become?")

# %% [markdown]
# Choose what keeps your objects what they are. A cell under a microscope may be upside down (`vertical_flip=0.5`), a house may not.
#
# ## Start from what is known
#
# Even so, 48 pictures are few to learn from nothing what an edge is. The usual way is to start from weights that were trained on something else. The paper starts from a backbone that learned to tell ImageNet's thousand classes apart. That one must be downloaded; at the end of this page is how.
#
# Here is the same idea without a network. The package's own small detector knows twenty shapes in large scenes, ours among them, so this is an easy case. You take over all its weights but one layer: the last of the classification head, which must say three classes now instead of twenty.


# %%
def new_model():
    torch.manual_seed(0)
    return RetinaNet(3, BasicBlock, [1, 1, 1, 1], feature_size=64, freeze_bn=False)


from_random, from_known = new_model(), new_model()
known = Detector.load(SHAPES).model.state_dict()
own = from_known.state_dict()
taken = {name: value for name, value in known.items() if value.shape == own[name].shape}
print("left out:", sorted(set(own) - set(taken)))
_ = from_known.load_state_dict({**own, **taken})

# %% [markdown]
# Both train for the same 60 steps, with the same pictures in the same order:

# %% tags=["nbval-ignore-output"]
recipe = Recipe(steps=60, batch_size=8)
detectors, scores = {}, {}
for name, model in [("from random", from_random), ("from known", from_known)]:
    detectors[name] = Detector(model, train.classes)
    fit(detectors[name], train, recipe=recipe, augmentation=augment())
    scores[name] = evaluate(detectors[name], test)["AP50"]

# %%
print("from random weights: AP50 under 0.5:", scores["from random"] < 0.5)
print("from known weights:  AP50 over 0.8: ", scores["from known"] > 0.8)

# %% [markdown]
# ## Keep it, and use it
#
# A detector is one file: weights, the names of the classes, the size it works at, and how the network is built. Loading it runs no code from the file.

# %%
detector = detectors["from known"]
detector.save(folder / "my_detector.pt")
loaded = Detector.load(folder / "my_detector.pt")
images = [test[i][0] for i in range(8)]
before, after = detector(images), loaded(images)
same = all(torch.allclose(a["boxes"], b["boxes"]) for a, b in zip(before, after, strict=True))
print("loaded, it detects the same:", same)

# %%
sure = [{name: v[d["scores"] > 0.5] for name, v in d.items()} for d in after]
show_items([test[i] for i in range(8)], test.classes, "What did it learn from 48 pictures?", sure)

# %% [markdown]
# In the third picture two discs of one colour have become one.
#
# ## The same from the command line
#
# All of this is four commands, for a terminal. They are there once the environment is active: `source .venv/bin/activate` in the project's folder, on Windows `.venv\Scripts\activate`, with conda `conda activate retinanet-lite`. Put your own folder in place of `shapes`; `--help` after each says what else it takes.
#
# ```
# retinanet-lite anchors  --voc shapes --split train
# retinanet-lite train    --voc shapes --split train --test-split test --out runs/shapes
# retinanet-lite evaluate --voc shapes --test-split test --detector runs/shapes/best.pt
# retinanet-lite detect   holiday.jpg more_pictures/ --detector runs/shapes/best.pt --out found
# ```
#
# Stopped, the second goes on where it was when you type it again. With COCO files, each split is a file: `train --coco pictures/ train.json --validation-coco pictures/ test.json`, and `evaluate --coco pictures/ test.json`.
#
# ### A public data set, ImageNet weights, several GPUs
#
# These need the network, and were not run on this page. Pascal VOC 2007 is about 900 MB:
#
# ```
# python -c "from torchvision.datasets import VOCDetection as V; [V('data', '2007', s, download=True) for s in ('trainval', 'test')]"
# retinanet-lite train --voc data/VOCdevkit/VOC2007 --imagenet --backbone resnet50 --features 256 \
#     --out runs/voc --size 600 1000 --steps 10000 --batch-size 16 --learning-rate 1e-4 --autocast --workers 8
# ```
#
# `--imagenet` downloads torchvision's weights of the backbone, once. Batch norm is then frozen, as in the paper. In Python it is `retinanet_lite.weights.load_imagenet(model.backbone)`. Without a network you are told which file to put where. The numbers above are a start and not a measured recipe.
#
# With several GPUs, the same command under `torchrun`, one process for each. They share every batch, and their gradients are averaged; `--batch-size` counts the pictures of all of them.
#
# ```
# torchrun --nproc_per_node 4 -m retinanet_lite train --voc data/VOCdevkit/VOC2007 …
# ```
#
# And on two machines of four GPUs, this on each:
#
# ```
# torchrun --nnodes 2 --nproc_per_node 4 --rdzv_backend c10d --rdzv_endpoint first-machine:29500 \
#     -m retinanet_lite train --voc data/VOCdevkit/VOC2007 …
# ```
#
# ## Exercise 1 (3 min)
#
# Write `from_coco(box)`: it gets COCO's [x, y, width, height] and returns x1, y1, x2, y2.
#
# *Hint: COCO's x and y are the upper left corner.*


# %%
def from_coco(box):
    x, y, width, height = box
    # your turn: return x1, y1, x2, y2
    ...


check_from_coco(from_coco)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def from_coco(box):
#     x, y, width, height = box
#     return x, y, x + width, y + height
# ```
# </details>
#
# ## Exercise 2 (5 min)
#
# Write `to_labels(ids)`: a list of category ids, with gaps, in any order and with repeats, becomes a list of labels 0 … K − 1 in the order of the ids. [3, 1, 7, 3] becomes [1, 0, 2, 1].
#
# *Hint: sort the different ids first.*


# %%
def to_labels(ids):
    # your turn
    ...


check_to_labels(to_labels)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def to_labels(ids):
#     label = {category: i for i, category in enumerate(sorted(set(ids)))}
#     return [label[category] for category in ids]
# ```
# </details>
#
# ## What to remember
#
# 1. A data set gives `(image, {"boxes", "labels"})`: edges in pixels, labels from 0, no background.
# 2. Look before you train: at the pictures, at what is broken, and at how the anchors fit.
# 3. Start from weights that know something, and change the pictures each time they are shown.
#
# The formats are from Everingham et al., *The Pascal Visual Object Classes Challenge*, 2010, and Lin et al., *Microsoft COCO*, 2014 (arXiv 1405.0312).
#
# This is the last notebook for now. What you have built is in the package, and each of its files can be read in one sitting; begin with [`retinanet.py`](../retinanet_lite/retinanet.py).
