"""The loss: mean squared error over the pixels of the removed units."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

from mmum.masking import removed_units, unit_patches

# Added to the variance of a unit, as in MAE.
EPS = 1e-6


@MODELS.register_module()
class UMHead(BaseModule):
    """Reconstruction loss of UM-MAE: over removed units only; secondary units carry none.

    Args:
        patch_size (int): Side of the predicted units in pixels. Defaults to 16.
        norm_pix (bool): Whether to normalise the target of every unit by its own mean and unbiased
            variance (+ 1e-6). Defaults to True.
    """

    def __init__(self, patch_size: int = 16, norm_pix: bool = True) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.norm_pix = norm_pix

    def removed_pixels(self, images: Tensor, mask: Tensor, units: Tensor | None = None) -> Tensor:
        """Pixels of removed units, float32 (N, K, pixels), in the order of a decoder's output.

        Args:
            images (Tensor): Images (N, C, H, W).
            mask (Tensor): Mask map (N, H/16, W/16).
            units (Tensor, optional): The units, by their unit raster indices (N, K). Defaults to
                None: all removed ones.
        """
        patches = unit_patches(images.float(), self.patch_size)
        index = (removed_units(mask) if units is None else units)[..., None]
        return patches.gather(1, index.expand(-1, -1, patches.shape[2]))

    def target(self, images: Tensor, mask: Tensor, units: Tensor | None = None) -> Tensor:
        """Target of the prediction: :meth:`removed_pixels`, normalised with ``norm_pix``."""
        pixels = self.removed_pixels(images, mask, units)
        if not self.norm_pix:
            return pixels
        # (u - mean) / (n / (n - 1) * var + eps)**.5 with the biased variance of layer_norm, which
        # does everything in one pass.
        n = pixels.shape[-1]
        biased = (n - 1) / n
        weight = pixels.new_full((n,), biased**0.5)
        return F.layer_norm(pixels, (n,), weight, eps=biased * EPS)

    def statistics(self, images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation (N, removed units, 1), which turn a target into pixels."""
        pixels = self.removed_pixels(images, mask)
        if not self.norm_pix:
            return torch.zeros_like(pixels[..., :1]), torch.ones_like(pixels[..., :1])
        return pixels.mean(-1, keepdim=True), (pixels.var(-1, keepdim=True) + EPS) ** 0.5

    def loss(
        self, pred: Tensor, images: Tensor, mask: Tensor, units: Tensor | None = None
    ) -> Tensor:
        """Mean squared error over the units that were predicted.

        Args:
            pred (Tensor): Predictions (N, K, pixels).
            images (Tensor): Images (N, C, H, W).
            mask (Tensor): Mask map (N, H/16, W/16).
            units (Tensor, optional): The units, by their unit raster indices (N, K). Defaults to
                None: all removed ones.

        Returns:
            Tensor: A scalar.
        """
        return F.mse_loss(pred.float(), self.target(images, mask, units))
