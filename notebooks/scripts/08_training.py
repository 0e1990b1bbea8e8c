# %% [markdown]
# # 08 · Training
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/OWNER_NAME/retinanet-lite/blob/main/notebooks/08_training.ipynb)
#
# **In this notebook you train a detector from random numbers, measure it on a hundred pictures it has never seen, and know each line of the loop that does it.**
#
# About 2 minutes on a CPU, 35 minutes to read, and 10 to write. You need notebooks [04](04_anchors.ipynb) to [07](07_retinanet.ipynb): what an anchor learns, and what the two losses are.

# %%
# where the package is missing, as in Colab, this installs it; what is there already stays
from importlib.util import find_spec

if find_spec("retinanet_lite") is None:
    source = "git+https://github.com/OWNER_NAME/retinanet-lite"
    get_ipython().run_line_magic("pip", f'install -q "retinanet-lite[learn] @ {source}"')

# %%
import torch

from retinanet_lite import BasicBlock, Detector, Recipe, RetinaNet, evaluate, fit, learn
from retinanet_lite.data.batches import to_batch
from retinanet_lite.data.scenes import THREE, test_scenes, training_scenes, validation_scenes

_ = torch.manual_seed(0)
learn.show_map(here="training")

# %% [markdown]
# ## The pictures
#
# The scene of the other notebooks is large, and one is not enough. To train in a minute you use small ones: 128×128 pixels, with one to four objects of three classes: disc (0), triangle (1) and star (2). They are drawn when they are asked for, each from a number of its own, its **seed**. So there are as many as you want, and the same on every computer.
#
# A **data set** is anything with a length that gives item i as `(image, target)`. The image is [3, H, W], from 0 to 255; the target holds `boxes` [M, 4] and `labels` [M] of its M objects.

# %%
training_data = training_scenes()
test_data = test_scenes()
image, target = training_data[0]
print(f"{len(training_data):,} to learn from, {len(test_data)} to measure on")
print("image", list(image.shape), image.dtype)
print("boxes", list(target["boxes"].shape), "labels", target["labels"].tolist())

# %%
learn.show_items([training_data[i] for i in range(8)], THREE, "What does it learn from?")

# %% [markdown]
# The scenes to measure on have other seeds than those to learn from. That matters: a detector can know its training images by heart, as in notebook 00, and find little in others. Below you see one.

# %%
learned = set(training_data.names)
chooses = set(validation_scenes().names)
tested = set(test_data.names)
print("scenes in two of the three:", len(learned & tested | learned & chooses | chooses & tested))

# %% [markdown]
# ## First question: do the anchors fit?
#
# Ask this before any training. An object that no anchor overlaps well is taught to one anchor only, its best (notebook 05).
#
# For one image, by hand: the IoU of every anchor with every object, and for each object the best.

# %%
from torchvision.ops import box_iou

from retinanet_lite.model.anchors import Anchors

anchors = Anchors()
image, target = training_data[0]
all_anchors = anchors(image[None])  # [N, 4], for 128×128 pixels
iou = box_iou(all_anchors, target["boxes"])  # [N, M]
best = iou.amax(dim=0)
print(list(iou.shape), "→", [round(value, 2) for value in best.tolist()])

# %% [markdown]
# `anchor_coverage` does this for a whole data set. Here for 300 of the scenes:

# %%
from retinanet_lite import anchor_coverage

coverage = anchor_coverage(anchors, training_data, indices=range(300))
apart = (coverage.best_iou[: len(best)] - best).abs().max()
print(f"the first image's differ by at most {apart:.4f} from those by hand")
print(coverage)

# %%
learn.show_coverage(coverage, "How well does the best anchor fit each object?")

# %% [markdown]
# Each point is an object, the line is at 0.5, from where on an anchor learns. A few of the smallest are below.
#
# And if the anchors did not fit? The report says what would help. Make their base size twelve strides instead of four, so that the smallest is 96 pixels:

# %%
too_large = anchor_coverage(Anchors(size=12.0), training_data, indices=range(300))
print(f"under 0.5: {coverage.under(0.5):.0%} with size=4, {too_large.under(0.5):.0%} with size=12")
print(*too_large.advice(), sep="\n")

# %% [markdown]
# A training would run all the same, since every object still has its best anchor.
#
# ## Second question: can it learn four pictures?
#
# Let the model learn four pictures by heart. It takes seconds. If it can't, look for the mistake now, and not after hours. If it can, not all is proven. Labels that are wrong in the same way everywhere can be learned as well: for those, look at the pictures, as above. And a part that gets no gradient may not be missed: for that, look at the gradient of each part, as in notebook 07.


