"""Pictures of detections while a detector is validated."""

from typing import Any

from mmengine.registry import HOOKS

from mmum.engine.pictures import PicturesHook


@HOOKS.register_module()
class DetectionPicturesHook(PicturesHook):
    """Draw truth and detections, always of the same images, in every validation.

    Args:
        max_images (int): Number of pictures, one of each of the first batches. Defaults to 4.
        score_thr (float): Lowest score of detections that are drawn. Defaults to 0.3.
    """

    what = 'detections'

    def __init__(self, max_images: int = 4, score_thr: float = 0.3) -> None:
        super().__init__(max_images)
        self.score_thr = score_thr

    def draw(self, *args: Any, **kwargs: Any) -> None:
        """Draw an image with the detections of that score and more."""
        super().draw(*args, pred_score_thr=self.score_thr, **kwargs)
