"""Send pictures of detections to the visualisation backends while a detector is validated."""

from collections.abc import Sequence
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmum.engine.pictures import harmless, image_to_draw_on


@HOOKS.register_module()
class DetectionPicturesHook(Hook):
    """Draw truth and detections, always of the same images, in every validation.

    mmdet's ``DetVisualizationHook`` draws every so many steps, counted through the whole training:
    of a small validation set often none, and each time others.

    Args:
        max_images (int): Number of pictures, one of each of the first batches. Defaults to 4.
        score_thr (float): Lowest score of detections that are drawn. Defaults to 0.3.
    """

    def __init__(self, max_images: int = 4, score_thr: float = 0.3) -> None:
        self.max_images, self.score_thr = max_images, score_thr

    @master_only
    def after_val_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Draw the first image of a batch."""
        if batch_idx >= self.max_images or not outputs:
            return
        with harmless('detections of the validation'):
            runner.visualizer.add_datasample(
                f'detections_{batch_idx}',
                image_to_draw_on(outputs[0], data_batch['inputs'][0]),
                data_sample=outputs[0],
                pred_score_thr=self.score_thr,
                step=runner.iter,
            )
