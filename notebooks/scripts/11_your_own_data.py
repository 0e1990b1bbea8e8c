# %% [markdown]
# # 11 · Your own data
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/OWNER_NAME/retinanet-lite/blob/main/notebooks/11_your_own_data.ipynb)
#
# **In this notebook you bring pictures of your own to the detector: you write them in the two usual formats, see what is wrong with them before training, and train on them, from weights that know something already.**
#
# About a minute on a CPU, 40 minutes to read, and 8 to write. You need notebooks [08](08_training.ipynb) and [10](10_evaluation.ipynb).

# %%
# where the package is missing, as in Colab, this installs it; what is there already stays
from importlib.util import find_spec

if find_spec("retinanet_lite") is None:
    source = "git+https://github.com/OWNER_NAME/retinanet-lite"
    get_ipython().run_line_magic("pip", f'install -q "retinanet-lite[learn] @ {source}"')

# %%
import tempfile
from pathlib import Path

import torch
from PIL import Image

from retinanet_lite import Detector, learn
from retinanet_lite.data.images import read_image

_ = torch.manual_seed(0)
learn.show_map(here="your data")

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
# - *What about pictures without any object?* They are welcome: M is 0, and every anchor learns "nothing there".
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
# Let us write one from drawn scenes, 48 to learn from, 24 to choose by and 24 to measure on, and pretend somebody had labelled them by hand.
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
from retinanet_lite.data.scenes import test_scenes, training_scenes, validation_scenes


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
write_split("val", validation_scenes(length=24))
write_split("test", test_scenes(length=24))
print((root / "Annotations/train_00.xml").read_text())

# %% [markdown]
# The `+ 1` in `write_voc` is the format's: its first pixel is number 1, and the last one counts. A box that covers the pixels 1 to 10 begins at edge 0 and ends at edge 10. The reader turns that round. (Some tools write edges from 0. For those there is `first_pixel=0`.)

# %%
from retinanet_lite.data.voc import VocFolder

train = VocFolder(root, split="train")
val = VocFolder(root, split="val", classes=train.classes)
test = VocFolder(root, split="test", classes=train.classes)
print(
    len(train), "to learn,", len(val), "to choose by,", len(test), "to measure on:", train.classes
)
drawn = training_scenes(length=48)[0][1]["boxes"].round()
apart = (train[0][1]["boxes"] - drawn).abs().max()
print(f"differ from the boxes that were drawn by at most {apart:.1f} pixels")

# %% [markdown]
# `classes=train.classes` gives the other splits the same labels as the first. Without it, a class that is missing in one of them would shift the labels of those after it.
#
# Then **look at your data**. Much that can go wrong can be seen: boxes beside their objects, classes exchanged, objects that nobody labelled.

# %%
learn.show_items([train[i] for i in range(8)], train.classes, "Do the boxes lie where they should?")

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
# All four are named at once, with file and cause, before any training.
#
# Opening a folder reads of each picture only the header, which tells its size. A download that was cut off can have a sound header. `verify=True` decodes every picture and finds it. Without that, such a picture is named when its turn comes in a training, and the next one takes its place.
#
# You can mend the faults, or leave out what is broken:

# %%
import warnings

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
import json

category_ids = {"disc": 1, "star": 7, "triangle": 4}  # ids may have gaps
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
from retinanet_lite.data.coco import CocoFolder

coco = CocoFolder(root / "JPEGImages", folder / "test.json")
print(len(coco), "pictures, classes", coco.classes, "with ids", coco.category_ids)
pairs = [(coco.target(i)["boxes"], test.target(i)["boxes"]) for i in range(len(test))]
apart = max((a - b).abs().max().item() for a, b in pairs)
print(f"boxes differ from those of the VOC folder by at most {apart:.1f} pixels")

# %% [markdown]
# The classes are in the order of their ids: 1, 4, 7 become the labels 0, 1, 2.
#
# ## Do the anchors fit?
#
# The first question of notebook 08, asked of your data:

# %%
from retinanet_lite import Anchors, anchor_coverage

coverage = anchor_coverage(Anchors(), train)
learn.show_coverage(coverage, "How well does the best anchor fit each object?")
print(*coverage.advice(), sep="\n")

