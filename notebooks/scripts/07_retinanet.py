# %% [markdown]
# # 07 · RetinaNet
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/OWNER_NAME/retinanet-lite/blob/main/notebooks/07_retinanet.ipynb)
#
# **In this notebook you put all the parts together, follow an image through every tensor of the walkthrough, and look at the gradients of the first step.**
#
# About a minute on a CPU with 4 GB of memory free, 35 minutes to read, and 30 to write. You need the notebooks [01](01_backbone.ipynb) to [06](06_focal_loss.ipynb).

# %%
# where the package is missing, as in Colab, this installs it; what is there already stays
from importlib.util import find_spec

if find_spec("retinanet_lite") is None:
    source = "git+https://github.com/OWNER_NAME/retinanet-lite"
    get_ipython().run_line_magic("pip", f'install -q "retinanet-lite[learn] @ {source}"')

# %%
import copy
import math

import torch
from torch import nn

import retinanet_lite
from retinanet_lite import learn
from retinanet_lite.data.batches import to_batch
from retinanet_lite.data.drawing import random_scene, walkthrough_scene

_ = torch.manual_seed(0)
learn.show_map(here="detector")


# %%
def shape(x):
    return list(x.shape)


scenes = [walkthrough_scene(), random_scene(seed=1)]
images, annotations = to_batch(scenes)
STAR = 95592  # the row of the star's best anchor
print("images     ", shape(images))
print("annotations", shape(annotations))

# %% [markdown]
# ## Initialise
#
# ### The parts
#
# You have built every one of these. The pyramid asks the backbone how many channels C3, C4 and C5 have, so that the same lines work for a ResNet-18. (Two more parts, `BBoxTransform` and `ClipBoxes`, turn deltas into boxes and cut them off at the image's border. `BBoxTransform` also makes the targets of the box loss, as in notebook 05. `ClipBoxes` serves detection alone; see [regression and classification](../docs/regression_and_classification.md).)

# %%
from retinanet_lite import (
    Anchors,
    Bottleneck,
    ClassificationModel,
    FocalLoss,
    PyramidFeatures,
    RegressionModel,
    ResNet,
)

backbone = ResNet(Bottleneck, [3, 4, 6, 3])
print("channels of C3, C4, C5:", backbone.out_channels)
fpn = PyramidFeatures(*backbone.out_channels)
regression_model = RegressionModel(256)
classification_model = ClassificationModel(256, num_classes=20)
anchors = Anchors()
focal_loss = FocalLoss()

# %% [markdown]
# The walkthrough asks the last convolution of each stage for its channels, and stops with "Block type … not understood" for a block that it does not know. Here `backbone.out_channels` tells, and the backbone itself refuses such a block:

# %%
try:
    ResNet(nn.Linear, [3, 4, 6, 3])
except ValueError as error:
    print(error)

# %% [markdown]
# ### The first weights
#
# **He initialisation** draws weights from a normal distribution with standard deviation √(2 / n). Here n is the number of weights that an input number meets: k · k for a k×k kernel, times the output channels. Biases start at 0, batch norm at scale 1 and shift 0, as PyTorch makes it.


# %%
def initialise(module):
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d):
            n = conv.kernel_size[0] * conv.kernel_size[1] * conv.out_channels
            nn.init.normal_(conv.weight, std=math.sqrt(2 / n))
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)


for part in (backbone, fpn, regression_model, classification_model):
    initialise(part)
weight = fpn.output3.weight
print(
    "formula:", round(math.sqrt(2 / (3 * 3 * 256)), 3), "measured:", round(weight.std().item(), 3)
)
ones = [bool((n.weight == 1).all() and (n.bias == 0).all()) for n in backbone.batch_norms()]
print("batch norms with scale 1 and shift 0:", sum(ones), "of", len(ones))

# %% [markdown]
# Why this deviation? It keeps the *gradients* of like size on their way back. We send one through ten layers, with weights of half this size, of this size, and of twice this size:

