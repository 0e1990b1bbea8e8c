# %% [markdown]
# # 01 · The backbone
#
# [![Open in Colab](../docs/images/colab.svg)](https://colab.research.google.com/github/OWNER_NAME/retinanet-lite/blob/main/notebooks/01_backbone.ipynb)
#
# **In this notebook you build a ResNet by hand, and see a picture of 640×832 pixels become three grids of features: C3, C4 and C5.**
#
# About 45 seconds on a CPU, 30 minutes to read, and 30 to write. You need to know what a convolution is; notebook [00](00_start_here.ipynb) shows where this one leads.

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
learn.show_map(here="backbone")

# %% [markdown]
# In these notebooks the images are a batch of two: the scene with the star, and a second one. B stands for the number of images, H and W for their height and width.


# %%
def shape(x):
    return list(x.shape)


scenes = [walkthrough_scene(), random_scene(seed=1)]
images, annotations = to_batch(scenes)
print("[B, 3, H, W] =", shape(images))
print(f"numbers above 1: {(images > 1).float().mean():.0%}")

# %% [markdown]
# `to_batch` has also **normalised** the images: it subtracted from each colour its mean over ImageNet, a large collection of photographs, and divided by its standard deviation. The numbers of all those photographs have a mean of about 0 and a deviation of about 1 then. (The background of our pictures is pale, so most of our numbers lie above 1.)
#
# ## What a feature is
#
# A **feature map** is a grid of numbers. One place of the grid is a **cell**, and its number says how much the place around it looks like something. You can make one by hand. This 3×3 filter answers where the picture gets darker or brighter from left to right:

# %%
edge = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
grey = images.mean(dim=1, keepdim=True)  # [2, 1, 640, 832]
answer = F.conv2d(grey, edge[None, None], padding=1)  # [2, 1, 640, 832]
rows, columns = slice(180, 340), slice(340, 500)  # the part around the star
learn.show_features(
    scenes[0].image[:, rows, columns],
    {"filter's answer": answer[0][:, rows, columns]},
    "Where are the upright edges of the star?",
)

# %% [markdown]
# Bright means a large answer, of either sign. The star's steep sides light up, its level edges hardly do, and flat areas are dark. A network has many such filters, finds their numbers by itself, and puts filters on top of filters.
#
# ## The stem: two steps down
#
# The network begins with its **stem**: a convolution, a batch norm, a ReLU and a max pool, each of which you will see in a moment. The convolution has 64 filters of 7×7 over the three colours. Its **stride** is 2: it looks at every second place only, so its output has half the rows and columns. This is the first layer of the [walkthrough](../docs/walkthrough.md) (`bias=False`, because the batch norm that follows brings its own):

# %%
conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
x = conv1(images)
print(shape(images), "→", shape(x))

# %% [markdown]
# Why 320? A filter of size k on n places, with p zeros put on each side (the **padding**), can stand at n + 2p − k + 1 places. With stride s it uses every s-th of them, beginning with the first:
#
# $$\text{output} = \left\lfloor \frac{n + 2p - k}{s} \right\rfloor + 1$$
#
# (⌊ ⌋ is rounding down.)

