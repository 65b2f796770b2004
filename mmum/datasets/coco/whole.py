"""Signs that all boxes of an annotation file are meant in another way."""

from collections.abc import Sequence
from typing import Any

import numpy as np

MOST = 0.5  # share of boxes that leave their image
SOME = 0.2  # the same, where all of them make sense as corners
OBJECTS = 8  # fewer say nothing


def whole_file_faults(pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> list[str]:
    """Look for files whose boxes are all of another kind, or that hold no object.

    Args:
        pairs (Sequence[tuple[dict, dict]]): Every annotation with its image, both cleaned.

    Returns:
        list[str]: Kinds of ``mmum.datasets.coco.clean.KINDS``.
    """
    if pairs and all(annotation.get('iscrowd') for annotation, _ in pairs):
        return ['nothing but crowds, so there is no object to learn or to compare with']
    complete = [
        (annotation['bbox'], image['width'], image['height'])
        for annotation, image in pairs
        if isinstance(annotation.get('bbox'), list)
        and len(annotation['bbox']) == 4
        and isinstance(image.get('width'), int)
        and isinstance(image.get('height'), int)
    ]
    if not complete:
        return []
    boxes = np.array([box for box, _, _ in complete], float)
    size = np.array([(width, height) for _, width, height in complete], float)
    if (np.abs(boxes) <= 1).all() and (size > 4).all():
        return ['boxes that seem to be shares of the image in place of pixels']
    if len(boxes) < OBJECTS:
        return []
    out = ((boxes[:, :2] + boxes[:, 2:] > size + 1) | (boxes[:, :2] < -1)).any(1).mean()
    corners = (boxes[:, 2:] > boxes[:, :2]).all() and (boxes[:, 2:] <= size + 1).all()
    if corners and out > SOME:
        return ['boxes that seem to be x1, y1, x2, y2 in place of x, y, width, height']
    return ['boxes of which most leave their image'] if out > MOST else []