# %% [markdown]
# The command line asks it as well, for folders of both kinds. `main` is what the command `retinanet-lite` calls; in a terminal you would type `retinanet-lite anchors --voc shapes --split train --size 256 256`.

# %%
from retinanet_lite.cli.main import main

code = main(["anchors", "--voc", str(root), "--split", "train", "--size", "256", "256"])

# %% [markdown]
# `--size 256 256` scales the pictures to twice their size before the detector sees them. Now the objects are twice as large, and none is too small. There would be four times the pixels to compute, and with the 1.4 of the advice about twice. For three objects of 122 we leave the pictures as they are.
#
# ### Play with it
#
# Move the anchors' base size, in strides. Four is the paper's (as published). Where do most objects of this data set have a good anchor?


# %%
def show_size(size):
    coverage = anchor_coverage(Anchors(size=size), train)
    learn.show_coverage(
        coverage, f"size={size:g}: {coverage.under(0.5):.0%} of the objects under 0.5"
    )


# %% tags=["nbval-ignore-output"]
learn.explore(
    show_size, size=learn.slider("base size, strides", 4.0, 1.0, 12.0, 0.5, continuous_update=False)
)

# %%
show_size(size=3)

# %% [markdown]
# With three strides, for one, every object has a good anchor.

# %% [markdown]
# ## More out of few pictures
#
# 48 pictures are few. **Augmentation** changes them each time they are shown, in ways that keep what they show: flipped, moved, zoomed, recoloured. The boxes move along; one of which less than a pixel is left in the picture is removed with its label. What comes in from outside is filled with one colour. Here is one picture, and seven times what becomes of it:

# %%
from retinanet_lite.data.transforms import augment

change = augment()
image, target = train[0]
first = (image, {"boxes": target["boxes"], "labels": target["labels"]})
torch.manual_seed(1)
changed = [change(*first) for _ in range(7)]
learn.show_items([first, *changed], train.classes, "What does one picture become?")

# %% [markdown]
# Choose what keeps your objects what they are. A cell under a microscope may be upside down (`vertical_flip=0.5`), a house may not.
#
# ## Start from what is known
#
# Even so, 48 pictures are few. You can start from weights that were trained on something else. The paper starts from a backbone that learned to tell ImageNet's thousand classes apart (as published). A whole detector gives more: its pyramid and its heads are trained as well. For photographs such weights must be downloaded; they have a section of their own below.
#
# Here is the idea without a network. The package's own small detector knows twenty shapes in large scenes. Are your classes among them? Then nothing has to be trained: `keep_classes` gives a copy of a model that knows only some of its classes, in the order that you name.

# %%
from retinanet_lite import evaluate, keep_classes

known = Detector.pretrained("shapes")
labels = [known.classes.index(name) for name in train.classes]
print(train.classes, "are its labels", labels)
three = Detector(keep_classes(known.model, labels), train.classes)
for model in (known.model, three.model):
    print("rows in the output of the classes:", len(model.classification_model.output.weight))
measured = evaluate(three, test, progress=False)  # without a bar
print("AP50 without any training:", round(measured["AP50"], 2))

# %% [markdown]
# The **output** is the last layer of the classification head. It has a row of weights for each class at each of a cell's nine anchors: 9 · 20 = 180. For three classes 27 of them stay, as they are.
#
# Are your classes new to the detector? Let us act as if these were. (It has seen them all the same, so this is an easy case.) `replace_classes` makes the output anew, and keeps all other weights:

# %%
from retinanet_lite import replace_classes

from_known = replace_classes(known.model, num_classes=3)
before, after = known.model.state_dict(), from_known.state_dict()
print("new:", [name for name in after if not torch.equal(before[name], after[name])])
p = from_known.classification_model.output.bias.sigmoid()
print(f"probability of each class, from {p.min():.2f} to {p.max():.2f}")

# %% [markdown]
# The output starts as in notebook 07: every class has the prior, 0.01, at every anchor.
#
# Not everything has to learn. `freeze` names the parts that keep their weights. Batch norm in them keeps the mean and the variance that the weights were trained with, too. `bn1` is the batch norm behind `conv1`. (torchvision and detectron2 freeze the same parts when they start from known weights, as published.)

