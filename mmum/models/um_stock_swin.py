"""mmpretrain's own Swin on the compact image.

Any public Swin can be pre-trained with it, and goes back into any detector.
"""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.registry import MODELS
from mmpretrain.models import SwinTransformer
from mmpretrain.models.utils import resize_pos_embed
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmum.errors import InputError
from mmum.masking import check_mask_map, gather_units, merge_positions, patch_positions
from mmum.models.backbone_mixin import BackboneMixin
from mmum.models.embedding import embed_compact
from mmum.models.layers import attend
from mmum.models.recompute import norm_linear
from mmum.models.windows import PositionBias, Windows


def read_table(table: Tensor, window: int, offsets: Tensor) -> Tensor:
    """Read the bias table of a stock Swin at true offsets.

    Between whole offsets the table is read linearly; beyond its reach of window - 1 it continues
    with its outermost entry.

    Args:
        table (Tensor): ((2 * window - 1) ** 2, heads), by query minus key, as Swin has it.
        window (int): Window of the table.
        offsets (Tensor): (K, 2) key minus query, whole or half.

    Returns:
        Tensor: (K, heads).
    """
    at = (-offsets).clamp(1 - window, window - 1) + window - 1
    (row, column), (row_up, column_up) = at.floor().long().T, at.ceil().long().T
    side = 2 * window - 1
    # At whole offsets all four are the same entry, and so is their mean, to the bit.
    entries = [table[r * side + c] for r in (row, row_up) for c in (column, column_up)]
    return torch.stack(entries).mean(0)