# %%
def new_model(seed=0):
    torch.manual_seed(seed)
    return RetinaNet(3, BasicBlock, [1, 1, 1, 1], feature_size=64)


four = [training_data[i] for i in range(4)]
images, annotations = to_batch(four)
print("images", list(images.shape), "annotations", list(annotations.shape))

# %% [markdown]
# Batch norm is not frozen here (`freeze_bn=None`, the default), because the backbone starts from random numbers. Each channel is measured over all cells of the four pictures, on C5 still 4 · 4 · 4 = 64.
#
# The loop, as plain as it can be:

# %% tags=["nbval-ignore-output"]
from tqdm.auto import tqdm

model = new_model().train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
history = []
for _step in tqdm(range(60)):
    losses = model(images, annotations)
    optimizer.zero_grad()
    sum(losses.values()).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)  # see below
    optimizer.step()
    history.append({name: loss.item() for name, loss in losses.items()})

# %%
for name in ("classification", "regression"):
    print(f"{name}: under a twentieth of the start:", history[-1][name] < history[0][name] / 20)

# %% [markdown]
# Did it learn them? **AP50** is a number from 0 to 1. It is 1 if every object is found with an IoU of at least 0.5 and its class, and every wrong box has a lower score than all right ones. Notebook 10 takes it apart. A `Detector` is a model with the names of its classes, and `evaluate` measures it on a data set. With `plain=True` it leaves the model as you have built it; more of that below.

# %%
learned = Detector(model, THREE, plain=True)
measured = evaluate(learned, four, progress=False)  # without a bar
print("AP50 on the four pictures:", round(measured["AP50"], 2))

# %% [markdown]
# It knows the four. And the hundred that it never saw?
#
# > **Predict, then run.** AP50 on the four was printed above. What is it on a hundred others of the same kind? *Your guess:*

# %%
by_heart = evaluate(learned, test_data, progress=False)
print("AP50 on the hundred test pictures: under 0.3:", by_heart["AP50"] < 0.3)

# %% [markdown]
# That is what *by heart* means. Now for real.
#
# ## What a loop has besides
#
# Three things that the loop above lacks or does in passing.
#
# **The learning rate changes.** It rises slowly at first, which is called warm-up (you have seen in notebook 07 what a first step at the full rate can do to the losses), and then it falls, here along half a cosine; the paper lets it drop to a tenth twice (as published). With T steps, of which R rise, and the highest rate h, step t (from 0 on) has
#
# - h · (t + 1) / R while t < R,
# - h · (1 + cos(π · (t − R) / (T − R))) / 2 from there on.
#
# A `Recipe` holds these numbers; its `warmup` is R / T, here 0.1, so that R is 60.


# %%
import math


def learning_rate(step, steps, highest, rising):
    if step < rising:
        return highest * (step + 1) / rising
    done = (step - rising) / (steps - rising)  # from 0 to 1
    return highest * (1 + math.cos(math.pi * done)) / 2


recipe = Recipe(steps=600, batch_size=4)  # learning_rate=1e-3, warmup=0.1 by default
rates = [learning_rate(t, 600, 1e-3, 60) for t in range(600)]
apart = max(abs(recipe.learning_rate_at(t) - rates[t]) for t in range(600))
print(f"a Recipe's rate differs by at most {apart / 1e-3:.4f} of the highest")

# %% [markdown]
# **The gradient is clipped,** as in the loop above. The **norm** is the length of the whole gradient, all parameters in one long row: the root of the sum of squares. If it is above a limit, here 1, the gradient is shortened to it, and its direction stays.

# %%
clipped = new_model().train()
sum(clipped(images, annotations).values()).backward()
gradients = [p.grad for p in clipped.parameters()]
norm = math.sqrt(sum((g**2).sum().item() for g in gradients))
print("the first step's norm:", round(norm))

for g in gradients:
    g *= min(1.0, 1.0 / norm)
print("after clipping:", round(math.sqrt(sum((g**2).sum().item() for g in gradients)), 3))

