"""Pictures of detections, while a detector is validated and tested."""

import copy
from typing import Any

import cv2
import numpy as np
from mmengine.registry import HOOKS
from torch import Tensor

from mmum.engine.pictures import PicturesHook

MIN_SIDE = 480  # of a picture: mmdet's labels would hide the objects of a smaller one


@HOOKS.register_module()
class DetectionPicturesHook(PicturesHook):
    """Draw truth and detections: of the same images in every validation, and of all in a test.

    Args:
        max_images (int): Number of pictures of a validation, one of each of the first batches.
            Defaults to 4.
        score_thr (float): Lowest score of detections that are drawn. Defaults to 0.3.
        show_dir (str, optional): Folder for the pictures of a test. Defaults to None: none.
        show (bool): Whether to show those of a test in a window. Defaults to False.
    """

    what = 'detections'

    def __init__(
        self,
        max_images: int = 4,
        score_thr: float = 0.3,
        show_dir: str | None = None,
        show: bool = False,
    ) -> None:
        super().__init__(max_images, show_dir, show)
        self.score_thr = score_thr

    def prepare(self, image: np.ndarray, sample: Any) -> tuple[np.ndarray, Any]:
        """Enlarge a small image, with its boxes and masks."""
        return enlarge(image, sample, -(-MIN_SIDE // min(image.shape[:2])))

    def draw(self, *args: Any, **kwargs: Any) -> None:
        """Draw an image with the detections of that score and more."""
        super().draw(*args, pred_score_thr=self.score_thr, **kwargs)


def enlarge(image: np.ndarray, sample: Any, times: int) -> tuple[np.ndarray, Any]:
    """Enlarge an image and a copy of its data sample.

    Args:
        image (np.ndarray): uint8 (H, W, 3).
        sample (DetDataSample): Truth and detections, in the pixels of the image.
        times (int): Whole number; at 1 both are given back as they are.

    Returns:
        tuple[np.ndarray, DetDataSample]: The image (times * H, times * W, 3), and the data sample.
    """
    if times <= 1:
        return image, sample
    sample = copy.deepcopy(sample.cpu())
    height, width = (times * side for side in image.shape[:2])
    for name in ('gt_instances', 'pred_instances'):
        instances = sample.get(name)
        if instances is None:
            continue
        if 'bboxes' in instances:
            instances.bboxes = times * instances.bboxes
        if 'masks' in instances:
            masks = instances.masks
            if isinstance(masks, Tensor):
                masks = masks.repeat_interleave(times, 1).repeat_interleave(times, 2)
            else:  # mmdet's
                masks = masks.resize((height, width))
            instances.masks = masks
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC), sample
