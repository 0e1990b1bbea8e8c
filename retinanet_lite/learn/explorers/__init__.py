"""Explorers for the notebooks: each idea with sliders, drawn anew at every change.

Each has a plain function beside it that draws the same figure once, for a page that does not run.
"""

from .anchors_and_deltas import (
    explore_anchors,
    explore_deltas,
    explore_matching,
    show_anchors_at,
    show_deltas,
    show_matching_of,
)
from .focal_loss_shares import bin_by_logit, explore_focal_loss, show_focal_loss
from .pyramid_cells import explore_pyramid, show_pyramid_at
from .stages_and_curve import CurveWalk, explore_detection, show_stages_of_detection
from .widget import choice, explore, slider

__all__ = [
    "CurveWalk",
    "choice",
    "explore",
    "explore_anchors",
    "explore_deltas",
    "explore_detection",
    "explore_focal_loss",
    "explore_matching",
    "explore_pyramid",
    "bin_by_logit",
    "show_anchors_at",
    "show_deltas",
    "show_focal_loss",
    "show_matching_of",
    "show_pyramid_at",
    "show_stages_of_detection",
    "slider",
]
