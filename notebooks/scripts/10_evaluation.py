# %% [markdown]
# # 10 · Evaluation
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/OWNER_NAME/retinanet-lite/blob/main/notebooks/10_evaluation.ipynb)
#
# **In this notebook you compute precision, recall and average precision by hand, get pycocotools' AP, AP50 and AP75, and see where a detector's errors come from.**
#
# About 30 seconds on a CPU, 35 minutes to read, and 40 to write. You need detections, as notebook [09](09_detection.ipynb) makes them, and IoU from notebook [05](05_matching.ipynb).

# %%
# where the package is missing, as in Colab, this installs it; what is there already stays
from importlib.util import find_spec

if find_spec("retinanet_lite") is None:
    source = "git+https://github.com/OWNER_NAME/retinanet-lite"
    get_ipython().run_line_magic("pip", f'install -q "retinanet-lite[learn] @ {source}"')

# %%
import numpy as np
import torch
from torchvision.ops import box_iou, nms
from tqdm.auto import tqdm

from retinanet_lite import Detector, learn
from retinanet_lite.data.drawing import CLASSES
from retinanet_lite.data.scenes import test_scenes

learn.show_map(here="evaluation")

# %% [markdown]
# ## On paper
#
# How good is a detector? Start with an image of two objects of one class, and three detections of that class. They come best first: the first has the highest score.

# %%
objects = torch.tensor([[10.0, 10, 50, 50], [60, 10, 100, 50]])
found = torch.tensor([[12.0, 10, 52, 50], [10, 14, 50, 54], [64, 10, 104, 50]])
scores = torch.tensor([0.9, 0.8, 0.7])
for score, overlaps in zip(scores.tolist(), box_iou(found, objects).tolist(), strict=True):
    print(f"score {score:.1f}: IoU with the objects", [round(iou, 2) for iou in overlaps])

# %% [markdown]
# ### When is a detection right?
#
# It is a **hit** if it finds an object: its IoU with it is at least 0.5, and no better detection has found that object before. The best detection chooses first. If several objects are left that it overlaps enough, it finds the one that it overlaps most.


# %%
def find(boxes, objects, iou_threshold=0.5):
    """For each detection of one class in one image, best first: is it a hit?"""
    left = list(range(len(objects)))  # the objects not found yet
    hits = []
    for overlaps in box_iou(boxes.double(), objects.double()).tolist():
        best = max(left, key=lambda number: overlaps[number], default=None)
        hits.append(best is not None and overlaps[best] >= iou_threshold)
        if hits[-1]:
            left.remove(best)
    return hits


print("hits:", find(found, objects))

# %% [markdown]
# The second detection lies well on the first object, but that one is found already: it is a duplicate, and counts as wrong. A detector that says everything twice is not right twice.
#
# ### Precision and recall
#
# Take the detections one after another, the best first. After each one ask two questions:
#
# - **Precision**: of the detections so far, which share are hits?
# - **Recall**: of all objects, which share is found so far?


# %%
def precision_and_recall(hits, num_objects):
    """Precision and recall after each detection, [n] each."""
    found = np.cumsum(hits)
    return found / np.arange(1, len(hits) + 1), found / num_objects


precision, recall = precision_and_recall(find(found, objects), num_objects=2)
print("precision:", precision.round(2).tolist())
print("recall:   ", recall.round(2).tolist())

# %% [markdown]
# Recall never falls. Precision falls with a miss, unless it is 0, and rises with a hit, unless it is 1. You can have high precision by taking few detections, and high recall by taking many. How much of both can you have at once?
#
# ### Average precision
#
# For each recall, ask for the best precision to be had *at this recall or a higher one*. This is called the **envelope**. COCO, a well-known data set with rules for this, asks 101 times, at the recalls 0, 0.01, 0.02 … 1. Where a recall is never reached the answer is 0. The mean of the 101 answers is the **average precision**, AP.
#
# ### Build it (15 min)
#
# Write it for one class: from the scores of all its detections, in any order, whether each is a hit, and the number of objects. `learn.keep` compares it with the package's, and keeps it in `mine/average_precision.py` if it is right. If nothing was detected, it is 0. Of equal scores the earlier comes first.
#
# *Hint: first put the hits in order, the highest score first. Then `precision_and_recall`, which is kept along, and the 101 questions. `np.linspace(0, 1, 101)` makes the recalls.*