# %%
with torch.random.fork_rng():  # so that the numbers drawn below stay the same
    for factor in (0.5, 1, 2):
        ten = nn.Sequential(*[nn.Conv2d(64, 64, 3, padding=1) for _ in range(10)])
        initialise(ten)
        start = x = torch.randn(1, 64, 20, 26, requires_grad=True)
        for conv in ten:
            x = (conv(x) * factor).relu()  # the biases are 0, so this is as good as larger weights
        sent = torch.randn_like(x)
        x.backward(sent)
        share = f"{(start.grad.norm() / sent.norm()).item():.1g}"
        print(f"weights times {factor}: the gradient's length times {float(share):g}")

# %% [markdown]
# (The paper, section 4.1, says a fixed standard deviation of 0.01 for the new layers. The original's code does what you see here, except that it leaves the biases of all but the two output layers as PyTorch draws them.)
#
# ### The prior
#
# The last layer of the classes is different: at the start every class should have the probability π = 0.01 everywhere. The bias does that, if the weights are 0, as the original sets them. It is the number whose sigmoid is π:
#
# $$\sigma\!\left(-\log\frac{1-\pi}{\pi}\right) = \frac{1}{1 + e^{\log((1-\pi)/\pi)}} = \frac{1}{1 + (1-\pi)/\pi} = \frac{\pi}{\pi + 1 - \pi} = \pi$$
#
# But weights of exactly 0 have a price on the way back: what a layer hands down is its weights times what came from above, and 0 times anything is 0. At step 1 only the output layers would learn. So we make the output weights of both heads tiny instead, 10⁻⁸: no probability notices, and every layer gets a gradient.

# %%
prior = 0.01
for model in (regression_model, classification_model):
    nn.init.normal_(model.output.weight, std=1e-8)
bias = -math.log((1 - prior) / prior)
nn.init.constant_(classification_model.output.bias, bias)
print("bias:", round(bias, 3), "probability:", round(1 / (1 + math.exp(-bias)), 4))

# %% [markdown]
# ### Frozen batch norm
#
# In training, batch norm measures mean and deviation on the batch. A detector's batch has few images, here two. Weights that were trained come with the statistics of the many images that they were trained on. To keep those, batch norm is **frozen**: mean, deviation, scale and shift stay what they are. In PyTorch it would measure again as soon as anybody calls `train()`. Ours stays frozen:


# %%
def batch_norms(module):
    return [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]


backbone.train()
print("batch norms: 1 + 16 · 3 + 4 =", len(batch_norms(backbone)))
print("measuring, before:", sum(bn.training for bn in batch_norms(backbone)), "of 53")
backbone.freeze_bn()
backbone.train()
print("measuring, frozen:", sum(bn.training for bn in batch_norms(backbone)), "of 53")
print("learning, frozen: ", sum(bn.weight.requires_grad for bn in batch_norms(backbone)), "of 53")

# %% [markdown]
# With random weights there is nothing worth keeping: mean 0 and variance 1 are the statistics of no image. Below you see what comes of it. The package has one rule. `RetinaNet` has an argument `freeze_bn`, by default None: batch norm is frozen exactly where the backbone starts from weights of ImageNet, or the model from parameters of another implementation. `True` and `False` say it outright. (A detector's own file keeps what its model had.)
#
# Freezing could save memory, too. For the way back, PyTorch keeps what each layer's gradient will need. Batch norm that learns needs its input. Frozen, all it does is to multiply each channel by one number and to add another, and for the gradient the factor is enough. PyTorch's batch norm keeps its input all the same. The package has another form of it that keeps the factor alone. `quicken` puts it, and on some processors a quick form of the 3×3 convolutions, in the place of the plain ones; the results stay, as notebook 08 shows. How many numbers are kept, the weights aside, for two images of 160×208 pixels?


# %%
from retinanet_lite import quicken, unquicken


