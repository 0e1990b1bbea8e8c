"""The command line as a module: `python -m retinanet_lite`, `torchrun … -m retinanet_lite`."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