# %%
torchs = new_model().train()
sum(torchs(images, annotations).values()).backward()
torch.nn.utils.clip_grad_norm_(torchs.parameters(), max_norm=1.0)
pairs = zip(clipped.parameters(), torchs.parameters(), strict=True)
apart = max((a.grad - b.grad).abs().max().item() for a, b in pairs)
print(f"torch's clipping gives gradients that differ by at most {apart:.4f}")

# %% [markdown]
# **The order of the pictures is decided beforehand.** The training reads one long `Stream`, shuffled anew for each pass over the data. A position of it decides which picture stands there, and how it is changed (flipped, zoomed, recoloured) if you ask for that. Step t reads positions t · B to t · B + B − 1, with B pictures a batch. So a training that was stopped needs only its weights, the optimizer's state and the number of the step to go on.

# %%
from retinanet_lite.training.stream import Stream

stream = Stream(training_data, seed=0)
print("step 0 reads:", [stream.name(position) for position in range(4)])
print("step 7 reads:", [stream.name(position) for position in range(28, 32)])

# %% [markdown]
# ## The loop, whole
#
# This is the loop above, with a changing learning rate and the stream. One small thing more: at each step AdamW also shrinks the parameters, by learning rate · 0.01 of themselves, which is called **weight decay**. Above it did so to all of them; here biases and batch norm are left out of that.


# %%
def my_fit(model, dataset, recipe):
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": recipe.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
    )
    stream = Stream(dataset, seed=recipe.seed)
    rising = round(recipe.warmup * recipe.steps)
    model.to(memory_format=torch.channels_last).train()
    for step in range(recipe.steps):
        first = step * recipe.batch_size
        images, annotations = to_batch([stream[first + i] for i in range(recipe.batch_size)])
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, recipe.steps, recipe.learning_rate, rising)
        losses = model(images.to(memory_format=torch.channels_last), annotations)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()


# %% [markdown]
# `channels_last` changes how the numbers lie in memory, not what they are: the channels of a cell side by side. It is there for speed.
#
# ### Proof
#
# The package's `fit` is this loop, with checkpoints, a log, several processes and clear errors around it. After eight steps both models have the same weights.

# %%
short = Recipe(steps=8, batch_size=4)
mine, package = new_model(), new_model()
my_fit(mine, training_data, short)
detector = Detector(package, THREE, plain=True)  # the parts that you have built
log = fit(detector, training_data, recipe=short, progress=False)
pairs = zip(mine.state_dict().values(), package.state_dict().values(), strict=True)
apart = max((a - b).abs().max().item() for a, b in pairs)
print(f"weights differ by at most {apart:.4f}")
print("the log has", len(log), "records with", ", ".join(log[0]))

# %% [markdown]
# ### Quick parts
#
# The model is plain: matching, focal loss and all else run as you have written them, image by image. Some parts have a quick form, too, with the same parameters and, but for rounding, the same results: the anchors, the loss with its matching, detection, and batch norm, which differs only where it is frozen. `quicken(model)` exchanges them in the model itself, and `unquicken` takes it back. A `Detector` quickens its model by itself unless you say `plain=True`. Twelve steps of each:

# %% tags=["nbval-ignore-output"]
import time

twelve, logs = Recipe(steps=12, batch_size=4), []
for plain in (True, False):
    detector = Detector(new_model(), THREE, plain=plain)
    start = time.perf_counter()
    logs.append(fit(detector, training_data, recipe=twelve, progress=False))
    seconds, last = time.perf_counter() - start, logs[-1][-1]
    losses = [round(last[name], 3) for name in ("classification", "regression")]
    print("plain" if plain else "quick", f"{seconds:.1f} s, losses of the last step {losses}")

# %% [markdown]
# The losses of the first step, plain and quick:

# %%
for name in ("classification", "regression"):
    print(f"{name:14}", [round(log[0][name], 2) for log in logs])

# %% [markdown]
# To two digits they are the same. What the quick parts save on larger pictures is measured on the page [How fast it is](../docs/speed.md). What was exchanged? `print(model)` shows it; here are only the names:

# %%
quick = {type(part).__name__ for part in detector.model.modules()}
print(sorted(name for name in quick if name.startswith("Quick") and name != "QuickConv2d"))

