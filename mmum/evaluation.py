"""Metrics of pre-training, and the file of a segmentation's predictions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric, DumpResults
from mmengine.registry import METRICS

# Metric -> what the field of a data sample begins with.
FIELDS = dict(
    loss='reconstruction',
    mean_colour='mean_colour',
    interpolation='interpolation',
    own_colour='own_colour',
)


@METRICS.register_module()
class ReconstructionMetric(BaseMetric):
    """Mean reconstruction loss over images, ``reconstruction/loss``: the training loss on tests.

    Beside it are the scores of answers that need no learning, ``reconstruction/mean_colour``,
    ``reconstruction/interpolation`` and ``reconstruction/own_colour`` (:mod:`mmum.models.trivial`).
    """

    default_prefix = 'reconstruction'

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Collect the loss of every image."""
        self.results.extend(
            {name: float(sample[f'{key}_loss']) for name, key in FIELDS.items()}
            for sample in data_samples
        )

    def compute_metrics(self, results: list[dict[str, float]]) -> dict[str, float]:
        """Average the losses."""
        return {name: sum(r[name] for r in results) / len(results) for name in FIELDS}


class DumpSegmentations(DumpResults):
    """mmengine's ``DumpResults`` with the label maps of a segmentation alone.

    An image is ``dict(img_path=..., labels=...)`` with labels (H, W) in uint8. Its scores would be
    some 200 MB of ADE20K's 150 classes.
    """

    def process(self, data_batch: Any, predictions: Sequence[dict[str, Any]]) -> None:
        """Collect the label map of every image."""
        for sample in predictions:
            labels = sample['pred_sem_seg']['data'][0].cpu().numpy().astype(np.uint8)
            self.results.append(dict(img_path=sample['img_path'], labels=labels))
