"""InstaBoost over OpenCV."""
import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.registry import TRANSFORMS

IGNORED = 255  # of a stuff map


@TRANSFORMS.register_module()
class OpenCVInstaBoost(BaseTransform):
    """InstaBoost (arXiv 1908.07801): instances are cut out, moved a little, scaled and turned, and pasted where they were.

    mmdet's own wraps a package that fails on half of COCO's images under today's numpy, and can leave an image without
    annotations. This one is written over OpenCV. The settings are mmdet's; appearance heat maps (``hflag``, off in every
    recipe) are not there. Masks are those of what can be seen: what is pasted later covers what was pasted before. An instance
    that would lose more than half of its pixels stays where it was. A stuff map moves along; what was behind is ignored in it.

    **Required Keys:**

    - img (np.uint8), gt_bboxes, gt_masks (BitmapMasks), gt_ignore_flags; gt_seg_map (optional)

    **Modified Keys:**

    - img, gt_bboxes, gt_masks, gt_seg_map

    Args:
        prob (float): Of an image. Defaults to 0.5.
        scale (tuple[float, float]): Range of the factor. Defaults to (0.8, 1.2).
        shift (float): Largest shift to each side, as a share of the width or height of the instance. Defaults to 1 / 15.
        angle (float): Largest turn to each side, in degrees. Defaults to 1.
        color_prob (float): Of an instance, to change in brightness. Defaults to 0.5.
    """

    def __init__(self, prob=0.5, scale=(0.8, 1.2), shift=1 / 15, angle=1., color_prob=0.5):
        self.prob, self.scale, self.shift, self.angle, self.color_prob = prob, scale, shift, angle, color_prob

    def transform(self, results):
        if np.random.rand() >= self.prob:
            return results
        masks = results['gt_masks'].masks.astype(np.uint8)
        movable = [i for i in range(len(masks)) if masks[i].any() and not results['gt_ignore_flags'][i]]
        if not movable:
            return results
        before, stuff = results['img'], results.get('gt_seg_map')
        image = fill_holes(before, masks[movable].max(0))
        new, new_stuff = masks.copy(), stuff
        if stuff is not None:
            new_stuff = np.where(masks[movable].max(0) > 0, np.array(IGNORED, stuff.dtype), stuff)
        pasted = []
        for i in sorted(movable, key=lambda i: -int(masks[i].sum())):  # small ones in front
            mask, matrix = self._move(masks[i])
            earlier = [j for j in pasted if 2 * (new[j] & ~mask & 1).sum() < min(new[j].sum(), masks[j].sum())]
            if 2 * mask.sum() < masks[i].sum() or earlier:
                mask, matrix = masks[i], np.eye(2, 3)
            for j in pasted:
                new[j] &= 1 - mask
            new[i] = mask
            pasted.append(i)
            image = self._paste(image, before, mask, matrix)
            if stuff is not None:
                size = stuff.shape[::-1]
                moved = cv2.warpAffine(stuff, matrix, size, flags=cv2.INTER_NEAREST, borderValue=IGNORED)
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

    def _move(self, mask):
        """A mask somewhere near, and the 2x3 matrix that moves it there."""
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
        centre = (float(columns[0] + columns[-1]) / 2, float(rows[0] + rows[-1]) / 2)
        matrix = cv2.getRotationMatrix2D(centre, np.random.uniform(-self.angle, self.angle), np.random.uniform(*self.scale))
        matrix[:, 2] += np.random.uniform(-self.shift, self.shift, 2) * (width, height)
        return cv2.warpAffine(mask, matrix, mask.shape[::-1], flags=cv2.INTER_NEAREST), matrix

    def _paste(self, image, source, mask, matrix):
        """The image with what is under a mask taken from the moved source; soft at the edge."""
        moved = cv2.warpAffine(source, matrix, mask.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        if np.random.rand() < self.color_prob:
            moved = np.clip(moved * np.random.uniform(0.9, 1.1), 0, 255)
        alpha = cv2.GaussianBlur(mask.astype(np.float32), (3, 3), 0)[..., None] * mask[..., None]
        return (image + alpha * (moved - image.astype(np.float32))).round().astype(np.uint8)

    @staticmethod
    def _boxes(boxes, masks, movable):
        """Boxes around the masks of instances that may have moved."""
        tensor = boxes.tensor.clone() if hasattr(boxes, 'tensor') else np.array(boxes, np.float32)
        for i in movable:
            rows, columns = np.flatnonzero(masks[i].any(1)), np.flatnonzero(masks[i].any(0))
            box = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            tensor[i] = tensor.new_tensor(box) if hasattr(tensor, 'new_tensor') else box
        return HorizontalBoxes(tensor)

    def __repr__(self):
        return f'{type(self).__name__}(prob={self.prob}, scale={self.scale}, shift={self.shift}, angle={self.angle})'


def fill_holes(image, holes, side=256):
    """An image whose holes are filled from around them, at a small size: inpainting takes long, and most is covered again.

    Args:
        image (np.uint8): (H, W, 3).
        holes (np.uint8): (H, W), 1 in a hole.
        side (int): The longer side while filling. Defaults to 256.
    """
    factor = min(1., side / max(image.shape[:2]))
    size = tuple(max(1, round(s * factor)) for s in image.shape[1::-1])
    wide = cv2.dilate(holes, np.ones((5, 5), np.uint8))  # without a rim of the instance
    small_holes = (cv2.resize(wide * 255, size, interpolation=cv2.INTER_AREA) > 0).astype(np.uint8)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    filled = cv2.resize(cv2.inpaint(small, small_holes, 3, cv2.INPAINT_TELEA), image.shape[1::-1])
    alpha = cv2.GaussianBlur(wide.astype(np.float32), (7, 7), 0)[..., None]
    alpha = np.maximum(alpha, wide[..., None])
    return (image + alpha * (filled.astype(np.float32) - image)).round().astype(np.uint8)
