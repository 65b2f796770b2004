"""Answers that need no learning: a pre-training that is not better than they are learns nothing.

Two of them fill the removed units of an image from the visible ones. Their scores are those of the
training loss: with ``norm_pix`` every filled unit is normalised like its target, by its own mean
and deviation, so that of a unit of one colour the differences between its channels count.

The third knows the truth: every removed unit in its own colour. Whatever scores better predicts
structure.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmum.masking import VISIBLE, unit_images, unit_patches
from mmum.models.um_head import UMHead

MAX_NUMBERS = 2**24  # distances at a time


def mean_colour(images: Tensor, mask: Tensor, unit: int = 16) -> Tensor:
    """Fill images with the mean colour of their visible units.

    Args:
        images (Tensor): Images (N, C, H, W).
        mask (Tensor): Mask map (N, H / unit, W / unit); see :mod:`mmum.masking`.
        unit (int): Side of a mask unit in pixels. Defaults to 16.

    Returns:
        Tensor: (N, C, H, W).
    """
    colours, visible = _unit_colours(images, mask, unit)
    mean = (colours * visible).sum(1) / visible.sum(1)
    return mean[:, :, None, None].expand_as(images)


def interpolation(images: Tensor, mask: Tensor, unit: int = 16) -> Tensor:
    """Fill images with the mean colours of visible units, weighted by the inverse square of the
    distance from a pixel to their centres.

    Args:
        images (Tensor): Images (N, C, H, W).
        mask (Tensor): Mask map (N, H / unit, W / unit).
        unit (int): Side of a mask unit in pixels. Defaults to 16.

    Returns:
        Tensor: (N, C, H, W).
    """
    colours, visible = _unit_colours(images, mask, unit)
    grid = (mask.shape[1], mask.shape[2])
    seen = torch.cat([colours * visible, visible], -1)  # (N, units, C + 1)
    pixels, centres = _places(grid, unit, images.device)
    number = max(1, MAX_NUMBERS // (pixels.shape[1] * len(centres)))  # of units at a time
    parts = []
    for part in pixels.split(number):  # (units, pixels of a unit, 2)
        distance = (part[:, :, None] - centres).square().sum(-1)
        parts.append((1 / distance.clamp(min=1e-6)).flatten(0, 1) @ seen)
    filled = torch.cat(parts, 1)  # (N, units * pixels, C + 1)
    filled = (filled[..., :-1] / filled[..., -1:]).view(len(images), len(pixels), -1)
    return unit_images(filled, grid, unit)


def own_colour(target: Tensor, channels: int) -> Tensor:
    """Fill units with the single colour that is nearest to their target: its own mean.

    Args:
        target (Tensor): Targets of units (N, K, pixels * channels), normalised or not.
        channels (int): Number of channels.

    Returns:
        Tensor: Predictions (N, K, pixels * channels), of all that are one colour per unit those of
        the lowest loss.
    """
    pixels = target.unflatten(-1, (-1, channels))
    return pixels.mean(-2, keepdim=True).expand_as(pixels).flatten(-2)


def trivial_losses(head: UMHead, images: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Score the answers as the loss scores a model.

    Args:
        head (UMHead): The loss.
        images (Tensor): Preprocessed images (N, C, H, W).
        mask (Tensor): Mask map.

    Returns:
        dict[str, Tensor]: ``mean_colour``, ``interpolation`` and ``own_colour``, the loss of every
        image, (N, ).
    """
    images = images.float()
    target = head.target(images, mask)
    answers = dict(
        mean_colour=head.target(mean_colour(images, mask, head.patch_size), mask),
        interpolation=head.target(interpolation(images, mask, head.patch_size), mask),
        own_colour=own_colour(target, images.shape[1]),
    )
    return {name: (pred - target).square().mean((1, 2)) for name, pred in answers.items()}


def _unit_colours(images: Tensor, mask: Tensor, unit: int) -> tuple[Tensor, Tensor]:
    """Mean colour of every unit (N, units, C), and whether it is visible (N, units, 1)."""
    colours = F.avg_pool2d(images.float(), unit).flatten(2).transpose(1, 2)
    return colours, (mask.flatten(1) == VISIBLE).float()[..., None]


def _places(grid: tuple[int, int], unit: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Places of the pixels of every unit (units, pixels, 2), and of the centres (units, 2)."""
    rows, columns = (torch.arange(side * unit, device=device) + 0.5 for side in grid)
    places = torch.stack(torch.meshgrid(rows, columns, indexing='ij'))[None] / unit
    pixels = unit_patches(places, unit).unflatten(2, (-1, 2))[0]
    centres = torch.cartesian_prod(*(torch.arange(side, device=device) + 0.5 for side in grid))
    return pixels, centres
