"""InstaBoost over OpenCV."""

from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS

IGNORED = 255  # in a stuff map


@TRANSFORMS.register_module()
class OpenCVInstaBoost(BaseTransform):
    """InstaBoost (arXiv 1908.07801): instances are cut out, moved a little, and pasted again.

    mmdet's class wraps a package that fails on half of COCO's images under today's numpy, and that
    can leave an image without annotations. This one is written over OpenCV. The settings are
    mmdet's, without appearance heat maps (``hflag``, off in every recipe). Masks cover what can be
    seen: what is pasted later covers what was pasted before. An instance that would lose more than
    half of its pixels stays where it was. A stuff map moves along; what was behind is ignored in
    it.

    **Required Keys:**

    - img (np.uint8), gt_bboxes, gt_masks (BitmapMasks), gt_ignore_flags; gt_seg_map (optional)

    **Modified Keys:**

    - img, gt_bboxes, gt_masks, gt_seg_map

    Args:
        prob (float): Probability per image. Defaults to 0.5.
        scale (tuple[float, float]): Range of the scale factor. Defaults to (0.8, 1.2).
        shift (float): Largest shift to each side, as a share of the width or height of the
            instance. Defaults to 1 / 15.
        angle (float): Largest rotation to each side, in degrees. Defaults to 1.
        color_prob (float): Probability per instance of a change in brightness. Defaults to 0.5.
    """

    def __init__(
        self,
        prob: float = 0.5,
        scale: tuple[float, float] = (0.8, 1.2),
        shift: float = 1 / 15,
        angle: float = 1.0,
        color_prob: float = 0.5,
    ) -> None:
        self.prob, self.scale, self.shift = prob, scale, shift
        self.angle, self.color_prob = angle, color_prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Move the instances of an image."""
        # mmdet's structures need mmcv's operators, which pre-training does without.
        from mmdet.structures.mask import BitmapMasks

        if np.random.rand() >= self.prob:
            return results
        masks = results['gt_masks'].masks.astype(np.uint8)
        ignored = results['gt_ignore_flags']
        movable = [i for i in range(len(masks)) if masks[i].any() and not ignored[i]]
        if not movable:
            return results
        before, stuff = results['img'], results.get('gt_seg_map')
        covered = masks[movable].max(0)
        image = fill_holes(before, covered)
        new, new_stuff = masks.copy(), stuff
        if stuff is not None:
            new_stuff = np.where(covered > 0, np.array(IGNORED, stuff.dtype), stuff)
        pasted: list[int] = []
        for i in sorted(movable, key=lambda i: -int(masks[i].sum())):  # small ones in front
            mask, matrix = self._move(masks[i])
            hides = any(
                2 * (new[j] & ~mask & 1).sum() < min(new[j].sum(), masks[j].sum()) for j in pasted
            )
            if 2 * mask.sum() < masks[i].sum() or hides:
                mask, matrix = masks[i], np.eye(2, 3)
            for j in pasted:
                new[j] &= 1 - mask
            new[i] = mask
            pasted.append(i)
            image = self._paste(image, before, mask, matrix)
            if stuff is not None:
                moved = cv2.warpAffine(
                    stuff, matrix, stuff.shape[::-1], flags=cv2.INTER_NEAREST, borderValue=IGNORED
                )
                new_stuff = np.where(mask > 0, moved, new_stuff)
        for i in movable:  # covered by all that came later: better as it was than empty
            if not new[i].any():
                new[i] = masks[i]
        results['img'] = image
        results['gt_masks'] = BitmapMasks(new, *new.shape[1:])
        results['gt_bboxes'] = self._boxes(results['gt_bboxes'], new, movable)
        if stuff is not None:
            results['gt_seg_map'] = new_stuff
        return results

    def _move(self, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Move a mask a little; return it with the 2x3 matrix of the motion."""
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
        centre = (float(columns[0] + columns[-1]) / 2, float(rows[0] + rows[-1]) / 2)
        angle = np.random.uniform(-self.angle, self.angle)
        matrix = cv2.getRotationMatrix2D(centre, angle, np.random.uniform(*self.scale))
        matrix[:, 2] += np.random.uniform(-self.shift, self.shift, 2) * (width, height)
        moved = cv2.warpAffine(mask, matrix, mask.shape[::-1], flags=cv2.INTER_NEAREST)
        return moved, matrix

    def _paste(
        self, image: np.ndarray, source: np.ndarray, mask: np.ndarray, matrix: np.ndarray
    ) -> np.ndarray:
        """Paste the moved source where the mask is, with a soft edge."""
        moved = cv2.warpAffine(
            source, matrix, mask.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        if np.random.rand() < self.color_prob:
            moved = np.clip(moved * np.random.uniform(0.9, 1.1), 0, 255)
        alpha = cv2.GaussianBlur(mask.astype(np.float32), (3, 3), 0)[..., None] * mask[..., None]
        return (image + alpha * (moved - image.astype(np.float32))).round().astype(np.uint8)

    @staticmethod
    def _boxes(boxes: Any, masks: np.ndarray, movable: list[int]) -> Any:
        """Boxes around the masks of instances that may have moved."""
        from mmdet.structures.bbox import HorizontalBoxes

        tensor = boxes.tensor.clone() if hasattr(boxes, 'tensor') else np.array(boxes, np.float32)
        for i in movable:
            rows, columns = np.flatnonzero(masks[i].any(1)), np.flatnonzero(masks[i].any(0))
            box = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            tensor[i] = tensor.new_tensor(box) if hasattr(tensor, 'new_tensor') else box
        return HorizontalBoxes(tensor)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(prob={self.prob}, scale={self.scale}, '
            f'shift={self.shift}, angle={self.angle})'
        )


def fill_holes(image: np.ndarray, holes: np.ndarray, side: int = 256) -> np.ndarray:
    """Fill the holes of an image from around them.

    The image is reduced for it: inpainting takes long, and most of it is covered again.

    Args:
        image (np.uint8): (H, W, 3).
        holes (np.uint8): (H, W), 1 in a hole.
        side (int): Longer side while filling, in pixels. Defaults to 256.

    Returns:
        np.uint8: (H, W, 3).
    """
    factor = min(1.0, side / max(image.shape[:2]))
    size = tuple(max(1, round(s * factor)) for s in image.shape[1::-1])
    wide = cv2.dilate(holes, np.ones((5, 5), np.uint8))  # without a rim of the instance
    small_holes = cv2.resize(wide * 255, size, interpolation=cv2.INTER_AREA) > 0
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    filled = cv2.inpaint(small, small_holes.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    filled = cv2.resize(filled, image.shape[1::-1])
    alpha = cv2.GaussianBlur(wide.astype(np.float32), (7, 7), 0)[..., None]
    alpha = np.maximum(alpha, wide[..., None])
    return (image + alpha * (filled.astype(np.float32) - image)).round().astype(np.uint8)
