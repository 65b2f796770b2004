"""The loss: mean squared error over the pixels of the removed units."""
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.registry import MODELS

from mmum.masking import removed_units, unit_patches


@MODELS.register_module()
class UMHead(BaseModule):
    """Reconstruction loss of UM-MAE: over removed units only; secondary units carry none.

    Args:
        patch_size (int): Side of the predicted units in pixels. Defaults to 16.
        norm_pix (bool): Normalise every unit's target by its own mean and unbiased variance (+ 1e-6). Defaults to True.
    """

    def __init__(self, patch_size=16, norm_pix=True):
        super().__init__()
        self.patch_size = patch_size
        self.norm_pix = norm_pix

    def target(self, images, mask):
        """What to predict, and the numbers that undo its normalisation.

        Args:
            images (Tensor): (N, C, H, W).
            mask (Tensor): Mask map (N, H/16, W/16).

        Returns:
            tuple[Tensor, Tensor, Tensor]: Targets (N, removed units, pixels) in float32, ordered as
            :meth:`UMDecoder.forward` predicts, and the mean and deviation (N, removed units, 1) with which
            ``target * deviation + mean`` are the pixels.
        """
        index = removed_units(mask)[..., None]
        units = unit_patches(images.float(), self.patch_size)
        units = units.gather(1, index.expand(-1, -1, units.shape[2]))
        if not self.norm_pix:
            return units, torch.zeros_like(units[..., :1]), torch.ones_like(units[..., :1])
        mean = units.mean(-1, keepdim=True)
        deviation = (units.var(-1, keepdim=True) + 1e-6)**.5
        return (units - mean) / deviation, mean, deviation

    def loss(self, pred, images, mask):
        """Mean squared error over removed units: predictions (N, removed units, pixels) -> scalar."""
        target, _, _ = self.target(images, mask)
        return F.mse_loss(pred.float(), target)