# %%
def my_average_precision(scores, hits, num_objects):
    """The average precision of one class, a number from 0 to 1.

    scores and hits: lists of the same length, one entry for each detection; a hit is True.
    num_objects: how many objects there are to find, at least 1.
    """
    # your turn
    ...


learn.keep(my_average_precision)

# %% [markdown]
# Ours is folded in the next cell.


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def average_precision(precision, recall, points=101):
    answers = []
    for wanted in np.linspace(0, 1, points):
        reached = recall >= wanted
        answers.append(precision[reached].max() if reached.any() else 0.0)
    return sum(answers) / points


def ap_of(scores, hits, num_objects):
    order = np.argsort([-score for score in scores], kind="stable")
    ranked = [hits[i] for i in order]
    return average_precision(*precision_and_recall(ranked, num_objects))


# %%
print("AP:              ", round(average_precision(precision, recall), 4))
print("51 ones, 50 · 2/3:", round((51 * 1 + 50 * 2 / 3) / 101, 4))

# %% [markdown]
# Up to a recall of 0.5 the best precision is 1, that are 51 of the 101. For the other 50 it is 2/3. The package's `precision_recall` takes detections and objects of many images; here is one:

# %%
from retinanet_lite.evaluation.average_precision import precision_recall

label = torch.zeros(3, dtype=torch.int64)
paper_detections = [{"boxes": found, "scores": scores, "labels": label}]
paper_targets = [{"boxes": objects, "labels": label[:2]}]
curve = precision_recall(paper_detections, paper_targets, label=0)
print("the package's AP:", round(curve.average_precision, 4))
learn.show_average_precision(curve, "What is the average of precision?")

# %% [markdown]
# The dashed line joins the precisions after each detection: it falls with a miss and rises with a hit. The solid line is the envelope. The dots are the 101 answers, and AP is their mean, nearly the grey area.
#
# ## A real detector
#
# The detector is the one of notebook 09. The 40 scenes are drawn from other random numbers than those it has learned from.

# %%
dataset = test_scenes((640, 832), CLASSES, length=40)
items = [dataset[i] for i in range(len(dataset))]
targets = [target for _, target in items]
detector = Detector.pretrained("shapes")

# %% tags=["nbval-ignore-output"]
stream = detector.stream(image for image, _ in items)  # one image's detections at a time
detections = list(tqdm(stream, total=len(items)))  # the slowest line of this page

# %%
num_objects = [sum((target["labels"] == k).sum().item() for target in targets) for k in range(20)]
print("scenes:", len(items), " objects:", sum(num_objects))
print("objects of a class: from", min(num_objects), "to", max(num_objects))
rises = sum((found["scores"].diff() > 0).sum().item() for found in detections)
print("places in an image's list where the score rises:", rises)

# %% [markdown]
# ### One class
#
# Hits are decided image by image. Then the detections of all images go into one list, best first. By COCO's rules, at most the 100 best of a class count from each image.


# %%
def ranking(label, iou_threshold=0.5):
    """Scores and hits of all detections of a class, best first, and its number of objects."""
    ranked, count = [], 0
    for found, target in zip(detections, targets, strict=True):
        boxes = found["boxes"][found["labels"] == label][:100]
        scores = found["scores"][found["labels"] == label][:100]
        objects = target["boxes"][target["labels"] == label]
        ranked += zip(scores.tolist(), find(boxes, objects, iou_threshold), strict=True)
        count += len(objects)
    ranked.sort(key=lambda entry: -entry[0])
    return [score for score, _ in ranked], [hit for _, hit in ranked], count


