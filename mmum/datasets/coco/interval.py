"""Intervals of AP over the images of a test."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.datasets.api_wrappers import COCO, COCOeval

MAX_DETECTIONS = 100  # of an image, as in COCO's AP


def ap_interval(
    truth: COCO,
    predictions: list[dict[str, Any]],
    iou_type: str,
    cat_ids: Sequence[Any],
    img_ids: Sequence[Any],
    iou_thrs: np.ndarray,
    resamples: int,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % interval of COCO's AP, by bootstrap over images.

    The images are drawn again and again, as many as there are and with replacement, and AP is taken
    of each draw.

    Args:
        truth (COCO): The annotations.
        predictions (list[dict]): Detections in COCO's format.
        iou_type (str): 'bbox' or 'segm'.
        cat_ids (Sequence): Ids of the classes.
        img_ids (Sequence): Ids of the images.
        iou_thrs (np.ndarray): IoU thresholds.
        resamples (int): Number of draws.
        seed (int): Of the draws. Defaults to 0.

    Returns:
        tuple[float, float]: Its ends, 0 to 1; NaN where no draw has objects.
    """
    if not predictions:
        return 0.0, 0.0
    if iou_type == 'segm':  # pycocotools would take areas of boxes
        predictions = [{k: v for k, v in one.items() if k != 'bbox'} for one in predictions]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(predictions), iou_type)
        evaluation.params.catIds, evaluation.params.imgIds = list(cat_ids), list(img_ids)
        evaluation.params.iouThrs, evaluation.params.maxDets = iou_thrs, [MAX_DETECTIONS]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ['all']
        evaluation.evaluate()
        matched = np.array(evaluation.evalImgs, object).reshape(len(evaluation.params.catIds), -1)
        images = np.array(evaluation.params.imgIds, object)
        random, found = np.random.default_rng(seed), []
        for _ in range(resamples):
            drawn = random.integers(len(images), size=len(images))
            evaluation.evalImgs = matched[:, drawn].ravel().tolist()
            evaluation._paramsEval.imgIds = images[drawn].tolist()
            evaluation.params.imgIds = evaluation._paramsEval.imgIds
            evaluation.accumulate()
            precision = evaluation.eval['precision']
            if (precision > -1).any():
                found.append(precision[precision > -1].mean())
    if not found:
        return float('nan'), float('nan')
    return float(np.percentile(found, 2.5)), float(np.percentile(found, 97.5))
