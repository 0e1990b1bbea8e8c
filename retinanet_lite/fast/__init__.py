"""Speed: the model's parts in quicker forms, one file a part. `exchange.py` puts them in.

Nothing else of the package knows these forms; each has a test that holds it to the plain one.
"""

from .exchange import quicken, unquicken
from .inference_copy import for_inference

__all__ = ["for_inference", "quicken", "unquicken"]