for name in ("star", "hexagon"):
    scores, hits, count = ranking(CLASSES.index(name))
    precision, recall = precision_and_recall(hits, count)
    print(f"{name}: {count} objects, AP {average_precision(precision, recall):.2f}, the first 24")
    print("".join("✓" if hit else "·" for hit in hits[:24]))

# %% [markdown]
# Stars are perfect: the first 18 detections are the 18 stars. What comes after them costs nothing, since all are found by then. With hexagons, other things have come between.

# %%
hexagons = precision_recall(detections, targets, CLASSES.index("hexagon"))
apart = abs(hexagons.average_precision - average_precision(precision, recall))
print(f"the package's AP differs by {apart:.4f}")
learn.show_average_precision(hexagons, "How well are hexagons found?")

# %% [markdown]
# ### All classes, and how strict?
#
# The AP of a data set is the mean over its classes. And an IoU of 0.5 is generous: a box that is off by a third of its width still has it.

# %%
off = box_iou(torch.tensor([[0.0, 0, 30, 30]]), torch.tensor([[10.0, 0, 40, 30]]))
print("IoU of a box that is off by 10 of 30 pixels:", round(off.item(), 2))

# %% [markdown]
# So COCO asks at ten IoU thresholds, 0.5, 0.55 … 0.95. **AP50** is the mean over classes at 0.5, **AP75** at 0.75, and **AP**, with nothing behind it, is the mean over all ten.

# %%
by_hand = {}
for threshold in np.linspace(0.5, 0.95, 10).tolist():
    values = []
    for k in range(20):
        values.append(ap_of(*ranking(k, threshold)))
    by_hand[threshold] = values  # one AP a class
AP50, AP75 = np.mean(by_hand[0.5]), np.mean(by_hand[0.75])
AP = np.mean(list(by_hand.values()))
print(f"AP50: {AP50:.2f}  AP75: {AP75:.2f}  AP: {AP:.2f}")

# %% [markdown]
# (The 1.00 is rounded: the hexagons have 0.95.) At an IoU of 0.5 next to nothing is lost. What costs points is how exactly the boxes fit:

# %%
lines = {"all classes": [np.mean(values) for values in by_hand.values()]}
for name in ("ring", "star", "pill"):
    lines[name] = [values[CLASSES.index(name)] for values in by_hand.values()]
learn.show_lines(
    list(by_hand), lines, "How strict may you be?", "IoU threshold", "average precision"
)

# %% [markdown]
# ### Proof
#
# `pycocotools` is COCO's own program. `coco_metrics` hands it our detections and returns its numbers. There is no gradient to compare: a measure is not learned from.

# %%
from retinanet_lite.evaluation.average_precision import coco_metrics, mean_average_precision

coco = coco_metrics(detections, targets, CLASSES)
for name, ours in [("AP", AP), ("AP50", AP50), ("AP75", AP75)]:
    apart = abs(ours - coco[name])
    print(f"{name:5} ours {ours:.2f}  pycocotools {coco[name]:.2f}  differ by {apart:.4f}")
package = mean_average_precision(detections, targets, num_classes=20)
print(f"the package's own AP differs by {abs(package - coco['AP']):.4f}")

# %% [markdown]
# ## COCO's twelve numbers
#
# | | from 0 to 1, more is better |
# |---|---|
# | AP | the mean over classes and ten IoU thresholds |
# | AP50, AP75 | at one IoU threshold: generous, strict |
# | APs, APm, APl | AP of small objects (up to 32² pixels of area), of medium (up to 96²), and of large ones |
# | AR1, AR10, AR100 | average recall: the recall that is reached with at most 1, 10, 100 detections of a class an image, mean over classes and thresholds |
# | ARs, ARm, ARl | AR100 of small, medium and large objects |

# %%
learn.show_numbers(coco, "Which are COCO's twelve numbers for this detector?")
print("small, medium, large:", [round(coco[name], 2) for name in ("APs", "APm", "APl")])
print("at most 10, 100:     ", [round(coco[name], 2) for name in ("AR10", "AR100")])

