"""How well removed units are predicted on held-out images."""
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS


@METRICS.register_module()
class ReconstructionMetric(BaseMetric):
    """Mean reconstruction loss over images: ``reconstruction/loss``, the training loss on the test set."""
    default_prefix = 'reconstruction'

    def process(self, data_batch, data_samples):
        self.results.extend(float(sample['reconstruction_loss']) for sample in data_samples)

    def compute_metrics(self, results):
        return dict(loss=sum(results) / len(results))
