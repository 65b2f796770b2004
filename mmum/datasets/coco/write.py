"""Write annotations in COCO's format."""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask


def annotation_of(mask: np.ndarray, category_id: int = 1) -> dict[str, Any]:
    """Annotation of an instance, without the ids of itself and of its image.

    Args:
        mask (np.ndarray): bool (H, W), its visible pixels, at least one.
        category_id (int): Its category. Defaults to 1.
    """
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return dict(
        category_id=category_id,
        iscrowd=0,
        area=int(mask.sum()),
        bbox=[float(side) for side in coco_mask.toBbox(rle)],
        segmentation=dict(size=list(mask.shape), counts=rle['counts'].decode()),
    )


def subset(coco: dict[str, Any], images: list[dict[str, Any]]) -> dict[str, Any]:
    """Part of an annotation file, in its order.

    Args:
        coco (dict): The file.
        images (list[dict]): Those of its images that are wanted.
    """
    ids = {image['id'] for image in images}
    return dict(
        coco,
        images=[image for image in coco['images'] if image['id'] in ids],
        annotations=[one for one in coco['annotations'] if one['image_id'] in ids],
    )