def _cast_mask(
    w_msa: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
    """Cast the mask of shifted windows, which mmpretrain makes in float32, to the type of x."""
    mask = kwargs.get('mask')
    if mask is not None:
        kwargs = {**kwargs, 'mask': mask.to(args[0].dtype)}
    return args, kwargs


@MODELS.register_module()
class UMStockSwin(BackboneMixin, SwinTransformer):
    """mmpretrain's ``SwinTransformer``, its arguments, names and shapes, with a mask as an option.

    Without a mask it is mmpretrain's. With one it runs on the compact image of the sampled units,
    with the same modules. Windows there have half the side, ``(window_size + 1) // 2`` tokens,
    because they span twice as much of the full grid, and every pair of tokens reads the table at
    its true offset. So pre-training teaches the very table that a detector uses.

    - Stages 1 to 3: a compact window of w tokens that holds whole cells, as all do when w is a
      multiple of 8, spans 2w tokens of the full grid, so every true offset has its entry in the
      table of window 2w. Set ``window_size=16`` (w = 8) for pre-training, whatever window the
      weights come from or go to: tables are cut and grown without loss.
    - In other windows (7: w = 4), tokens of two cut cells can be farther apart than the table
      reaches. They read its outermost entry, as enlarged tables do: the nearest learnt value.
    - Stage 4: a token is merged from four sampled units and takes, as in the paper, the position of
      its top-left child, halved, so offsets can be half-integer. The table is read linearly
      between its entries; rounding would have to prefer one direction.

    ``secondary_token``, the learnable token of secondary units, is the only parameter that
    mmpretrain's class does not have.

    Args:
        arch (str | dict): 't', 's', 'b', 'l' or their full names, or a dict with ``embed_dims``,
            ``depths``, ``num_heads``. Defaults to 'tiny'.
        **kwargs: Arguments of mmpretrain's ``SwinTransformer``.

    Raises:
        InputError: If the arch or ``out_indices`` cannot be.
    """

    arch_zoo = SwinTransformer.arch_zoo
    unit = 16

    def __init__(self, arch: str | Mapping[str, Any] = 'tiny', **kwargs: Any) -> None:
        arch = arch.lower() if isinstance(arch, str) else arch
        arch = dict(self.resolve_arch(arch))
        stages = len(arch['depths'])
        dims = [arch['embed_dims'] * 2**i for i in range(stages)]
        self.check_heads(dims, arch['num_heads'])
        if 'out_indices' in kwargs:
            kwargs['out_indices'] = self.resolve_out_indices(kwargs['out_indices'], stages)
        super().__init__(arch, **kwargs)
        for block in (block for stage in self.stages for block in stage.blocks):
            block.attn.w_msa.register_forward_pre_hook(_cast_mask, with_kwargs=True)
        self.secondary_token = nn.Parameter(torch.zeros(self.embed_dims))

    def init_weights(self) -> None:
        """Initialise as mmpretrain does, and the token with a standard deviation of 0.02."""
        nn.init.normal_(self.secondary_token, std=0.02)
        super().init_weights()

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        """Encode images, whole or masked.

        Args:
            x (Tensor): Images (N, C, H, W): of any size without a mask, multiples of 64 with one.
            mask (Tensor, optional): Mask map (N, H/16, W/16); see :mod:`mmum.masking`. Defaults to
                None: dense.

        Returns:
            tuple[Tensor]: The stages in ``out_indices``, each (N, C_i, H / 4 / 2**i, W / 4 / 2**i).
            With a mask, height and width are half of that: the map of the compact image.
        """
        self.check_has_weights()
        exporting = getattr(torch.compiler, 'is_exporting', lambda: False)()
        if exporting and not isinstance(x.shape[0], int):
            raise InputError(
                'UMStockSwin cannot be exported with an open batch, for which its code, that of '
                'mmpretrain, gives wrong features: leave the batch out of dynamic_shapes'
            )
        if mask is None:
            if self.training and self.secondary_token.requires_grad:
                # DDP wants a gradient for every parameter.
                x = x + 0 * self.secondary_token.sum()
            return super().forward(x)
        x, positions = self.embed(x, mask)
        outputs = []
        for i, stage in enumerate(self.stages):
            contexts: dict[tuple[int, bool], tuple[Windows, PositionBias]] = {}
            tokens_per_unit = self.unit / self.patch_size / 2**i
            for block in stage.blocks:
                key = (block.attn.window_size, block.attn.shift_size > 0)
                if key not in contexts:
                    contexts[key] = self._context(*key, positions, tokens_per_unit)
                x = self._run_block(block, x, *contexts[key])
            if i in self.out_indices:
                outputs.append(getattr(self, f'norm{i}')(x).permute(0, 3, 1, 2).contiguous())
            if stage.downsample is not None:
                x, size = stage.downsample(x.flatten(1, 2), x.shape[1:3])
                x = x.unflatten(1, size)
                positions = merge_positions(positions)
        return tuple(outputs)

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels."""
        return self.patch_embed.projection.stride[0]

    def embed(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Embed the patches of sampled units.

        Args:
            x (Tensor): Images (N, C, H, W).
            mask (Tensor): Mask map (N, H/16, W/16).

        Returns:
            tuple[Tensor, Tensor]: Tokens (N, H/8, W/8, C_0) and their true positions.
        """
        stride = self.patch_size * 2 ** (len(self.stages) - 1)
        check_mask_map(mask, x.shape[2], x.shape[3], self.unit, stride)
        if self.out_after_downsample:
            raise InputError(
                'out_after_downsample=True of UMStockSwin is for dense use: leave it '
                'out for pre-training'
            )
        grid = tuple(side // self.patch_size for side in x.shape[2:])
        x = embed_compact(x, mask, self.patch_embed.projection, self.secondary_token)
        if self.patch_embed.norm is not None:
            x = self.patch_embed.norm(x)
        if self.use_abs_pos_embed:
            table = resize_pos_embed(
                self.absolute_pos_embed, self.patch_resolution, grid, self.interpolate_mode, 0
            )
            table = table.view(1, *grid, -1).permute(0, 3, 1, 2).expand(len(x), -1, -1, -1)
            x = x + gather_units(table, mask).permute(0, 2, 3, 1)
        return self.drop_after_pos(x), patch_positions(mask, self.unit // self.patch_size)

    @staticmethod
    def _context(
        window_size: int, shifted: bool, positions: Tensor, tokens_per_unit: float
    ) -> tuple[Windows, PositionBias]:
        """Windows of a block on the compact image, and the bias in them."""
        height, width = positions.shape[2:]
        layouts = Windows.fit(height, width, (window_size + 1) // 2)
        windows = layouts[-1 if shifted else 0]
        return windows, PositionBias.compact(windows, positions, tokens_per_unit)

    def _run_block(
        self, block: nn.Module, x: Tensor, windows: Windows, position_bias: PositionBias
    ) -> Tensor:
        """Run mmpretrain's ``SwinBlock`` in these windows: (N, H, W, C) -> (N, H, W, C)."""

        def run(x: Tensor) -> Tensor:
            attended = self._attend(block.attn.w_msa, block.norm1, x, windows, position_bias)
            x = x + block.attn.drop(attended)
            return block.ffn(block.norm2(x), identity=x)

        if block.with_cp and x.requires_grad:
            return checkpoint(run, x, use_reentrant=False)
        return run(x)

    @staticmethod
    def _attend(
        w_msa: nn.Module,
        norm: nn.LayerNorm,
        x: Tensor,
        windows: Windows,
        position_bias: PositionBias,
    ) -> Tensor:
        """Run mmpretrain's ``WindowMSA`` with the bias of true offsets."""
        if w_msa.attn_drop.p:
            raise InputError(
                'attn_drop of UMStockSwin is for dense use: leave it out for pre-training'
            )
        qkv = norm_linear(norm, x, w_msa.qkv.weight, w_msa.qkv.bias)
        q, k, v = windows.split(qkv, 3, w_msa.num_heads, fill=w_msa.qkv.bias)
        table = read_table(
            w_msa.relative_position_bias_table, w_msa.window_size[0], position_bias.offsets
        )
        if w_msa.scale != q.shape[-1] ** -0.5:  # qk_scale, where attend uses the default
            q = q * (w_msa.scale * q.shape[-1] ** 0.5)
        out = attend(q, k, v, position_bias.lookup(table))
        return w_msa.proj_drop(w_msa.proj(windows.join(out)))

    def stage_of(self, name: str) -> int:
        """Stage of a parameter: mmpretrain's ``frozen_stages=0`` freezes the first stage too."""
        return max(super().stage_of(name) - 1, 0)

    def _freeze_stages(self) -> None:
        """Do nothing: :meth:`freeze_stages` covers all that mmpretrain's method does."""

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth as in mmpretrain's class, with token and absolute positions in layer 0."""
        if param_name.removeprefix(prefix) in ('secondary_token', 'absolute_pos_embed'):
            return 0, sum(self.depths) + 2
        return SwinTransformer.get_layer_depth(self, param_name, prefix)

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Load a state dict, also one in which older versions of mmpretrain name the last norm."""
        last = f'norm{len(self.depths) - 1}'
        for kind in ('weight', 'bias'):
            if f'{prefix}norm.{kind}' in state_dict:
                state_dict[f'{prefix}{last}.{kind}'] = state_dict.pop(f'{prefix}norm.{kind}')
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