# %% [markdown]
# Small objects are the hardest here, and 10 detections of a class are enough.
#
# ### A class that is not there
#
# In two scenes not every class occurs. Recall of such a class is 0 of 0: there is nothing to find. It has no AP, and is left out of the mean. The original says 0 for it (as published, in its csv_eval.py). What would that do to the mean?

# %%
few = [precision_recall(detections[:2], targets[:2], k).average_precision for k in range(20)]
there = [value for value in few if not np.isnan(value)]
print("classes that occur in two scenes:", len(there), "of 20")
print("AP50, others left out:   ", round(np.mean(there), 2))
print("AP50, others counted as 0:", round(sum(there) / 20, 2))

# %% [markdown]
# ## Classes differ
#
# At an IoU threshold of 0.5 the mean is 1.00, so there is little to see. Ask for 0.9, and see whose boxes are placed best. Where a curve ends, the objects that are left have no detection of their class with an IoU of 0.9:

# %%
curves = {
    name: precision_recall(detections, targets, CLASSES.index(name), iou_threshold=0.9)
    for name in ("ring", "star", "hexagon", "frame", "arrow")
}
learn.show_curves(curves, "Whose boxes are placed best? (IoU 0.9)")

# %% [markdown]
# ## Where the errors are
#
# A low AP does not say what is wrong. So sort every detection with a score of at least 0.5. It is the first of these that fits:
#
# - **correct**: a hit;
# - **duplicate**: on an object that a better detection has found;
# - **wrong class**: IoU of at least 0.5 with an object of another class;
# - **badly placed**: IoU between 0.1 and 0.5 with an object of its class;
# - **background**: everything else.
#
# And every object: **correct** if it is found; if not, **wrong class** or **badly placed** if it is the object that a detection of this kind overlaps most (the best one decides), and **missed** otherwise.

# %%
from retinanet_lite.evaluation.error_kinds import sort_errors

errors = sort_errors(detections, targets, score_threshold=0.5)
print("detections:", errors.detection_counts)
print("objects:   ", errors.object_counts)
counts = {"detections": errors.detection_counts, "objects": errors.object_counts}
learn.show_kinds(counts, "Where do the errors come from? (score of at least 0.5)")

# %% [markdown]
# A dozen detections are wrong, nearly all of them by their class. Yet only two objects are lost to a wrong class: the others are found as well, under their right name, like the gear of notebook 09. And the objects that are missed?

# %%
small = []
for target, fates in zip(targets, errors.objects, strict=True):
    sides = target["boxes"][:, 2:] - target["boxes"][:, :2]
    areas = sides.prod(dim=1).tolist()
    small += [area < 32**2 for area, fate in zip(areas, fates, strict=True) if fate == "missed"]
all_small = sum(
    (t["boxes"][:, 2:] - t["boxes"][:, :2]).prod(dim=1).lt(32**2).sum() for t in targets
)
print("small objects, under 32² pixels:", all_small.item(), "of", sum(num_objects))
print("missed:", len(small), " of these small:", sum(small))

# %% [markdown]
# Missed means: no detection with a score of 0.5 or more finds it, or errs about it. With a lower score they are in the list, as you will see below.
#
# Look at one of each kind that occurs: the wrong detection with the highest score (dashed) and its object, and an object that is missed.

# %%
learn.show_worst(items, detections, errors.detections, errors.objects)

# %% [markdown]
# ## Which threshold?
#
# AP looks at the whole list. When you *use* a detector you need one threshold: show what is above it, and nothing else. Choose it by precision and recall. A hit stays a hit when worse detections are left out, so one ranking of all classes is enough:

# %%
all_scores, all_hits = [], []
for k in range(20):
    scores, hits, _ = ranking(k)
    all_scores += scores
    all_hits += hits
all_scores, all_hits = np.array(all_scores), np.array(all_hits)
thresholds = np.linspace(0.05, 0.95, 19)
shown = [all_hits[all_scores >= threshold] for threshold in thresholds]
precisions = [hits.mean() for hits in shown]
recalls = [hits.sum() / sum(num_objects) for hits in shown]
learn.show_lines(
    thresholds,
    {"precision": precisions, "recall": recalls},
    "Which score threshold?",
    "score threshold",
    "share",
)