# %%
from_known.freeze("backbone.conv1", "backbone.bn1", "backbone.layer1")
learning = [parameter.requires_grad for parameter in from_known.parameters()]
print("tensors that learn:", sum(learning), "of", len(learning))

# %% [markdown]
# Both train for 60 steps by the same recipe, whose seed decides the order of the pictures, and look at the validation pictures after every ten:

# %% tags=["nbval-ignore-output"]
from retinanet_lite import BasicBlock, Recipe, RetinaNet, fit

torch.manual_seed(0)
from_random = RetinaNet(3, BasicBlock, [1, 1, 1, 1], feature_size=64)
recipe = Recipe(steps=60, batch_size=8, evaluate_every=10)
detectors, logs, scores = {}, {}, {}
for name, model in [("random weights", from_random), ("known weights", from_known)]:
    detectors[name] = Detector(model, train.classes)
    logs[name] = fit(detectors[name], train, val, recipe=recipe, augmentation=augment())
    scores[name] = evaluate(detectors[name], test)["AP50"]

# %%
import matplotlib.pyplot as plt

_, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
for (name, log), line in zip(logs.items(), learn.LINES, strict=False):
    measured = [(r["step"], r["AP50"]) for r in log if "AP50" in r]
    ax.plot(*zip(*measured, strict=True), marker="o", **line, label=f"from {name}")
ax.set(title="How much is a start from known weights worth?", xlabel="step", ylim=(0, 1.05))
ax.set(ylabel="AP50, validation pictures")
ax.legend()
print("from random weights: AP50 on the test pictures under 0.5:", scores["random weights"] < 0.5)
print("from known weights:  AP50 on the test pictures over 0.9: ", scores["known weights"] > 0.9)

# %% [markdown]
# Did the frozen parts stay? `replace_classes` made a copy, so `known` still has the weights of the start. Compare all tensors bit by bit. A batch norm has five: scale, shift, mean, variance, and how many batches it has seen.
#
# > **Predict, then run.** Of the parts that were not frozen, such as the pyramid, how many tensors are as before? *Your guess:*

# %%
before, after = known.model.state_dict(), from_known.state_dict()
parts = ["backbone.conv1", "backbone.bn1", "backbone.layer1", "backbone.layer2", "fpn"]
for part in [*parts, "regression_model"]:
    names = [name for name in before if name.startswith(f"{part}.")]
    same = sum(torch.equal(before[name], after[name]) for name in names)
    print(f"{part:16} tensors that are as before: {same:2} of {len(names)}")

# %% [markdown]
# `freeze()` without a name lets all parts learn again.
#
# ## Keep it, and use it
#
# A detector is one file: weights, the names of the classes, the size it works at, and how the network is built. Loading it runs no code from the file.

# %%
detector = detectors["known weights"]
detector.save(folder / "my_detector.pt")
loaded = Detector.load(folder / "my_detector.pt")
images = [test[i][0] for i in range(8)]
before, after = detector(images), loaded(images)
apart = [(a["boxes"] - b["boxes"]).abs().max().item() for a, b in zip(before, after, strict=True)]
print(f"loaded, it gives boxes that differ by at most {max(apart):.2f} pixels")

# %%
sure = [{name: v[d["scores"] > 0.5] for name, v in d.items()} for d in after]
learn.show_items(
    [test[i] for i in range(8)], test.classes, "What did it learn from 48 pictures?", sure
)

# %% [markdown]
# From weights that had seen such shapes 48 pictures and 60 steps were enough; from random ones they were not. With classes that are really new, expect less.
#
# ## Weights for photographs
#
# torchvision has published a RetinaNet that has learned from COCO's photographs, 80 kinds of things from person to toothbrush. `Detector.pretrained("coco")` is that one, with torchvision's settings, such as where anchors stand. From the same pixels it finds the same boxes, as notebook 14 proves. It scales a picture until its shorter side has 800 pixels, or its longer one 1333.
#
# matplotlib brings a photograph along: Grace Hopper, who built one of the first compilers. Put the path of one of yours in its place.

# %%
from matplotlib.cbook import get_sample_data

from retinanet_lite.data.transforms import resize