# %%
print("rows   ", (640 + 2 * 3 - 7) // 2 + 1)
print("columns", (832 + 2 * 3 - 7) // 2 + 1)

# %% [markdown]
# Then come **batch norm**, which brings each channel to mean 0 and standard deviation 1 over all places of the batch, followed by a learned scale and shift; **ReLU**, which makes negative numbers 0; and a **max pool**, which keeps the greatest of each 3×3 neighbourhood, again at every second place.

# %%
bn1 = nn.BatchNorm2d(64)
maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
x = F.relu(bn1(x))
print("after bn, relu", shape(x), shape(x) == [2, 64, 320, 416])
x = maxpool(x)
print("after maxpool ", shape(x), shape(x) == [2, 64, 160, 208])

# %% [markdown]
# (`True` means: the same shape as in the walkthrough.) After the stem, one cell stands for 4×4 pixels, and holds 64 numbers about them.
#
# ## A residual block by hand
#
# Now the network's one idea. A block computes two convolutions, and then **adds its input** to the result. So a block need not invent a new description of the picture. It only says what to change in the one it got.

# %%
conv_a = nn.Conv2d(64, 64, kernel_size=3, padding=1, bias=False)
conv_b = nn.Conv2d(64, 64, kernel_size=3, padding=1, bias=False)
bn_a, bn_b = nn.BatchNorm2d(64), nn.BatchNorm2d(64)

change = bn_b(conv_b(F.relu(bn_a(conv_a(x)))))
y = F.relu(x + change)
print(shape(x), "+", shape(change), "→", shape(y))

# %% [markdown]
# What is that good for? Take a block whose convolutions have learned nothing at all, with all weights 0. Without the shortcut, all that is left is 0. With it, the picture passes as it was (the last ReLU changes nothing, since the stem's own ReLU has left no negative numbers):

# %%
conv_a.weight.data.zero_()
conv_b.weight.data.zero_()
change = bn_b(conv_b(F.relu(bn_a(conv_a(x)))))
y = F.relu(x + change)
print(f"without the shortcut, the largest number left: {change.abs().max():.4f}")
print(f"with it, input and output differ by at most:   {(y - x).abs().max():.4f}")

# %% [markdown]
# So with the shortcut, a block whose weights are 0 passes on what it gets. Does that matter? Take two networks without shortcuts, one with 4 convolutions after its first, and one with 40. The deep one could do all that the shallow one does, if its other layers only passed on what they get. Both learn which of the twenty shapes is in a picture of 16×16 pixels; and so does a third, deep with shortcuts.
#
# > **Predict, then run.** Which of the three has the lowest training loss in the end, and which the highest? *Your guess:*


# %%
class Tower(nn.Module):
    """Blocks of two convolutions with batch norm, one after the other; 20 numbers come out."""

    def __init__(self, blocks, shortcut):
        super().__init__()
        self.shortcut = shortcut
        self.first = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        convs = [nn.Conv2d(16, 16, 3, padding=1, bias=False) for _ in range(2 * blocks)]
        self.layers = nn.ModuleList(nn.Sequential(conv, nn.BatchNorm2d(16)) for conv in convs)
        self.last = nn.Linear(16 * 4 * 4, 20)
        for conv in (self.first, *convs):
            nn.init.kaiming_normal_(conv.weight)  # as He et al. draw them

    def forward(self, x):
        x = F.relu(self.first(x))
        for a, b in zip(self.layers[::2], self.layers[1::2], strict=True):
            change = b(F.relu(a(x)))
            x = F.relu(x + change if self.shortcut else change)
        return self.last(F.adaptive_avg_pool2d(x, 4).flatten(1))


pictures = [random_scene(seed, 32, 32, (1, 1), smallest=20.0, largest=30.0) for seed in range(1024)]
inputs = torch.stack([F.avg_pool2d(picture.image / 255 - 0.8, 2) * 4 for picture in pictures])
shown = torch.cat([picture.labels for picture in pictures])
print("pictures", shape(inputs), "labels", shape(shown))

# %% tags=["nbval-ignore-output"]
from tqdm.auto import tqdm

towers = {
    "4 convolutions": Tower(2, shortcut=False),
    "40 convolutions": Tower(20, shortcut=False),
    "40, with shortcuts": Tower(20, shortcut=True),
}
curves = {}
for name, tower in towers.items():
    optimizer = torch.optim.AdamW(tower.parameters(), lr=3e-3)
    curves[name] = []
    for _step in tqdm(range(120), desc=name):
        chosen = torch.randint(0, 1024, (32,))
        loss = F.cross_entropy(tower(inputs[chosen]), shown[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curves[name].append(loss.item())

# %%
import matplotlib.pyplot as plt

_, ax = plt.subplots(figsize=(6.8, 3.4), layout="constrained")
for (name, losses), line in zip(curves.items(), learn.LINES, strict=False):
    means = torch.tensor(losses).unfold(0, 20, 1).mean(dim=1)  # over 20 steps each
    ax.plot(range(20, 121), means, **line, label=f"{name}: {means[-1]:.1f} at the end")
ax.set(title="Does a deeper network learn better?", xlabel="step", ylabel="training loss")
ax.legend(fontsize=8)
shallow, deep, shortcuts = (sum(losses[-20:]) for losses in curves.values())
print("the deep one fits worse than the shallow one:", deep > shallow)
print("with shortcuts it fits better than without:  ", shortcuts < deep)

# %% [markdown]
# It is the *training* loss that is worse: in these 120 steps the deep network without shortcuts has learned less from the same pictures. With shortcuts it starts worst, as its weights are random and not 0, and ends best. (That is one run, with one seed.) He et al. found the same with real pictures and much longer training, and called it degradation. As published (table 2 of the paper, validation pictures of ImageNet, ten crops each; the training errors are its figure 4): plain networks of 18 and 34 layers choose the wrong class in 27.94% and 28.54% of the pictures, those with shortcuts in 27.88% and 25.03%.
#
# ### Build it (15 min)
#
# Now write the whole block. `inplanes` are the channels that come in, `planes` the channels of both 3×3 convolutions. The first convolution may have stride 2. The only new thing is `downsample`: where a block changes the size or the number of channels, its output and its input can't be added. Then the shortcut goes through `downsample` first, a 1×1 convolution of the same stride and a batch norm, which the block gets ready made. It is None where the shapes agree.
#
# `learn.keep` compares your block with the package's: outputs and gradients, with the same weights. That works only if your layers have the names in the docstring. If it is right, it is kept in a file of yours, `mine/block.py`, and notebook 07 builds *your* detector with it.
#
# *Hint: all you need stands in the cell that computed `change` and `y` by hand.*


# %%
class MyBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut.

    Layers: conv1 and conv2, 3×3 with padding 1 and without bias; bn1 and bn2; downsample, as given.
    Shapes: x [B, inplanes, H, W] → [B, planes, H / stride, W / stride], rounded up.
    """

    expansion = 1  # output channels = 1 · planes

    def __init__(self, inplanes, planes, stride=1, downsample=None):
        super().__init__()
        # your turn: the layers

    def forward(self, x):
        # your turn
        ...


learn.keep(MyBlock)

# %% [markdown]
# Our block is folded in the next cell. The page goes on with it, whether you have written yours or not.


# %% tags=["hide-input"] jupyter={"source_hidden": true}
class BasicBlock(nn.Module):
    expansion = 1  # output channels = 1 · planes

    def __init__(self, inplanes, planes, stride=1, downsample=None):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        return F.relu(x + shortcut)


# %% [markdown]
# ## The same for less: the bottleneck
#
# Deep networks work with many channels. Two 3×3 convolutions on 256 channels cost a lot. The **bottleneck** goes down to 64 channels with a 1×1 convolution, does its 3×3 there, and comes back up:

# %%
basic = BasicBlock(256, 256)
down, middle, up = nn.Conv2d(256, 64, 1), nn.Conv2d(64, 64, 3, padding=1), nn.Conv2d(64, 256, 1)
bottleneck_weights = [layer.weight.numel() for layer in (down, middle, up)]
print("two 3×3 on 256 channels:", f"{2 * basic.conv1.weight.numel():,} weights")
print("bottleneck:             ", f"{sum(bottleneck_weights):,} =", bottleneck_weights)


# %%
class Bottleneck(nn.Module):
    expansion = 4  # output channels = 4 · planes

    def __init__(self, inplanes, planes, stride=1, downsample=None):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.downsample = downsample

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        return F.relu(x + shortcut)


# %% [markdown]
# ResNet-18 and -34 are made of `BasicBlock`, ResNet-50, -101 and -152 of `Bottleneck` (table 1 of the paper). The number counts the convolutions on the longest way through, and a classifier at the end: 50 = 1 + 3 · (3 + 4 + 6 + 3) + 1. A detector has no use for the classifier.
#
# ## A stage
#
# A stage is a row of blocks at one size. Its first block may halve the size and change the channels, the others keep both. ResNet-50 has four stages, of 3, 4, 6 and 3 blocks.


# %%
def make_stage(block, inplanes, planes, blocks, stride):
    outplanes = planes * block.expansion
    downsample = None
    if stride != 1 or inplanes != outplanes:  # the shortcut needs another shape
        downsample = nn.Sequential(
            nn.Conv2d(inplanes, outplanes, 1, stride=stride, bias=False),
            nn.BatchNorm2d(outplanes),
        )
    first = block(inplanes, planes, stride, downsample)
    return nn.Sequential(first, *[block(outplanes, planes) for _ in range(1, blocks)])


stage2 = make_stage(Bottleneck, inplanes=256, planes=128, blocks=4, stride=2)
x2 = stage2(torch.zeros(2, 256, 160, 208))
print(shape(x2), shape(x2) == [2, 512, 80, 104])

# %% [markdown]
# ## The whole backbone
#
# The stem, four stages, and out come the results of the last three. They are called C3, C4 and C5, because one cell of them is 2³ = 8, 2⁴ = 16 and 2⁵ = 32 pixels wide.


# %%
class ResNet(nn.Module):
    def __init__(self, block, layers):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        e = block.expansion
        self.layer1 = make_stage(block, 64, 64, layers[0], stride=1)
        self.layer2 = make_stage(block, 64 * e, 128, layers[1], stride=2)
        self.layer3 = make_stage(block, 128 * e, 256, layers[2], stride=2)
        self.layer4 = make_stage(block, 256 * e, 512, layers[3], stride=2)

    def forward(self, images):
        x = self.maxpool(F.relu(self.bn1(self.conv1(images))))
        x1 = self.layer1(x)
        x2 = self.layer2(x1)
        x3 = self.layer3(x2)
        x4 = self.layer4(x3)
        return [x2, x3, x4]  # C3, C4, C5


# %% [markdown]
# In one table, for ResNet-50 and images [2, 3, 640, 832]:
#
# | name | what | made of | output |
# |---|---|---|---|
# | `conv1`, `bn1` | stem | 7×7, stride 2, and batch norm | [2, 64, 320, 416] |
# | `maxpool` | stem | 3×3, stride 2 | [2, 64, 160, 208] |
# | `layer1` | stage 1 | 3 blocks | x1, [2, 256, 160, 208] |
# | `layer2` | stage 2 | 4 blocks, the first with stride 2 | x2 = C3, [2, 512, 80, 104] |
# | `layer3` | stage 3 | 6 blocks, the first with stride 2 | x3 = C4, [2, 1024, 40, 52] |
# | `layer4` | stage 4 | 3 blocks, the first with stride 2 | x4 = C5, [2, 2048, 20, 26] |
#
# ### Proof
#
# Is it right? The package has a `ResNet` of its own, and the tests compare that one with torchvision's. So we give ours the same weights, and compare what comes out, and what goes back: the gradient of every weight. Small images will do for that.


# %%
def largest_gap(pairs):
    """The largest difference in pairs of tensors, as a part of the largest number in them."""
    return max((a - b).abs().max() for a, b in pairs) / max(b.abs().max() for _, b in pairs)


ours = ResNet(Bottleneck, [3, 4, 6, 3])
package = retinanet_lite.ResNet(retinanet_lite.Bottleneck, [3, 4, 6, 3])
ours.load_state_dict(package.state_dict())

small = images[:, :, rows, columns]  # [2, 3, 160, 160]
C_ours, C_package = ours(small), package(small)
pairs = list(zip(C_ours, C_package, strict=True))
print(f"the {len(pairs)} outputs differ by at most {largest_gap(pairs):.4f} of the largest number")

sum(C.square().mean() for C in C_ours).backward()
sum(C.square().mean() for C in C_package).backward()
both = zip(ours.parameters(), package.parameters(), strict=True)
pairs = [(a.grad, b.grad) for a, b in both]
print(f"the {len(pairs)} gradients by at most {largest_gap(pairs):.4f} of the largest")

# %% [markdown]
# From here on we use the package's class; you know what is in it. Now the real size. In `ResNet.forward` of `retinanet_lite/model/backbone.py` a comment at the end of each line says which shape to expect. Is it so?

# %%
with torch.no_grad():
    C3, C4, C5 = package(images)
print("C3", shape(C3), shape(C3) == [2, 512, 80, 104])
print("C4", shape(C4), shape(C4) == [2, 1024, 40, 52])
print("C5", shape(C5), shape(C5) == [2, 2048, 20, 26])

# %% [markdown]
# The picture got coarser, and each cell says more: 3 numbers a pixel at first, 2,048 numbers a cell in the end.
#
# ## Look
#
# These weights are random, and what comes out means nothing yet. For pictures that mean something we take a backbone that has learned: that of the small detector in notebook 00. It has one `BasicBlock` in each stage, so its grids have 128, 256 and 512 channels. Their cells are the same.

# %%
trained = Detector.pretrained("shapes").model
with torch.no_grad():
    T3, T4, T5 = trained.backbone(images)
print("C3", shape(T3), "C4", shape(T4), "C5", shape(T5))
learn.show_features(
    scenes[0].image, {"C3": T3[0], "C4": T4[0], "C5": T5[0]}, "What is left of the picture?"
)

# %% [markdown]
# Brightness is the mean absolute value over all channels of a cell. C3 draws the outlines, C4 begins to fill the objects, and on C5 nothing looks like a picture any more: the star is four cells wide. (The bright lines at the left and at the top are no objects. A filter with stride 2 reaches the zeros of the padding there, and hardly at the right and at the bottom.)
#
# The mean hides what a single channel does. Let us ask which channels of C4 answer the star: those that are larger in its cells than elsewhere. We take the mean inside its box, and divide it by the mean over the whole map.

# %%
x1, y1, x2, y2 = (scenes[0].boxes[0] / 16).round().int().tolist()  # in cells of C4
inside = T4[0, :, y1:y2, x1:x2].mean(dim=(1, 2))  # [256]
everywhere = T4[0].mean(dim=(1, 2)) + 0.01  # so that silent channels don't count
best = (inside / everywhere).topk(4).indices.tolist()
learn.show_features(
    scenes[0].image,
    {f"channel {channel}": T4[0, channel][None] for channel in best},
    "Which channels of C4 answer the star?",
    box=scenes[0].boxes[0],
)

# %% [markdown]
# None of them says "star". Each is bright at other objects, too, along their edges.
#
# ## How much does a cell see?
#
# One cell of C5 stands for 32×32 pixels. But it *sees* many more, since each convolution looks at the neighbours of the neighbours. The area that can change a cell is its **receptive field**. It can be counted. A filter of size k widens the field by (k − 1) cells of its input, and one cell of its input is as many pixels wide as all strides before it, multiplied. The first layer, 7×7, sees 7 pixels: 1 + 6 · 1. The max pool, 3×3, walks over cells that are 2 pixels wide: 7 + 2 · 2 = 11. And so on; 1×1 filters add nothing.


# %%
def layers_to(stage):
    """Kernel size and stride of each layer on the longest way from the image up to a stage."""
    layers = [(7, 2), (3, 2)]  # conv1, maxpool
    for number, blocks in zip([1, 2, 3, 4], [3, 4, 6, 3], strict=True):
        strides = [1 if number == 1 else 2] + [1] * (blocks - 1)
        layers += [(3, stride) for stride in strides]  # a bottleneck has one 3×3
        if number == stage:
            return layers


def receptive_field(layers):
    field, cell = 1, 1  # both in pixels
    for kernel, stride in layers:
        field += (kernel - 1) * cell
        cell *= stride
    return field


for name, stage in [("C3", 2), ("C4", 3), ("C5", 4)]:
    print(name, "sees", receptive_field(layers_to(stage)), "pixels in each direction")

# %% [markdown]
# Is that so? It can be measured. The gradient of one cell with respect to the image differs from zero only at pixels that can change the cell. We take the cell of C4 that holds the centre of the star, (420, 257), and let the gradient tell. (`eval()` makes batch norm use stored averages. If it took them from the batch, every pixel could change every cell.)

# %%
x = images[:1].clone().requires_grad_()
_, C4_star, _ = package.eval()(x)
row, column = 257 // 16, 420 // 16
C4_star[0, :, row, column].sum().backward()
influence = x.grad[0].abs().sum(dim=0)  # [640, 832]
print("cell", (row, column), "of C4")

# %%
seen_rows = influence.sum(dim=1).nonzero()
seen_columns = influence.sum(dim=0).nonzero()
height, width = [(seen.max() - seen.min() + 1).item() for seen in (seen_rows, seen_columns)]
print(f"measured: {height} × {width} pixels")
cell = torch.tensor([column * 16, row * 16, column * 16 + 16, row * 16 + 16])
learn.show_receptive_field(scenes[0].image, influence, cell, "What does this cell of C4 see?")

# %% [markdown]
# Its outer size is just as counted. The bright area is what the cell sees, and the small box is the 16×16 pixels that it stands for. (Some edges are a little ragged: a max pool hands its gradient only to the greatest of nine numbers, and a ReLU only to positive ones.) The cell sees all of the star, and parts of its neighbours. That is how it can know that it lies on a *star*.
#
# ### Play with it
#
# Move the cell, and choose the level. On which level can a cell see the whole height of the house, 386 pixels?

# %%
FIELDS = {"C3": (8, 91), "C4": (16, 267), "C5": (32, 427)}  # stride, receptive field


def show_field_of(level, row, column):
    stride, field = FIELDS[level]
    # strided layers look around the first pixel of their cell, so the field is centred there
    centre_x, centre_y = column * stride, row * stride
    y, x = torch.arange(640)[:, None], torch.arange(832)
    seen = ((y - centre_y).abs() <= field // 2) & ((x - centre_x).abs() <= field // 2)
    cell = torch.tensor([column, row, column + 1, row + 1]) * stride
    title = f"What does cell ({row}, {column}) of {level} see?"
    learn.show_receptive_field(scenes[0].image, seen, cell, title)


# %% tags=["nbval-ignore-output"]
learn.explore(
    show_field_of,
    level=learn.choice("level", ["C3", "C4", "C5"], "C3"),
    row=learn.slider("row", 10, 0, 19),
    column=learn.slider("column", 5, 0, 25),
)

# %%
show_field_of("C5", row=13, column=5)

# %% [markdown]
# Only C5 does, with 427 pixels. C4 sees 267.
#
# ## Exercise 1 (5 min)
#
# Which padding keeps the size? Write `padding_for(kernel)`: the padding, a whole number, with which a convolution of stride 1 gives as many places as it got. The kernel is odd: 1, 3, 5, 7 …
#
# *Hint: in the formula under "The stem", set s = 1 and let the output be n.*


# %%
def padding_for(kernel):
    # your turn
    ...


learn.check_padding_for(padding_for)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def padding_for(kernel):
#     return (kernel - 1) // 2
# ```
# </details>
#
# ## Exercise 2 (10 min)
#
# A friend replaces the 7×7 convolution of the stem by three 3×3 convolutions, the first with stride 2, the others with stride 1. Does that see as much as the 7×7 alone, 7 pixels? Write `friends_stem()`. It returns two things: the list of (kernel, stride), one pair for each of the friend's layers, and their receptive field in pixels.
#
# *Hint: `receptive_field` above takes such a list. Guess first.*


# %%
def friends_stem():
    # your turn: return layers, field
    ...


learn.check_friends_stem(friends_stem)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def friends_stem():
#     return [(3, 2), (3, 1), (3, 1)], 11
# ```
#
# It sees more: 3 + 2 · 2 + 2 · 2 = 11. The second and third layer walk over cells that are already two pixels wide.
# </details>
#
# ## To go on with
#
# Two tasks without a single right answer.
#
# 1. Change the three towers: 10, 20 and 40 blocks, another learning rate, more steps. Where does the deep one without shortcuts fall behind, and can you bring it back?
#
#    <details><summary>What to look for</summary>
#
#    Take three seeds before you believe a difference. Compare at the same number of steps, and look at the end of the curves. Does a smaller learning rate help the deep tower, and what does it cost the others?
#    </details>
#
# 2. Design another stem for small pictures, say 64×64, so that C3 has more than 8×8 cells.
#
#    <details><summary>What to look for</summary>
#
#    How far does a cell of C3 see then (`receptive_field`)? What happens to the sizes of C4 and C5, and to the time? Which of the strides did you take away, and which layers would have to learn anew if you had weights?
#    </details>
#
# ## What to remember
#
# 1. Five layers of stride 2 make cells of 2, 4, 8, 16 and 32 pixels. C3, C4 and C5 are the last three sizes: [2, 512, 80, 104], [2, 1024, 40, 52], [2, 2048, 20, 26].
# 2. A block adds to its input what should change. A bottleneck does so with fewer weights.
# 3. A cell sees far more than the pixels that it stands for: 91, 267 and 427 pixels on C3, C4 and C5.
#
# In the paper: He, Zhang, Ren and Sun, *Deep Residual Learning for Image Recognition*, 2015 (arXiv 1512.03385), §3 and figure 5. The authors' own models have the stride of a bottleneck on its first 1×1 convolution; torchvision and we put it on the 3×3.
#
# Next: [02 · The feature pyramid](02_feature_pyramid.ipynb), where C5's knowledge comes back down to C3.
