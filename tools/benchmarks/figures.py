"""Figures of the documentation."""

import cv2
import numpy as np
import torch

from mmum.masking import gather_units, sample_mask_map
from mmum.visualization import mask_picture


def method_picture(side=192, seed=5):
    """Draw the idea: an image with its cells, its mask map, and the compact image.

    Args:
        side (int): Side of the image in pixels, a multiple of 64. Defaults to 192.
        seed (int): Of the mask map. Defaults to 5.

    Returns:
        np.ndarray: uint8 RGB.
    """
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    image = np.stack([80 + 150 * x, 210 - 120 * y, 120 + 90 * (x + y) / 2], -1).astype(
        np.uint8
    )  # sky
    cv2.circle(
        image, (int(0.7 * side), int(0.3 * side)), side // 6, (255, 226, 110), -1, cv2.LINE_AA
    )
    hills = (
        np.array([[0, 1], [0, 0.75], [0.25, 0.5], [0.45, 0.72], [0.7, 0.58], [1, 0.8], [1, 1]])
        * side
    )
    cv2.fillPoly(image, [hills.astype(np.int32)], (58, 110, 90), cv2.LINE_AA)

    mask = sample_mask_map((side // 16, side // 16), random=np.random.RandomState(seed))
    sampled = mask_picture(image, mask)
    tensor, where = (
        torch.from_numpy(np.ascontiguousarray(sampled)).permute(2, 0, 1)[None],
        torch.from_numpy(mask)[None],
    )
    compact = gather_units(tensor, where)[0].permute(1, 2, 0).numpy()

    panels = []
    for panel, step in ((image, 32), (sampled, 32), (compact, 16)):
        panel = np.ascontiguousarray(np.pad(panel, ((0, 1), (0, 1), (0, 0)), mode='edge'))
        panel[::step] = panel[:, ::step] = 60  # the borders of cells
        above = (side + 1 - len(panel)) // 2
        panels.append(
            np.pad(
                panel, ((above, side + 1 - len(panel) - above), (0, 0), (0, 0)), constant_values=255
            )
        )
    gap = np.full((side + 1, 32, 3), 255, np.uint8)
    cv2.arrowedLine(
        gap, (6, side // 2), (26, side // 2), (60, 60, 60), 2, cv2.LINE_AA, tipLength=0.4
    )
    row = np.concatenate([panels[0], gap, panels[1], gap, panels[2]], 1)
    return np.pad(row, ((8, 8), (8, 8), (0, 0)), constant_values=255).repeat(2, 0).repeat(2, 1)