# %% [markdown]
# (On some processors the convolutions are exchanged as well.) The run below is plain: what you have seen is what trains.
#
# ## The run
#
# A training needs three kinds of pictures, and none may be in two of them. From the **training** pictures it learns. The **validation** pictures are measured on the way: by them you choose, between checkpoints, learning rates, sizes. And what you have chosen you measure once, at the end, on the **test** pictures. The validation pictures can't say how good it is any more: of several checkpoints you have taken the one that suits just these pictures.
#
# If you have built parts of your own, this training runs with them: `with_your_parts` puts them in, as in notebook 07.
#
# 600 steps of four pictures, with a look at a hundred validation pictures after each hundred. It takes about a minute on a CPU. The bar shows the losses, averaged over the last twenty steps, and the time left.

# %%
device = "cuda" if torch.cuda.is_available() else "cpu"
model = learn.with_your_parts(new_model()).to(device)
detector = Detector(model, THREE, plain=True)

# %% tags=["nbval-ignore-output"]
recipe = Recipe(steps=600, batch_size=4, evaluate_every=100)
log = fit(detector, training_data, validation_scenes(), recipe=recipe)

# %%
learn.show_log(log, "How did the training go?")

# %% [markdown]
# The axis of the losses is logarithmic: from 10⁰ down to 10⁻¹ is a tenth. Both losses fall, the classification loss further. One batch may be easy and the next hard, so each point of a line is the mean of the last twenty steps, at the start of as many as there are. The marks are the losses on the validation pictures. They lie near the lines: no scene comes twice, so nothing can be learned by heart. And if there were only sixteen pictures, shown again and again?

# %% tags=["nbval-ignore-output"]
sixteen = Detector(new_model().to(device), THREE, plain=True)
short = Recipe(steps=200, batch_size=4, evaluate_every=50)
short_log = fit(sixteen, training_scenes(length=16), validation_scenes(), recipe=short)

# %%
learn.show_log(short_log, "And with sixteen pictures?")
losses = [record["classification"] for record in short_log[-20:]]
times = short_log[-1]["validation_classification"] / (sum(losses) / len(losses))
print("on validation pictures the loss is more than twice as high:", times > 2)
print("AP50 on them: under 0.6:", short_log[-1]["AP50"] < 0.6)

# %% [markdown]
# After a jump the lines fall, and the marks do not go with them. That is learning by heart.
#
# ## How good is it?

# %%
measured = evaluate(detector, test_data, progress=False)
print("AP50 on the test pictures: at least 0.95:", measured["AP50"] >= 0.95)
apart = abs(measured["AP"] - log[-1]["AP"])
print(f"AP on them and on the validation pictures, apart: less than 0.1: {apart < 0.1}")
learn.keep_trained(detector)

# %%
shown = [test_data[i] for i in range(8)]
detections = detector([image for image, _ in shown])
sure = [{name: v[d["scores"] > 0.5] for name, v in d.items()} for d in detections]
learn.show_items(shown, THREE, "What does it find in pictures it never saw?", sure)

# %% [markdown]
# Look for an object with a second box, of another class or around two neighbours, and for one that is missed. Notebook 09 shows where second boxes come from, and notebook 10 what they cost.
#
# ### Play with it
#
# Look through the test pictures. With a low threshold you see its less likely boxes as well.


# %%
def show_picture(picture, threshold):
    item = test_data[picture]
    found = detector([item[0]])[0]
    found = {name: values[found["scores"] > threshold] for name, values in found.items()}
    learn.show_items(
        [item, item],
        THREE,
        f"Picture {picture}: what is there, what is found?",
        [None, found],
        columns=2,
    )


# %% tags=["nbval-ignore-output"]
learn.explore(
    show_picture,
    picture=learn.slider("picture", 8, 0, 99),
    threshold=learn.slider("score threshold", 0.5, 0.05, 0.95, 0.05),
)

# %%
show_picture(picture=8, threshold=0.5)

# %% [markdown]
# On the left are the true boxes, on the right what the detector says.
#
# ## Stopped, and gone on with
#
# A training of hours may be interrupted. Give `fit` a `folder`, and it leaves three files there: `last.pt`, all that is needed to go on; `best.pt`, the detector with the highest AP on validation pictures, or the last one if you give none; `log.jsonl`, a line for each finished step. The two others are written under another name first and then renamed, so that a crash while writing leaves the old file.
#
# Let us pull the plug. This data set fails at its 30th picture:


# %%
import tempfile


class Unplugged(torch.utils.data.Dataset):
    def __init__(self, dataset, after):
        self.dataset, self.left = dataset, after

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("the plug was pulled")
        return self.dataset[index]