path = get_sample_data("grace_hopper.jpg", asfileobj=False)  # or "holiday.jpg"
picture = read_image(path)
print("the photograph", list(picture.shape))
print("and scaled    ", list(resize((800, 1333))(picture).shape))

# %% [markdown]
# The weights, about 130 MB, are downloaded when you first ask for them, and then kept. Without a network the cell after the next says what to do, and shows the scene of the other notebooks with what the small detector finds there. The slider says how sure it must be. What you see depends on your network, so nothing is stored here.


# %%
def show_sure(threshold):
    sure = {name: values[found["scores"] > threshold] for name, values in found.items()}
    title = f"What is found with a score above {threshold:.2f}?"
    learn.add_detections(learn.show_image(shown, title), sure, detector.classes)


# %% tags=["nbval-ignore-output"]
from retinanet_lite.data.drawing import walkthrough_scene

try:
    detector, shown = Detector.pretrained("coco"), picture
except ConnectionError as error:
    print(error)
    detector, shown = known, walkthrough_scene().image
found = detector([shown])[0]
learn.explore(show_sure, threshold=learn.slider("score threshold", 0.5, 0.05, 0.95, 0.05))

# %% [markdown]
# Which 80? torchvision's labels are COCO's category ids. Those have gaps, so its network has 91 labels, and some of them mean nothing:

# %%
from retinanet_lite.zoo import coco_categories

names = coco_categories()
labels = [i for i, name in enumerate(names) if name not in ("__background__", "N/A")]
print(len(names), "labels,", len(labels), "categories:", *names[1:5], "…", names[-1])
print("no categories:", [i for i in range(len(names)) if i not in labels])

# %% [markdown]
# `Detector.pretrained` keeps the 80, as you kept three of twenty above. Label 1, person, becomes class 0. In the output, the row of label i at anchor a is a · 91 + i. A network of random weights shows it as well as a trained one:

# %%
of_91 = RetinaNet(91, BasicBlock, [1, 1, 1, 1], feature_size=64)
of_80 = keep_classes(of_91, labels)
rows = [a * 91 + i for a in range(9) for i in labels]
old, new = of_91.classification_model.output.weight, of_80.classification_model.output.weight
apart = (new - old[rows]).abs().max()
print("rows:", len(old), "→", len(new), f" differ from these by at most {apart:.4f}")

# %% [markdown]
# To train it on classes of your own, put together what you have seen. This was not run here, since it needs the weights; the numbers are a start and not a measured recipe. Batch norm is frozen in the whole backbone already, so `bn1` need not be named.
#
# ```python
# model = replace_classes(Detector.pretrained("coco").model, num_classes=3)
# model.freeze("backbone.conv1", "backbone.layer1")
# detector = Detector(model, train.classes, size=(800, 1333))
# fit(detector, train, recipe=Recipe(steps=1000, learning_rate=1e-4), augmentation=augment())
# ```
#
# `"coco_v2"` is torchvision's second one, with an AP of 41.5 against 36.4, as published.
#
# ### Checkpoints of your own
#
# Perhaps you have trained with torchvision before. `from_torchvision` reads a **checkpoint**, a file of parameters. Their shapes tell how deep the network is and how many classes it has, and torchvision's settings are added. `to_torchvision` goes the other way. Let us make such a file, of a small network with torchvision's settings, and read it:

# %%
from retinanet_lite import from_torchvision, retinanet_resnet18, to_torchvision
from retinanet_lite.zoo import torchvision_v1

theirs = retinanet_resnet18(num_classes=3, **torchvision_v1())
torch.save(to_torchvision(theirs), folder / "theirs.pth")
print("a name there:", list(torch.load(folder / "theirs.pth", weights_only=True))[-1])
model = from_torchvision(folder / "theirs.pth")
print("a name here: ", list(model.state_dict())[-1])
pairs = zip(model.state_dict().values(), theirs.state_dict().values(), strict=True)
apart = max((a - b).abs().max().item() for a, b in pairs)
print(model.num_classes, f"classes, weights that differ by at most {apart:.4f}")

# %% [markdown]
# A file holds no names of classes: `Detector(model, ["disc", …])` gives them. If you know what should be in a file, say so, and another one is refused:

# %%
try:
    from_torchvision(folder / "theirs.pth", num_classes=80)
