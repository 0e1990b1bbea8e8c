"""The command line: `retinanet-lite train`, `evaluate`, `detect`, `anchors`, `trace`."""

import argparse
import os
import sys
import warnings

from . import detect, evaluate, show_anchors, show_trace, train

COMMANDS = {
    "train": (train, "train a detector, or go on with a training"),
    "evaluate": (evaluate, "measure a detector on a data set"),
    "detect": (detect, "find the objects in images"),
    "anchors": (show_anchors, "how well the anchors fit the objects, before training"),
    "trace": (show_trace, "the shape of every tensor"),
}


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Tells the default of an argument, where it has one."""

    def _get_help_string(self, action: argparse.Action) -> str:
        if action.default in (None, False) or "default" in action.help:
            return action.help
        return super()._get_help_string(action)


def main(arguments: list[str] | None = None) -> int:
    """Run a command. Returns 0, or 1 for an error, which is told in a line; misuse exits with 2."""
    options = make_parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda text, *_: print(f"warning: {text}", file=sys.stderr)
            options.run(options)
    except BrokenPipeError:  # whoever read what is printed, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"retinanet-lite {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on with a training", file=sys.stderr)
        return 130
    return 0


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="retinanet-lite",
        description="Train, measure and use a RetinaNet. Every command runs without an argument, "
        "on drawn scenes; COMMAND --help says what it takes.",
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, (command, summary) in COMMANDS.items():
        sub = subparsers.add_parser(
            name, help=summary, description=command.run.__doc__, formatter_class=HelpFormatter
        )
        command.add_options(sub)
        sub.set_defaults(run=command.run)
    return parser
