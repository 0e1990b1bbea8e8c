"""What `pytest --nbval notebooks/` needs to know, so that the plain command is enough."""

import os
import tempfile


def pytest_configure(config):
    config.option.nbval_current_env = True  # the kernel of the Python that runs pytest
    config.option.nbval_cell_timeout = (
        1200  # seconds, for busy machines too; else a dead kernel hangs 2000
    )
    # threads that wait actively can make a training many times slower where a core is taken
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # the stored outputs are those of open blanks, whatever the reader has built
    os.environ["RETINANET_LITE_MINE"] = tempfile.mkdtemp()
    os.environ.pop("MPLBACKEND", None)  # with "Agg" no figure would come out
