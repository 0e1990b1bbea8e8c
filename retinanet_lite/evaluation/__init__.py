"""How good a detector is: average precision, kinds of errors, and how well anchors fit."""
