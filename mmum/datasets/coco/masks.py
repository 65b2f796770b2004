"""Segmentations as exporters write them: polygons and run lengths."""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from mmum.datasets.coco.values import number_of


def clean_mask(mask: Any, height: int, width: int) -> tuple[Any, list[str]]:
    """Clean a segmentation.

    Args:
        mask (list | dict): Polygons, or run lengths.
        height (int): Of its image.
        width (int): Of its image.

    Returns:
        tuple: The segmentation to use, or None, and the kinds of findings.
    """
    if isinstance(mask, dict):
        return _clean_run_lengths(mask, height, width)
    if not isinstance(mask, list):
        return None, ['segmentation that is neither polygons nor run lengths']
    kinds = []
    if all(isinstance(number, (int, float)) for number in mask):
        kinds.append('polygon that is not in a list of polygons')
        mask = [mask]
    if not all(
        isinstance(polygon, list) and all(number_of(number) is not None for number in polygon)
        for polygon in mask
    ):
        return None, ['segmentation that is neither polygons nor run lengths']
    polygons = [[float(number) for number in polygon] for polygon in mask]
    if any(len(polygon) % 2 for polygon in polygons):
        return None, ['polygon of an odd number of coordinates']
    whole = [polygon for polygon in polygons if len(polygon) >= 6]
    if len(whole) < len(polygons):
        kinds.append('polygon of fewer than three points')
    if not whole or (_is_thin(whole, height, width) and not _pixels(whole, height, width)):
        return None, [*kinds, 'mask without a pixel']
    return whole, kinds


def _is_thin(polygons: list[list[float]], height: int, width: int) -> bool:
    """Whether polygons are so small, or so far outside, that they may cover no pixel."""
    area = 0.0
    for polygon in polygons:
        x, y = np.array(polygon).reshape(-1, 2).T
        x, y = x.clip(0, width), y.clip(0, height)
        area += abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2
    return area < 16


def _pixels(mask: Any, height: int, width: int) -> int:
    return int(coco_mask.area(run_lengths(mask, height, width)))


def run_lengths(mask: Any, height: int, width: int) -> Any:
    """The run lengths of a clean segmentation."""
    if isinstance(mask, list):
        return coco_mask.merge(coco_mask.frPyObjects(mask, height, width))
    if isinstance(mask['counts'], list):
        return coco_mask.frPyObjects(mask, height, width)
    return mask


def _clean_run_lengths(mask: dict[str, Any], height: int, width: int) -> tuple[Any, list[str]]:
    wrong = 'segmentation that is neither polygons nor run lengths'
    counts, size = mask.get('counts'), mask.get('size')
    sides = [number_of(side) for side in size] if isinstance(size, (list, tuple)) else []
    if len(sides) != 2 or None in sides or not isinstance(counts, (list, str, bytes)):
        return None, [wrong]
    if sides != [height, width]:
        return None, ['mask of another size than its image']
    kept = dict(size=[height, width], counts=counts)
    if isinstance(counts, list):
        if not all(isinstance(run, int) and run >= 0 for run in counts):
            return None, [wrong]
        covered = sum(counts)
    else:
        covered = sum(_decoded_runs(counts))
    if covered != height * width:
        return None, ['mask of another size than its image']
    return (kept, []) if _pixels(kept, height, width) else (None, ['mask without a pixel'])


def _decoded_runs(counts: str | bytes) -> list[int]:
    """The run lengths of COCO's compressed form, which pycocotools does not check."""
    data = counts.encode() if isinstance(counts, str) else counts
    runs: list[int] = []
    value, shift = 0, 0
    for byte in data:
        chunk = byte - 48
        value |= (chunk & 0x1F) << shift
        shift += 5
        if not chunk & 0x20:
            if chunk & 0x10:
                value |= -1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value, shift = 0, 0
    return runs
