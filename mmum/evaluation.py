"""Reconstruction loss on held-out images."""

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

# Metric -> what the field of a data sample begins with.
FIELDS = dict(loss='reconstruction', mean_colour='mean_colour', interpolation='interpolation')


@METRICS.register_module()
class ReconstructionMetric(BaseMetric):
    """Mean reconstruction loss over images, ``reconstruction/loss``: the training loss on tests.

    Beside it are the scores of answers that need no learning, ``reconstruction/mean_colour`` and
    ``reconstruction/interpolation`` (:mod:`mmum.models.trivial`).
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
