"""Checks for the notebooks' exercises: each says what is wrong with an answer, or "right"."""

from .losses import check_focal, check_iou, check_prior_bias, check_split_levels, check_targets
from .network import (
    check_anchor_shape,
    check_count_anchors,
    check_count_cells,
    check_describe,
    check_edges,
    check_friends_stem,
    check_merge,
    check_padding_for,
    check_row_of,
    check_to_grid,
)

__all__ = [
    "check_anchor_shape",
    "check_count_anchors",
    "check_count_cells",
    "check_describe",
    "check_edges",
    "check_focal",
    "check_friends_stem",
    "check_iou",
    "check_merge",
    "check_padding_for",
    "check_prior_bias",
    "check_row_of",
    "check_split_levels",
    "check_targets",
    "check_to_grid",
]
