"""The loss: mean squared error over the pixels of the removed units."""
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.registry import MODELS

from mmum.masking import removed_units, unit_patches

# Added to a unit's variance, as in MAE.
EPS = 1e-6


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

    def removed_pixels(self, images, mask):
        """Pixels of the removed units, float32 (N, removed units, pixels), ordered as :meth:`UMDecoder.forward` predicts."""
        units = unit_patches(images.float(), self.patch_size)
        index = removed_units(mask)[..., None]
        return units.gather(1, index.expand(-1, -1, units.shape[2]))

    def target(self, images, mask):
        """What to predict: :meth:`removed_pixels`, normalised with ``norm_pix``."""
        units = self.removed_pixels(images, mask)
        if not self.norm_pix:
            return units
        # (u - mean) / (n / (n - 1) * var + eps)**.5 with the biased variance that layer_norm takes, which does all in one pass
        n = units.shape[-1]
        biased = (n - 1) / n
        return F.layer_norm(units, (n, ), units.new_full((n, ), biased**.5), eps=biased * EPS)

    def statistics(self, images, mask):
        """Mean and deviation (N, removed units, 1), with which ``target * deviation + mean`` are the pixels."""
        units = self.removed_pixels(images, mask)
        if not self.norm_pix:
            return torch.zeros_like(units[..., :1]), torch.ones_like(units[..., :1])
        return units.mean(-1, keepdim=True), (units.var(-1, keepdim=True) + EPS)**.5

    def loss(self, pred, images, mask):
        """Mean squared error over removed units: predictions (N, removed units, pixels) -> scalar."""
        return F.mse_loss(pred.float(), self.target(images, mask))
