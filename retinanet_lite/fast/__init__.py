"""Speed: quicker forms of the model's parts, each in a file of the plain form's name.

exchange           `quicken` puts them in, `unquicken` takes them out
quick_anchors      those of a size are computed once
quick_matching     all images of a batch, eight objects at a time
quick_losses       the focal loss over all logits once, in little memory
quick_batch_norm   frozen, it keeps one number a channel for the way back
quick_convolution  the gradient of its weights, on processors where PyTorch's is slow
quick_detection    a level's best rows only; all images together on a GPU, and for export
inference_copy     `for_inference`: a copy with batch norm folded into the convolutions

Nothing else of the package knows these forms; each has a test that holds it to the plain one.
"""

from .exchange import quicken, unquicken
from .inference_copy import for_inference

__all__ = ["for_inference", "quicken", "unquicken"]