# %%
for wanted in (0.05, 0.5, 0.8):
    i = np.abs(thresholds - wanted).argmin()
    print(f"threshold {wanted}: precision {precisions[i]:.2f}, recall {recalls[i]:.2f}")

# %% [markdown]
# At 0.05 all is found, and most of what is shown is wrong. Where a miss is worse than a false alarm, choose a low threshold; where it is the other way round, a high one. There is no right one for all uses. 0.05 is for measuring, not for showing.
#
# ## What AP does not tell
#
# AP looks only at the *order* of the scores. Halve them all, and it does not change; but who shows what is above 0.5 now sees nothing:

# %%
halved = [found | {"scores": found["scores"] / 2} for found in detections]
of_halved = mean_average_precision(halved, targets, 20, [0.5])
print(f"AP50 with halved scores differs by {abs(of_halved - AP50):.4f}")
print("detections above 0.5:", sum((found["scores"] > 0.5).sum().item() for found in halved))

# %% [markdown]
# And it does not mind rubbish at the end of the list. Twenty boxes of one pixel more in each image, all of them wrong, with a tiny score:
#
# > **Predict, then run.** Eight hundred wrong detections come in. Does AP50 fall by more than 0.1? *Your guess:*

# %%
rubbish = {
    "boxes": torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(20, 1),
    "scores": torch.full((20,), 1e-3),
    "labels": torch.arange(20),
}
more = [{name: torch.cat([found[name], rubbish[name]]) for name in rubbish} for found in detections]
print("wrong detections more:", len(more) * 20)
with_rubbish = mean_average_precision(more, targets, 20, [0.5])
print(f"AP50 differs by {abs(with_rubbish - AP50):.4f}")

# %% [markdown]
# And it forgives much of a wrong class beside the right one, if its score is lower. Run NMS once more, now over all classes together, so that a box removes those of other classes, too:

# %%
one_nms = []
for found in detections:
    kept = nms(found["boxes"], found["scores"], 0.5)  # whatever the class
    one_nms.append({name: values[kept] for name, values in found.items()})
for name, result in [("for each class", detections), ("over all classes", one_nms)]:
    for score in (0.5, 0.05):
        kinds = sort_errors(result, targets, score_threshold=score).detection_counts
        print(f"NMS {name:16} scores from {score:4}: correct {kinds['correct']}")
        if score == 0.5:
            print(f"{'':38} wrong class {kinds['wrong class']}")
of_one = mean_average_precision(one_nms, targets, 20, [0.5])
print(f"AP50 for each class {AP50:.3f}, over all classes {of_one:.3f}")

# %% [markdown]
# Who looks at the picture will like the second better: above 0.5 nothing is lost, and most wrong answers are gone. AP does not like it: two right detections are gone from the list, and AP counts the whole list. So look at AP *and* at the errors.
#
# Last, AP is a mean over classes: one with few objects weighs as much as one with many.
#
# ### Play with it
#
# Walk along a class's curve with the score threshold. Beside it are errors: wrong detections that have just come in, and objects that nothing finds at this threshold. Start at 1 and go down. Which hexagons come late, and what is taken for one? (At most two errors of each kind are shown.)

# %%
walk = learn.CurveWalk(items, detections, targets, CLASSES)

# %% tags=["nbval-ignore-output"]
walk.explore("hexagon")

# %%
print(walk.show("hexagon", score_threshold=0.5))

# %% [markdown]
# ## Exercise 1 (5 min)
#
# `hits` is a list of True and False, best detection first. Write `of_the_best(hits, num_objects, n)`: precision and recall of the n best detections.
#
# *Hint: `sum` counts what is True.*


# %%
def of_the_best(hits, num_objects, n):
    # your turn: return precision, recall
    ...


