"""Annotation files of COCO: one reading for training, testing and checking."""

from mmum.environment import can_detect

__all__ = []
if can_detect():  # pre-training does without
    from .dataset import CheckedCocoDataset, CheckedCocoMetric  # noqa: F401

    __all__ += ['CheckedCocoDataset', 'CheckedCocoMetric']
