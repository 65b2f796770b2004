"""UM-MAE, the algorithm: mask, encode, decode, loss."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmpretrain.models.selfsup import BaseSelfSupervisor
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from mmum.errors import InputError
from mmum.masking import VISIBLE, removed_units, unit_images, unit_patches
from mmum.models.trivial import trivial_losses


@MODELS.register_module()
class UMMAE(BaseSelfSupervisor):
    """Masked autoencoding with uniform masking (arXiv 2205.10063).

    The mask comes with the data (the ``UniformMask`` transform); nothing in the model is random.

    Args:
        backbone (dict): A backbone with ``forward(x, mask=None)``, for example ``UMSwin``.
        neck (dict): The decoder, for example ``UMDecoder``.
        head (dict): The loss, for example ``UMHead``.
        data_preprocessor (dict, optional): Defaults to mmpretrain's ``SelfSupDataPreprocessor``.
        init_cfg (dict, optional): Initialisation config. Defaults to None.
    """

    def __init__(
        self,
        backbone: Mapping[str, Any],
        neck: Mapping[str, Any],
        head: Mapping[str, Any],
        data_preprocessor: Mapping[str, Any] | None = None,
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            self._with_stages(backbone, neck),
            neck,
            head,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )

    @staticmethod
    def _with_stages(backbone: Any, neck: Any) -> Any:
        """Let the backbone return the stages that the decoder reads.

        Raises:
            InputError: If ``out_indices`` of the backbone lack one of them.
        """
        stages = neck.get('stages') if isinstance(neck, Mapping) else None
        if not stages or not isinstance(backbone, Mapping):
            return backbone
        returned = backbone.get('out_indices')
        if returned is None:
            return {**backbone, 'out_indices': tuple(sorted(stages))}
        if not set(stages) <= set([returned] if isinstance(returned, int) else returned):
            raise InputError(
                f'out_indices={returned} of the backbone lack some of stages={stages}, which the '
                'decoder reads: leave out_indices out'
            )
        return backbone

    @staticmethod
    def masks(data_samples: Sequence[DataSample]) -> Tensor:
        """Stack the mask maps of a batch: uint8 (N, H/16, W/16).

        Raises:
            InputError: If a data sample has no mask.
        """
        missing = next((i for i, sample in enumerate(data_samples) if 'mask' not in sample), None)
        if missing is not None:
            raise InputError(
                f'data sample {missing} has no mask: put dict(type="UniformMask", '
                'input_size=...) into the training pipeline, before PackInputs'
            )
        return torch.stack([sample.mask for sample in data_samples])

    def predict_removed(self, inputs: Tensor, mask: Tensor, units: Tensor | None = None) -> Tensor:
        """Predict removed units of images.

        Args:
            inputs (Tensor): Images (N, C, H, W).
            mask (Tensor): Mask map (N, H/16, W/16).
            units (Tensor, optional): The units, by their unit raster indices (N, K). Defaults to
                None: all removed ones.

        Returns:
            Tensor: (N, K, pixels).
        """
        outputs = self.backbone(inputs, mask)
        stages = getattr(self.neck, 'stages', None)
        if stages is None:
            latents = outputs[-1:]
        else:
            by_stage = dict(zip(self.backbone.out_indices, outputs))
            latents = [by_stage[stage] for stage in stages]
        return self.neck(latents, mask, removed_units(mask) if units is None else units)

    def loss(
        self, inputs: Tensor, data_samples: Sequence[DataSample], **kwargs: Any
    ) -> dict[str, Tensor]:
        """The training loss.

        Args:
            inputs (Tensor): Images (N, C, H, W), H and W multiples of 64.
            data_samples (list[DataSample]): With the mask map as ``mask``.

        Returns:
            dict[str, Tensor]: ``loss``.
        """
        mask = self.masks(data_samples)
        units = self.neck.units_to_predict(mask)
        pred = self.predict_removed(inputs, mask, units)
        return dict(loss=self.head.loss(pred, inputs, mask, units))

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor') -> Any:
        """Forward as mmpretrain's, with a ``mode='predict'`` for testing.

        It sets the field ``reconstruction_loss`` of every data sample, and, in the same units, what
        trivial answers score: ``mean_colour_loss``, ``interpolation_loss``, ``own_colour_loss``.
        """
        if mode != 'predict':
            return super().forward(inputs, data_samples, mode)
        mask = self.masks(data_samples)
        pred = self.predict_removed(inputs, mask)
        for i, sample in enumerate(data_samples):
            loss = self.head.loss(pred[i : i + 1], inputs[i : i + 1], mask[i : i + 1])
            sample.set_field(float(loss.detach()), 'reconstruction_loss')
        for name, losses in trivial_losses(self.head, inputs, mask).items():
            for sample, score in zip(data_samples, losses.tolist()):
                sample.set_field(score, f'{name}_loss')
        return data_samples

    @torch.no_grad()
    def reconstruct(self, inputs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Fill the removed units with what the model predicts, for pictures.

        With ``norm_pix`` the mean and deviation of every unit are the true ones: the model does not
        predict them.

        Args:
            inputs (Tensor): Preprocessed images (N, C, H, W).
            mask (Tensor): Mask map (N, H/16, W/16).

        Returns:
            tuple[Tensor, Tensor]: What the model saw (secondary and removed units 0, the mean
            colour), and the images with removed units predicted; both (N, C, H, W).
        """
        unit = self.head.patch_size
        pred = self.predict_removed(inputs, mask).float()
        mean, deviation = self.head.statistics(inputs, mask)
        units = unit_patches(inputs, unit)
        index = removed_units(mask)[..., None].expand_as(pred)
        filled = units.scatter(1, index, (pred * deviation + mean).to(units.dtype))
        seen = units * (mask.flatten(1) == VISIBLE)[..., None]
        grid = (mask.shape[1], mask.shape[2])
        return unit_images(seen, grid, unit), unit_images(filled, grid, unit)