learn.check_precision_and_recall(of_the_best)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def of_the_best(hits, num_objects, n):
#     found = sum(hits[:n])
#     return found / n, found / num_objects
# ```
# </details>
#
# ## Exercise 2 (10 min)
#
# PASCAL VOC, an older data set, measures the area under the envelope itself, not the mean at 101 recalls. Write `area(recall, precision)`, two lists with one number for each detection. Recall grows from 0 in steps; over each step the height is the best precision *from there on*.
#
# *Hint: the first step is as wide as recall[0].*


# %%
def area(recall, precision):
    # your turn
    ...


learn.check_area(area)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def area(recall, precision):
#     total, before = 0.0, 0.0
#     for i in range(len(recall)):
#         total += (recall[i] - before) * max(precision[i:])
#         before = recall[i]
#     return total
# ```
# </details>
#
# ## Exercise 3 (10 min)
#
# PASCAL VOC's rule for hits differs, too: a detection looks only at the object that it overlaps most. It finds that object if their IoU is at least `threshold` and no better detection has found it. Otherwise the detection is a miss, even if it overlaps another object enough. `overlaps[i][j]` is the IoU of detection i, best first, and object j. Write `match_voc(overlaps, threshold)`: for each detection the object that it finds, or −1.
#
# *Hint: `row.index(max(row))` is the place of the largest number.*


# %%
def match_voc(overlaps, threshold):
    # your turn
    ...


learn.check_match_voc(match_voc)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def match_voc(overlaps, threshold):
#     found = []
#     for row in overlaps:
#         nearest = row.index(max(row))
#         hit = row[nearest] >= threshold and nearest not in found
#         found.append(nearest if hit else -1)
#     return found
# ```
# </details>
#
# ## What others do
#
# PASCAL VOC measures at an IoU of 0.5 only. Until 2009 it took the mean at 11 recalls, 0, 0.1 … 1, and from 2010 on the area of exercise 2 (as published). The three kinds of AP differ a little, so say which one you mean. On paper, with our two objects:

# %%
precision, recall = precision_and_recall([True, False, True], num_objects=2)
print("101 recalls (COCO):    ", round(average_precision(precision, recall), 3))
print("11 recalls (VOC 2007): ", round(average_precision(precision, recall, points=11), 3))
print("the area (VOC 2010 on):", round(0.5 * 1 + 0.5 * 2 / 3, 3))

# %% [markdown]
# ## Your RetinaNet, measured
#
# If some parts of the detector are yours, notebook 08 has kept what it trained with them. Here it detects, with your parts, in the hundred test pictures of notebook 08, and is measured: by your average precision, if you have built it, and by COCO's own program.

# %%
learn.show_parts()
learn.measure_yours(test_scenes())

# %% [markdown]
# ## To go on with
#
# Two tasks without a single right answer.
#
# 1. Make two lists of detections for one picture with the same AP50, of which you would clearly prefer one.
#
#    <details><summary>What to look for</summary>
#
#    What do you see that AP does not: scores, duplicates of low score, boxes that are off by a little, the class that errs? Does AP at other IoU thresholds tell them apart?
#    </details>
#
# 2. Which kind of error would you mend first? Remove one kind at a time from the detections, as if an oracle did it, and measure.
#
#    <details><summary>What to look for</summary>
#
#    How much AP does each kind cost? Is it the kind with the most errors? What is left when all kinds but one are gone?
#    </details>
#
# ## What to remember
#
# 1. A hit: IoU of at least the threshold with an object of the class that no better detection has found.
# 2. AP: rank all detections of a class, take the envelope of precision at 101 recalls, and the mean. Then the mean over classes that occur and ten IoU thresholds.
# 3. AP is for comparing detectors. To use one, choose a threshold by precision and recall, and look at the errors.
#
# RetinaNet's paper reports COCO's AP in §5. The rules are those of Lin et al., *Microsoft COCO: Common Objects in Context*, 2014 (arXiv 1405.0312), and its page on detection evaluation; PASCAL VOC's are in Everingham et al., *The PASCAL Visual Object Classes (VOC) Challenge*, 2010. The kinds of errors follow Bolya et al., *TIDE*, 2020 (arXiv 2008.08115).
#
# Next: [11 · Your own data](11_your_own_data.ipynb).