def kept_for_the_way_back(module, x):
    sizes = {}
    weights = {p.data_ptr() for p in module.parameters()}

    def note(tensor):
        if tensor.data_ptr() not in weights:
            sizes[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        _ = module(x)
    return sum(sizes.values())


corner = images[:, :, :160, :208]
backbone.freeze_bn(False)
backbone.eval()  # it may learn, but must not measure here
learning = kept_for_the_way_back(backbone, corner)
backbone.freeze_bn()
plain = kept_for_the_way_back(backbone, corner)
quick = kept_for_the_way_back(quicken(backbone), corner)
print(f"frozen:           {plain / learning:.0%} of what is kept where batch norm learns")
print(f"frozen and quick: {quick / learning:.0%}")
_ = unquicken(backbone)

# %% [markdown]
# From here on all parts are plain again: what runs is what you have built. What more `quicken` does, and how it compares with torchvision, is on the page [How fast it is](../docs/speed.md).
#
# ## Forward
#
# Now line by line, as the walkthrough has it. Each line prints what leaves it, and the tests hold it to the walkthrough's number. We run it without gradients first. (The walkthrough's `forward` gets both tensors as one argument, `img_batch, annotations = inputs`; ours gets them as two. And its x2, x3 and x4 are what notebook 01 called C3, C4 and C5.)

# %%
with torch.no_grad():
    x = backbone.relu(backbone.bn1(backbone.conv1(images)))
    print("x ", shape(x), shape(x) == [2, 64, 320, 416])
    x = backbone.maxpool(x)
    print("x ", shape(x), shape(x) == [2, 64, 160, 208])
    x1 = backbone.layer1(x)
    print("x1", shape(x1), shape(x1) == [2, 256, 160, 208])
    x2 = backbone.layer2(x1)
    print("x2", shape(x2), shape(x2) == [2, 512, 80, 104])
    x3 = backbone.layer3(x2)
    print("x3", shape(x3), shape(x3) == [2, 1024, 40, 52])
    x4 = backbone.layer4(x3)
    print("x4", shape(x4), shape(x4) == [2, 2048, 20, 26])

# %%
with torch.no_grad():
    features = fpn([x2, x3, x4])
expected = [[80, 104], [40, 52], [20, 26], [10, 13], [5, 7]]
for level, P, size in zip(range(3, 8), features, expected, strict=True):
    print(f"P{level}", shape(P), shape(P) == [2, 256, *size])

# %%
with torch.no_grad():
    regression = [regression_model(P) for P in features]
    classification = [classification_model(P) for P in features]
expected = [74880, 18720, 4680, 1170, 315]
for level, r, c, rows in zip(range(3, 8), regression, classification, expected, strict=True):
    print(f"P{level}", shape(r), shape(c), shape(r) == [2, rows, 4], shape(c) == [2, rows, 20])
regression = torch.cat(regression, dim=1)
classification = torch.cat(classification, dim=1)
print("regression    ", shape(regression), shape(regression) == [2, 99765, 4])
print("classification", shape(classification), shape(classification) == [2, 99765, 20])

# %%
boxes = anchors(images)
print("anchors", shape(boxes), shape(boxes) == [99765, 4])
p = classification.sigmoid()
print(f"probabilities from {p.min():.4f} to {p.max():.4f}")
losses = focal_loss(classification, regression, boxes, annotations)
print({name: round(loss.item(), 3) for name, loss in losses.items()})

# %% [markdown]
# Two numbers; for the scene alone, notebook 06 printed 1.133 for the classes and 1.134 for the boxes. These are means over two images.
#
# ## Build it (15 min)
#
# The parts are there; say what is done with them. `predict` is the network: from images to logits, deltas and anchors. `forward` gives losses if it is called with annotations, and detections if it is called without. `learn.keep` compares your detector with the package's: predictions, gradients, losses and detections. If it is right, it is kept in `mine/detector.py`.
#
# *Hint: one head goes over all five levels; `torch.cat(…, dim=1)` makes one list of them. `self.focal_loss` and `self.detection` need what `predict` gives, and the docstring says in which order.*


# %%
class MyRetinaNet(nn.Module):
    """The detector, made of its parts.

    fpn: [C3, C4, C5] → [P3, …, P7]. Each head: one level → rows [B, h · w · 9, …].
    anchors(size): [N, 4], for size (H, W); anchors.level_counts(H, W): rows of each level.
    focal_loss(logits, deltas, anchors, annotations): a dict with the two losses.
    detection(logits, deltas, anchors, level_counts, size): a list with a dict for each image.
    """

    def __init__(
        self, backbone, fpn, regression_model, classification_model, anchors, focal_loss, detection
    ):
        super().__init__()
        self.backbone, self.fpn = backbone, fpn
        self.regression_model, self.classification_model = regression_model, classification_model
        self.anchors, self.focal_loss, self.detection = anchors, focal_loss, detection

    def predict(self, images):
        """images [B, 3, H, W] → logits [B, N, K], deltas [B, N, 4], anchors [N, 4]"""
        # your turn
        ...

    def forward(self, images, annotations=None):
        """With annotations [B, M, 5] the losses, without them the detections."""
        # your turn
        ...


learn.keep(MyRetinaNet)

# %% [markdown]
# Ours is folded in the next cell.


# %% tags=["hide-input"] jupyter={"source_hidden": true}
class RetinaNet(nn.Module):
    def __init__(
        self, backbone, fpn, regression_model, classification_model, anchors, focal_loss, detection
    ):
        super().__init__()
        self.backbone, self.fpn = backbone, fpn
        self.regression_model, self.classification_model = regression_model, classification_model
        self.anchors, self.focal_loss, self.detection = anchors, focal_loss, detection

    def predict(self, images):
        features = self.fpn(self.backbone(images))
        logits = torch.cat([self.classification_model(P) for P in features], dim=1)
        deltas = torch.cat([self.regression_model(P) for P in features], dim=1)
        return logits, deltas, self.anchors(images.shape[-2:])

    def forward(self, images, annotations=None):
        logits, deltas, anchors = self.predict(images)
        if annotations is not None:
            return self.focal_loss(logits, deltas, anchors, annotations)
        size = images.shape[-2:]
        counts = self.anchors.level_counts(*size)
        return self.detection(logits, deltas, anchors, counts, size)


# %% [markdown]
# ### With its first weights
#
# Now the parts go in, and get their first weights, as above. Here batch norm is always frozen; that is simplest. So the package's models on this page are asked for it, with `freeze_bn=True`. By default their batch norm would learn here, since the weights are random.


# %%
def new_retinanet(num_classes, block, layers):
    backbone = ResNet(block, layers)
    heads = RegressionModel(256), ClassificationModel(256, num_classes=num_classes)
    pyramid = PyramidFeatures(*backbone.out_channels)
    model = RetinaNet(backbone, pyramid, *heads, Anchors(), FocalLoss(), retinanet_lite.Detection())

    initialise(model)
    for head in heads:
        nn.init.normal_(head.output.weight, std=1e-8)
    nn.init.constant_(heads[1].output.bias, -math.log(99))
    backbone.freeze_bn()
    return model


# %% [markdown]
# ### Proof
#
# The package's `RetinaNet` does the same. With the same weights the losses are the same, and so is the gradient of every parameter. For that a ResNet-18 is enough, and the scenes at a quarter of their height and width.

# %%
small, small_annotations = to_batch([walkthrough_scene(160, 208), random_scene(1, 160, 208)])
ours = new_retinanet(20, retinanet_lite.BasicBlock, [2, 2, 2, 2])
package = retinanet_lite.retinanet_resnet18(num_classes=20, freeze_bn=True)
package.load_state_dict(ours.state_dict())

a, b = ours(small, small_annotations), package(small, small_annotations)
apart = max(abs(a[name] - b[name]).item() for name in a)
print(f"losses differ by at most {apart:.4f}")
sum(a.values()).backward()
sum(b.values()).backward()
pairs = [(p.grad, q.grad) for p, q in zip(ours.parameters(), package.parameters(), strict=True)]
# some gradients are tiny, so the difference is compared with the gradient's own length
apart = [((g - h).norm() / h.norm()).item() for g, h in pairs if g is not None]
print(f"gradients of {len(apart)} tensors differ by at most {max(apart):.2f} of their length")

# %% [markdown]
# ### Your RetinaNet
#
# How much of it is yours? A detector has nine parts to build. Those that you have kept, in this notebook and in those before, are checked again and put into a model of the package, in the place of its own; where a blank is still open, the package's part stays. The parameters have the same names, so the weights stay, too. Here is a small one, and its losses before and after:

# %%
learn.show_parts()

# %%
mixed = retinanet_lite.RetinaNet(20, retinanet_lite.BasicBlock, [1, 1, 1, 1], feature_size=64)
before = mixed(small, small_annotations)
learn.with_your_parts(mixed)
after = mixed(small, small_annotations)
apart = max(abs(before[name] - after[name]).item() for name in before)
print(f"losses differ by at most {apart:.4f}")

# %% [markdown]
# Notebook 08 trains such a model, with your parts in it. If you change a part, run its cell again: the older file is not lost, it moves to `mine/before/`, and `learn.undo_keep("pyramid")` brings it back.

# %% [markdown]
# ## The first step
#
# Now the package's model at full size, with a gradient. Two switches are there for speed, and change no number that is printed here: `channels_last` keeps the numbers of one cell side by side in memory, and if there is a GPU, we use it. `predict` gives logits, deltas and anchors; so that we can ask for the gradient of the logits afterwards, we keep it. It is one long step: some ten seconds on two CPU cores, in which nothing moves.

# %%
device = "cuda" if torch.cuda.is_available() else "cpu"
model = retinanet_lite.retinanet_resnet50(num_classes=20, freeze_bn=True)
model.to(device, memory_format=torch.channels_last)
batch = images.to(device, memory_format=torch.channels_last)

logits, deltas, boxes = model.predict(batch)
logits.retain_grad()
losses = model.focal_loss(logits, deltas, boxes, annotations.to(device))
sum(losses.values()).backward()
print({name: round(loss.item(), 3) for name, loss in losses.items()})
by_star = logits.grad[0, STAR, 8].item()
print("gradient of the star's logit:", round(by_star * 350 * 2, 3))

# %% [markdown]
# The same −0.265 as in notebook 06. (Times 350 positive anchors, and times 2, because the loss is the mean over two images.) Before training every anchor says 0.01, whatever the picture shows, so there the scene did not matter. What is new is that this gradient flows back: through the head, the pyramid and the backbone, down to the first layer.
#
# Which parts learn from this step, and how much? We take the length of the gradient of each part, all its numbers squared, summed, and the root of that.
#
# > **Predict, then run.** Which part has the longest gradient, and is there one that has none? *Your guess:*


# %%
def gradient_length(module):
    squares = [p.grad.square().sum() for p in module.parameters() if p.grad is not None]
    return math.sqrt(sum(square.item() for square in squares))


named = {
    "conv1": model.backbone.conv1,
    "layer1": model.backbone.layer1,
    "layer2": model.backbone.layer2,
    "layer3": model.backbone.layer3,
    "layer4": model.backbone.layer4,
    "pyramid": model.fpn,
    "regression, conv1 … 4": nn.ModuleList(list(model.regression_model.children())[:4]),
    "regression, output": model.regression_model.output,
    "classification, conv1 … 4": nn.ModuleList(list(model.classification_model.children())[:4]),
    "classification, output": model.classification_model.output,
}
lengths = {name: gradient_length(part) for name, part in named.items()}
learn.show_gradients(lengths, "Who learns from the first step?")
print("parts with a gradient:", sum(length > 0 for length in lengths.values()), "of", len(lengths))

# %% [markdown]
# All of them, and the two output layers more than a hundred thousand times more. Plain gradient descent would move the others by as much less. And AdamW, which notebook 00 used? On its first step it moves a parameter with the gradient g (its weight decay, which notebook 08 explains, left out) by learning rate · g / (|g| + 10⁻⁸), where the 10⁻⁸ is there so that nothing is divided by 0. So a parameter whose |g| is far above 10⁻⁸ moves by the whole learning rate, however small its gradient is beside others. Training also shortens the whole gradient to a length of 1 before that (notebook 08), which brings many below 10⁻⁸. By how much of the learning rate does a parameter of each part move, on average?

# %%
whole = gradient_length(model)
print("part                       as it is   shortened to 1")
for name, part in named.items():
    g = torch.cat([p.grad.flatten() for p in part.parameters() if p.grad is not None]).abs()
    moves = [(size / (size + 1e-8)).mean().item() for size in (g, g / whole)]
    print(f"{name:26} {moves[0]:8.1g} {moves[1]:16.1g}")

# %% [markdown]
# As it is, every part would move from the first step on. Shortened, the outputs move by 0.8 and 0.9 of the learning rate, and the pyramid by a few thousandths of it. But the others do not stand still for long. The outputs' weights have then moved from 10⁻⁸ to about a thousandth, the learning rate, and pass on far more. How large is the gradient of the pyramid, beside the whole, in the first step and in the second? And the loss? We try it on a copy, with the scenes at a quarter of their size:

# %%
trial = copy.deepcopy(model)
optimizer = torch.optim.AdamW(trial.parameters(), lr=1e-3, weight_decay=0)
sums = []
for step in (1, 2):
    optimizer.zero_grad()
    sums.append(sum(trial(small.to(device), small_annotations.to(device)).values()))
    sums[-1].backward()
    share = gradient_length(trial.fpn) / gradient_length(trial)
    print(f"step {step}: {share:.1g} of the whole")
    nn.utils.clip_grad_norm_(trial.parameters(), max_norm=1.0)
    optimizer.step()
print(
    "the loss of step 2 is more than a hundred times that of step 1:", bool(sums[1] > 100 * sums[0])
)

# %% [markdown]
# The whole rate at once was too much for this first step. Notebook 08 begins with a small one.
#
# The length of the two largest is a warning: the gradient of a weight is what came into its layer times what comes back from above, summed over all cells, so large numbers may have come in. How large are the numbers in C3, C4 and C5, with frozen batch norm, which does nothing in a model of random weights, and with one that measures?

# %%
with torch.no_grad():
    frozen = backbone(small)
    backbone.freeze_bn(False)
    learning = backbone.train()(small)
for name, kept, measured in zip(["C3", "C4", "C5"], frozen, learning, strict=True):
    print(f"{name}: standard deviation {kept.std():.0f} frozen, {measured.std():.0f} measured")

# %% [markdown]
# So with random weights let batch norm measure.
#
# And what would output weights of exactly 0 leave of the ten parts?

# %%
model.zero_grad()
nn.init.zeros_(model.regression_model.output.weight)
nn.init.zeros_(model.classification_model.output.weight)
sum(model(small.to(device), small_annotations.to(device)).values()).backward()  # small: quick
left = {name: gradient_length(part) for name, part in named.items()}
print("parts with a gradient:", [name for name, length in left.items() if length > 0])

# %% [markdown]
# ## Losses when learning, detections when not?
#
# torchvision's model gives losses in `train()` mode and detections in `eval()` mode. Here what you ask for decides. Given annotations the model returns losses, given none it detects, in both modes:

# %%
model = retinanet_lite.retinanet_resnet18(num_classes=20)
for mode in ("train", "eval"):
    getattr(model, mode)()
    with torch.no_grad():
        print(f"{mode}, annotations:", list(model(small, small_annotations)))
        print(f"{mode}, images only:", len(model(small)), "images, each", list(model(small)[0]))

# %% [markdown]
# (Call `eval()` before you detect all the same: in `train()` mode, batch norm that is not frozen measures these very images.)
#
# Before training nothing is above the score threshold of 0.05. With a threshold of 0.005 the untrained model does detect: as many boxes as it may (300), and each as good as any other.

# %%
model.detection.score_threshold = 0.005
untrained = model(small)[0]
scores = untrained["scores"]
print("detections:", len(scores), f"scores from {scores.min():.4f} to {scores.max():.4f}")

# %% [markdown]
# And a model that has learned? The small detector of notebook 00 is a `RetinaNet` as well, with fewer and narrower layers. Given annotations, it says how wrong it is about our scene, from which it has not learned. Given none, it detects.

# %%
from retinanet_lite import Detector

trained = Detector.pretrained("shapes", plain=True).model
with torch.no_grad():
    before = model(images[:1], annotations[:1])
    after = trained(images[:1], annotations[:1])
    detections = trained(images[:1])[0]
for name in after:
    print(f"{name}: untrained {before[name]:.1f}, trained {after[name]:.1f}")

kept = detections["scores"] > 0.5
detections = {name: values[kept] for name, values in detections.items()}
learn.show_detections(walkthrough_scene(), detections, "What does it detect when it has learned?")

# %% [markdown]
# That is the whole way, from pixels to boxes. As in notebook 00, it misses the pill, takes the ring for a moon, and says flower as well as gear. How a model comes to that is the next notebook's matter.
#
# ### Play with it
#
# The rows of every level, for any image size, as the walkthrough's table has them. In the smallest image, 32×32, P7 has as many rows as P6. Up to which size does it?


# %%
from retinanet_lite.learn.trace import trace


def show_rows(height, width):
    table = trace(trained, height, width, batch_size=1)
    counts = {}
    for level in ("P3", "P4", "P5", "P6", "P7"):
        rows, columns = table[level].shape[2:]
        counts[f"{level}, {rows}×{columns} cells"] = table[f"regression {level}"].shape[1]
    learn.show_stages(counts, "How many rows does each level give?", limit=1e6)
    return f"An image of {height}×{width} pixels: {sum(counts.values()):,} anchors, a row each."


# %% tags=["nbval-ignore-output"]
learn.explore(
    show_rows,
    height=learn.slider("height, pixels", 640, 32, 1024),
    width=learn.slider("width, pixels", 832, 32, 1024),
)

# %%
print(show_rows(417, 333))

# %% [markdown]
# Up to 64×64. Until then P6 has one cell, and P7 can't have less.

# %% [markdown]
# ## Exercise 1 (5 min)
#
# Write `prior_bias(prior)`: the bias that makes the sigmoid give `prior`.
#
# *Hint: solve 1 / (1 + e⁻ᵇ) = π for b.*


# %%
def prior_bias(prior):
    # your turn
    ...


learn.check_prior_bias(prior_bias)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def prior_bias(prior):
#     return -math.log((1 - prior) / prior)
# ```
# </details>
#
# ## Exercise 2 (10 min)
#
# You are given `rows` [B, N, V] for an image of height×width: B images, N anchors, all levels in one list, V values each. Write `split_levels(rows, height, width)`: it returns a list of five tensors, one a level.
#
# *Hint: `torch.split(x, sizes, dim=1)` cuts along the rows; a cell has nine.*


# %%
def split_levels(rows, height, width):
    # your turn
    ...


learn.check_split_levels(split_levels)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def split_levels(rows, height, width):
#     sizes = [9 * -(-height // s) * -(-width // s) for s in (8, 16, 32, 64, 128)]
#     return list(torch.split(rows, sizes, dim=1))
# ```
# </details>
#
# Others draw the first weights otherwise, and take another eps in batch norm: [what others do](14_what_others_do.ipynb#the-first-weights). With all differences together our model becomes torchvision's, and that page proves it.
#
# ## To go on with
#
# Two tasks without a single right answer.
#
# 1. Make the model half as large, in parameters, and lose as little as you can.
#
#    <details><summary>What to look for</summary>
#
#    Print the parameters of each part first. What do fewer channels in the pyramid change, what another backbone? Which of your cuts also saves time?
#    </details>
#
# 2. Start the detector differently: a prior of 0.5, or output weights with a deviation of 0.01.
#
#    <details><summary>What to look for</summary>
#
#    Compare the losses of the first step, the length of each part's gradient, and the second step. Which of them would you see in a training's curve, and after how many steps?
#    </details>
#
# ## What to remember
#
# 1. Image → C3 … C5 → P3 … P7 → logits and deltas of 99,765 anchors → two losses, or detections.
# 2. He initialisation, biases 0, a prior of 0.01, output weights that are tiny but not 0; batch norm frozen where trained weights were loaded.
# 3. `model(images, annotations)` gives losses, `model(images)` detects, in either mode.
#
# In the paper: RetinaNet §4 and figure 3; §4.1 for the initialisation.
#
# You have now seen every tensor of the walkthrough. To read it once more in one piece, see [docs/walkthrough.md](../docs/walkthrough.md).
#
# Next: [08 · Training](08_training.ipynb), where it learns.
