"""Checks for the notebooks' exercises: each says what is wrong with an answer, or "right"."""

from .detection_and_ap import (
    check_area,
    check_count_kept,
    check_decode_box,
    check_match_voc,
    check_nms,
    check_precision_and_recall,
)
from .network import (
    check_anchor_shape,
    check_best_level,
    check_count_cells,
    check_describe,
    check_edges,
    check_friends_stem,
    check_merge,
    check_padding_for,
    check_row_of,
    check_to_grid,
)
from .targets_and_loss import (
    check_focal,
    check_iou,
    check_prior_bias,
    check_split_levels,
    check_targets,
)
from .training_and_data import check_clip, check_from_coco, check_learning_rate, check_to_labels

__all__ = [
    "check_anchor_shape",
    "check_area",
    "check_best_level",
    "check_clip",
    "check_count_cells",
    "check_count_kept",
    "check_decode_box",
    "check_describe",
    "check_edges",
    "check_focal",
    "check_friends_stem",
    "check_from_coco",
    "check_iou",
    "check_learning_rate",
    "check_match_voc",
    "check_merge",
    "check_nms",
    "check_padding_for",
    "check_precision_and_recall",
    "check_prior_bias",
    "check_row_of",
    "check_split_levels",
    "check_targets",
    "check_to_grid",
    "check_to_labels",
]
