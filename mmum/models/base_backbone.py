"""Base class of the pyramid backbones: embedding, stages, output norms, forward."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmum.errors import InputError
from mmum.masking import check_mask_map, merge_positions, patch_positions
from mmum.models.backbone_mixin import BackboneMixin
from mmum.models.embedding import embed_compact, embed_dense, hide_patches


class PyramidBackbone(BackboneMixin, BaseModule):
    """A backbone of stages at strides 4, 8, 16, 32 with ``forward(x, mask=None)``.

    A subclass overrides :meth:`make_stage`, which makes the layers of a stage, and if its blocks
    need more than the features, :meth:`block_context`.

    Args:
        arch (str | dict): Key of ``arch_zoo``, or a dict with ``arch_keys``.
        in_channels (int): Channels of the images. Defaults to 3.
        patch_norm (bool): Whether a LayerNorm follows the patch embedding. Defaults to True.
        drop_path_rate (float): Stochastic depth of the last block; the rate grows linearly from 0.
            Defaults to 0.
        out_indices (int | Sequence[int]): Stages to return; -1 is the last. Defaults to (3, ).
        compact (bool): Whether a mask makes the backbone run on the compact image of the sampled
            units (UM-MAE). If False, it runs on the whole image, with the token in every unit that
            is not visible (SimMIM). Defaults to True.
        with_cp (bool): Activation checkpointing of every block in training. Defaults to False.
        frozen_stages (int): Freeze the patch embedding (0) and this many stages after it. Defaults
            to -1: nothing.
        norm_cfg (dict, optional): Norm of every returned stage; None for none. Defaults to
            ``dict(type='LN', eps=1e-6)``.
        weight_init (str): Start of training from scratch. 'xavier' is the authors': Linears
            Xavier-uniform, convolutions normal with a standard deviation of sqrt(2 / fan-out),
            biases zero. 'trunc_normal' is Swin's: Linears truncated normal with 0.02, convolutions
            and position MLPs as torch makes them. Defaults to 'xavier'.
        init_cfg (dict, optional): For example
            ``dict(type='BackboneCheckpoint', checkpoint='FILE')``. Defaults to None.

    Raises:
        InputError: If the arch, ``out_indices`` or ``weight_init`` cannot be.
    """

    patch_size = 4
    unit = 16

    def __init__(
        self,
        arch: str | Mapping[str, Any],
        in_channels: int = 3,
        patch_norm: bool = True,
        drop_path_rate: float = 0.0,
        out_indices: int | Sequence[int] = (3,),
        compact: bool = True,
        with_cp: bool = False,
        frozen_stages: int = -1,
        norm_cfg: Mapping[str, Any] | None = dict(type='LN', eps=1e-6),
        weight_init: str = 'xavier',
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if weight_init not in ('xavier', 'trunc_normal'):
            raise InputError(
                f"weight_init='{weight_init}' of {type(self).__name__} is unknown: choose 'xavier' "
                "or 'trunc_normal'"
            )
        self.weight_init = weight_init
        self.arch = arch = self.resolve_arch(arch)
        self.depths = depths = tuple(arch['depths'])
        dims = arch['embed_dims']
        self.dims = (
            [dims * 2**i for i in range(len(depths))] if isinstance(dims, int) else list(dims)
        )
        self.check_heads(self.dims, arch['num_heads'])
        self.out_indices = self.resolve_out_indices(out_indices, len(depths))
        self.compact, self.with_cp, self.frozen_stages = compact, with_cp, frozen_stages
        width, size = self.dims[0], self.patch_size
        self.patch_embed = nn.Conv2d(in_channels, width, size, size)
        self.patch_norm = nn.LayerNorm(width, eps=1e-6) if patch_norm else nn.Identity()
        self.secondary_token = nn.Parameter(torch.zeros(width))
        rates = [drop_path_rate * i / max(sum(depths) - 1, 1) for i in range(sum(depths))]
        starts = [sum(depths[:i]) for i in range(len(depths))]
        self.stages = nn.ModuleList(
            self.make_stage(i, rates[start : start + depth])
            for i, (start, depth) in enumerate(zip(starts, depths))
        )
        if norm_cfg is not None:
            for i in self.out_indices:
                self.add_module(f'norm{i}', build_norm_layer(norm_cfg, self.dims[i])[1])
        self.freeze_stages()

    def make_stage(self, index: int, drop_paths: Sequence[float]) -> nn.Module:
        """Make the layers of a stage.

        Args:
            index (int): Index of the stage; ``self.arch`` and ``self.dims`` hold its sizes.
            drop_paths (Sequence[float]): Stochastic depth rate of every block.

        Returns:
            nn.Module: With ``downsample`` (None in the first stage), which maps (N, H, W, C) to
            (N, H/2, W/2, C'), and ``blocks``, each called with (N, H, W, C') and its context.
        """
        raise NotImplementedError

    def block_context(self, stage: int, x: Tensor, positions: Tensor | None) -> Iterable[Any]:
        """Further inputs of every block of a stage, worked out once per stage.

        Args:
            stage (int): Index of the stage.
            x (Tensor): Features (N, H, W, C).
            positions (Tensor | None): True coordinates (N, 2, H, W) on the compact image; None
                when dense.

        Returns:
            Iterable: One item per block. By default None for each.
        """
        return [None] * self.depths[stage]

    def init_weights(self) -> None:
        """Initialise from scratch, then from ``init_cfg`` if it names a checkpoint."""
        self.init_from_scratch()
        super().init_weights()

    def init_from_scratch(self) -> None:
        """Initialise as ``weight_init`` says; patch embedding and token are the same in both."""
        convolutions = set(self.convolutions())
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif self.weight_init == 'xavier' and module in convolutions:
                fan_out = module.weight[:, 0].numel()
                nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)
                nn.init.zeros_(module.bias)
            elif self.weight_init == 'xavier' and isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        nn.init.xavier_uniform_(self.patch_embed.weight.flatten(1))  # as a Linear, MAE's
        if self.weight_init == 'xavier':
            nn.init.zeros_(self.patch_embed.bias)
        nn.init.normal_(self.secondary_token, std=0.02)

    def convolutions(self) -> Iterator[nn.Module]:
        """The layers of the stages that are convolutions in the authors' code, also 1x1 ones.

        Their initial standard deviation depends on the fan-out alone. Subclasses add the Linears
        that stand for 1x1 convolutions.
        """
        return (module for module in self.stages.modules() if isinstance(module, nn.Conv2d))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        """Encode images, whole or masked.

        Args:
            x (Tensor): Images (N, C, H, W): of any size without a mask, multiples of 64 with one.
            mask (Tensor, optional): Mask map (N, H/16, W/16); see :mod:`mmum.masking`. Defaults to
                None: dense.

        Returns:
            tuple[Tensor]: The stages in ``out_indices``, each (N, C_i, H / 4 / 2**i, W / 4 / 2**i).
            With a mask, height and width are half of that: the map of the compact image (unless
            ``compact=False``).
        """
        self.check_has_weights()
        x, positions = self.embed(x, mask)
        outputs = []
        for i, stage in enumerate(self.stages):
            if stage.downsample is not None:
                x = stage.downsample(x)
                positions = None if positions is None else merge_positions(positions)
            for block, context in zip(stage.blocks, self.block_context(i, x, positions)):
                if self.with_cp and x.requires_grad:
                    x = checkpoint(block, x, context, use_reentrant=False)
                else:
                    x = block(x, context)
            if i in self.out_indices:
                norm = getattr(self, f'norm{i}', nn.Identity())
                outputs.append(norm(x).permute(0, 3, 1, 2).contiguous())
        return tuple(outputs)

    def embed(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Embed patches; with a mask, on the compact image, those of sampled units alone.

        Args:
            x (Tensor): Images (N, C, H, W).
            mask (Tensor, optional): Mask map. Patches without content become the learnable token.

        Returns:
            tuple[Tensor, Tensor | None]: Tokens (N, H', W', C_0), and on the compact image their
            true positions (N, 2, H', W').
        """
        if mask is not None:
            check_mask_map(mask, x.shape[2], x.shape[3], self.unit, uniform=self.compact)
        if mask is None or not self.compact:
            x = self.patch_norm(embed_dense(x, self.patch_embed, self.secondary_token))
            if mask is not None:  # SimMIM, whose token enters after the norm
                x = hide_patches(x, mask, self.secondary_token)
            return x, None
        # UM-MAE, whose token passes the norm.
        x = embed_compact(x, mask, self.patch_embed, self.secondary_token)
        return self.patch_norm(x), patch_positions(mask, self.unit // self.patch_size)
