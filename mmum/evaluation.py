"""Reconstruction loss on held-out images."""

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS


@METRICS.register_module()
class ReconstructionMetric(BaseMetric):
    """Mean reconstruction loss over images: ``reconstruction/loss``, the training loss on tests."""

    default_prefix = 'reconstruction'

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Collect the loss of every image."""
        self.results.extend(float(sample['reconstruction_loss']) for sample in data_samples)

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        """Average the losses."""
        return dict(loss=sum(results) / len(results))