except ValueError as error:
    print(error)

# %% [markdown]
# `from_pytorch_retinanet` reads checkpoints of the original. By itself the original saves not parameters but the whole model, and to load such a file can run anything that somebody put into it. So it is refused as well; the error says how to get the parameters out, if you trust the file.
#
# On the way back, `to_torchvision` warns if your model has other settings than torchvision's. No checkpoint keeps them, so torchvision would find other boxes with the same parameters, as notebook 14 shows. [Who does what](../docs/differences.md#settings-of-a-variant) has these settings in a table.
#
# ## The same from the command line
#
# All of this is four commands, for a terminal. They are there once the environment is active: `source .venv/bin/activate` in the project's folder, on Windows `.venv\Scripts\activate`, with conda `conda activate retinanet-lite`. Put your own folder in place of `shapes`; `--help` after each says what else it takes.
#
# ```
# retinanet-lite anchors  --voc shapes --split train
# retinanet-lite train    --voc shapes --out runs/shapes
# retinanet-lite evaluate --voc shapes --detector runs/shapes/best.pt
# retinanet-lite detect   holiday.jpg more_pictures/ --detector runs/shapes/best.pt --out found
# ```
#
# Stopped, the second goes on where it was when you type it again. It learns from the list `train`, chooses its best checkpoint by `val`, and measures that one on `test`, once, at the end; `--split` and its like name others. With COCO files, each split is a file: `train --coco pictures/ train.json --validation-coco pictures/ val.json --test-coco pictures/ test.json`, and `evaluate --coco pictures/ test.json`.
#
# And with COCO's weights, in place of `--detector runs/shapes/best.pt` and of random weights:
#
# ```
# retinanet-lite detect   holiday.jpg --detector coco
# retinanet-lite train    --voc shapes --out runs/photographs \
#     --start coco --freeze backbone.conv1 backbone.layer1 --learning-rate 1e-4
# ```
#
# `--start` takes a file of your own as well, such as `runs/shapes/best.pt`. If it knows all classes of the folder by name, it keeps them; if not, all are new.
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
# `--imagenet` downloads torchvision's weights of the backbone, once. Batch norm is then frozen. In Python it is `retinanet_resnet50(num_classes, weights_backbone="IMAGENET1K_V1")`, or for a model that you have `retinanet_lite.model.imagenet.load_imagenet(model.backbone)`. Without a network you are told which file to put where. The numbers above are a start and not a measured recipe.
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


learn.check_from_coco(from_coco)

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


learn.check_to_labels(to_labels)

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
# ## To go on with
#
# Two tasks without a single right answer.
#
# 1. Spoil the labels of the training pictures on purpose: shift every box by four pixels, or leave out a third of the objects, and train again.
#
#    <details><summary>What to look for</summary>
#
#    Does the loss show it? Does AP on sound test pictures? Which of the two harms more, and why does the focal loss hear an object that nobody labelled?
#    </details>
#
# 2. Take twenty pictures of your own, draw their boxes with any tool, and train.
#
#    <details><summary>What to look for</summary>
#
#    Before training: do the boxes lie where they should, do the anchors fit? After it: which errors are there (notebook 10), and would more pictures, more steps or better labels help?
#    </details>
#
# ## What to remember
#
# 1. A data set gives `(image, {"boxes", "labels"})`: edges in pixels, labels from 0, no background.
# 2. Look before you train: at the pictures, at what is broken, and at how the anchors fit.
# 3. Start from weights that know something: keep or replace the classes, freeze what needs no learning. And change the pictures each time they are shown.
#
# torchvision, detectron2 and the original do some things otherwise, which notebook [14](14_what_others_do.ipynb) runs beside ours. [Who does what](../docs/differences.md) brings it together: which arguments make up for a difference, and what no argument changes.
#
# The formats are from Everingham et al., *The Pascal Visual Object Classes Challenge*, 2010, and Lin et al., *Microsoft COCO*, 2014 (arXiv 1405.0312).
#
# Next: [14 · What others do](14_what_others_do.ipynb). What you have built is in the package, and each of its files can be read in one sitting; begin with [`retinanet.py`](../retinanet_lite/model/retinanet.py).
