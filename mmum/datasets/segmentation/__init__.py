"""Label maps of semantic segmentation: one reading for training, testing and checking."""

from mmum.environment import can_segment

__all__: list[str] = []
if can_segment():  # pre-training and detection do without
    from .dataset import (  # noqa: F401
        CheckedADE20KDataset,
        CheckedSegDataset,
        LoadSegMapStrict,
    )

    __all__ += ['CheckedADE20KDataset', 'CheckedSegDataset', 'LoadSegMapStrict']