folder = tempfile.mkdtemp()
short = Recipe(steps=12, batch_size=4, save_every=5)
stopped = Detector(new_model(), THREE, plain=True)
try:
    fit(stopped, Unplugged(training_data, 29), recipe=short, folder=folder, progress=False)
except RuntimeError as error:
    print(error)

# %% [markdown]
# It had taken seven steps, and the last checkpoint is from step 5. The same call again goes on from there. We give it a model with other weights on purpose (`seed=1`): what it ends with can only come from the file.

# %%
from retinanet_lite.training.run_folder import read_log

print("the checkpoint is from step", torch.load(f"{folder}/last.pt")["step"])
again = Detector(new_model(seed=1), THREE, plain=True)
fit(again, training_data, recipe=short, folder=folder, progress=False)
unbroken = Detector(new_model(), THREE, plain=True)
fit(unbroken, training_data, recipe=short, progress=False)
pairs = zip(again.model.parameters(), unbroken.model.parameters(), strict=True)
apart = max((a - b).abs().max().item() for a, b in pairs)
print(f"parameters differ by at most {apart:.4f} from those of the unbroken one")
print("steps in the log:", [record["step"] for record in read_log(f"{folder}/log.jsonl")])

# %% [markdown]
# No step is there twice. `read_log` reads the file while the training runs, too, and `show_log` draws what it read; so you can look from a second notebook.
#
# Another recipe in the same folder is refused:

# %%
try:
    fit(
        again,
        training_data,
        recipe=Recipe(20, batch_size=4, save_every=5),
        folder=folder,
        progress=False,
    )
except ValueError as error:
    print(str(error).replace(folder, "the folder"))

# %% [markdown]
# To train longer, start a new folder with the trained detector: the cosine of 12 steps is not the beginning of one of 20.
#
# ## Exercise 1 (5 min)
#
# Detectors are often trained with drops instead of a cosine: the rate rises over the first R steps as above, then stays at h, and from certain steps on it is a tenth of what it was. Write `step_rate(t, h, R, drops)`, where drops is a list of steps, for example [60, 80].
#
# *Hint: count how many of the drops are not after t.*


# %%
def step_rate(t, h, R, drops):
    # your turn
    ...


learn.check_learning_rate(step_rate)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def step_rate(t, h, R, drops):
#     if t < R:
#         return h * (t + 1) / R
#     return h * 0.1 ** sum(drop <= t for drop in drops)
# ```
#
# The paper's drops are at 60,000 and 80,000 of 90,000 steps (as published).
# </details>
#
# ## Exercise 2 (5 min)
#
# Write `clip(gradients, limit)`: it gets a list of tensors and returns a list of tensors, shortened together so that their common norm is at most `limit`.
#
# *Hint: one norm for all of them, not one for each. What if it is below the limit already?*


# %%
def clip(gradients, limit):
    # your turn
    ...


learn.check_clip(clip)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def clip(gradients, limit):
#     norm = sum((g**2).sum() for g in gradients) ** 0.5
#     factor = min(1.0, limit / norm)
#     return [g * factor for g in gradients]
# ```
# </details>
#
# Others train with SGD, and with drops: [what others do](14_what_others_do.ipynb#after-the-network).
#
# ## To go on with
#
# Two tasks without a single right answer.
#
# 1. Reach an AP50 of 0.9 in fewer steps.
#
#    <details><summary>What to look for</summary>
#
#    Learning rate, warm-up, batch size, number of channels: change one at a time, and keep the seed. How large is the difference between two seeds of the same recipe? A gain below that is none.
#    </details>
#
# 2. Sixteen pictures were learned by heart. Make sixteen go further: augmentation, fewer parameters, an earlier end.
#
#    <details><summary>What to look for</summary>
#
#    Look at the validation loss, not at the training loss. Which means help, and do they add up? You choose by the validation pictures, so measure on the test pictures once, at the end.
#    </details>
#
# ## What to remember
#
# 1. Ask twice before you train: do the anchors fit, and can it learn four pictures?
# 2. The loop itself is short: losses, gradients, a step. Warm-up, a falling rate and a clipped gradient come on top.
# 3. Measure on pictures that were not trained on. On the others, knowing by heart looks the same.
#
# In the paper: RetinaNet §4.1, "Inference and Training". This gradual warm-up is from Goyal et al., 2017 (arXiv 1706.02677); the cosine from Loshchilov and Hutter, 2016 (arXiv 1608.03983).
#
# Next: [09 · Detection](09_detection.ipynb), from 99,765 answers to a short list.
