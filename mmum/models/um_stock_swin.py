"""mmpretrain's own Swin on the compact image: any public Swin can be pre-trained, and goes back into any detector."""
import torch
from mmengine.registry import MODELS
from mmpretrain.models import SwinTransformer
from mmpretrain.models.utils import resize_pos_embed
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmum.errors import InputError
from mmum.masking import check_mask_map, gather_units, merge_positions, patch_positions
from mmum.models.layers import attend, embed_compact, norm_linear
from mmum.models.windows import compact_layout, fit_window


def read_table(table, window, offsets):
    """A stock Swin's bias table at true offsets.

    Between whole offsets it is read linearly; beyond its reach of window - 1 it goes on with its outermost entry.

    Args:
        table (Tensor): ((2 * window - 1) ** 2, heads), by query minus key, as Swin has it.
        window (int): The window of the table.
        offsets (Tensor): (K, 2) key minus query, whole or half.

    Returns:
        Tensor: (K, heads).
    """
    at = (-offsets).clamp(1 - window, window - 1) + window - 1
    (row, column), (row_up, column_up) = at.floor().long().T, at.ceil().long().T
    side = 2 * window - 1
    # at whole offsets all four are the same entry, and so is their mean, to the bit
    return torch.stack([table[r * side + c] for r in (row, row_up) for c in (column, column_up)]).mean(0)


@MODELS.register_module()
class UMStockSwin(SwinTransformer):
    """mmpretrain's ``SwinTransformer``, its arguments, names and shapes, with ``forward(x, mask=None)``.

    Dense it is mmpretrain's. With a mask it runs on the compact image of the sampled units, with the same modules: windows have
    half the side, ``(window_size + 1) // 2`` tokens, because there they span twice as much of the full grid, and every pair
    of tokens reads the table at its true offset. So pre-training teaches the very table that a detector uses.

    - Stages 1 to 3: a compact window of w tokens that holds whole cells, and all do when w is a multiple of 8, spans 2w
      tokens of the full grid: every true offset has its entry in the table of window 2w. Set ``window_size=16`` (w = 8) for
      pre-training, whatever window the weights come from or go to: tables are cut and grown without loss.
    - In other windows (7: w = 4) tokens of two cut cells can be farther apart than the table reaches. They read its
      outermost entry, as tables do that are made larger: the nearest thing to what was learnt.
    - Stage 4: a token is merged from four sampled units and takes, as in the paper, the position of its top-left child,
      halved, so that offsets can be half-integer. The table is read linearly between its entries: rounding would have to
      prefer one side, and with it a direction.

    ``secondary_token``, the learnable token of secondary units, is the only parameter that mmpretrain's does not have.

    Args:
        arch (str | dict): 't', 's', 'b', 'l' or their full names, or a dict with ``embed_dims``, ``depths``, ``num_heads``.
            Defaults to 'tiny'.
        **kwargs: Of mmpretrain's ``SwinTransformer``.

    Raises:
        InputError: For an unknown or incomplete arch.
    """
    unit = 16

    def __init__(self, arch='tiny', **kwargs):
        if isinstance(arch, str) and arch.lower() not in self.arch_zoo:
            raise InputError(f"unknown arch '{arch}' of UMStockSwin: choose one of {', '.join(self.arch_zoo)}, or give a dict "
                             'of embed_dims, depths, num_heads')
        if isinstance(arch, dict) and set(arch) != {'embed_dims', 'depths', 'num_heads'}:
            raise InputError(f'the arch {dict(arch)} of UMStockSwin should be a dict of embed_dims, depths, num_heads')
        super().__init__(arch, **kwargs)
        self.secondary_token = nn.Parameter(torch.zeros(self.embed_dims))

    def init_weights(self):
        nn.init.normal_(self.secondary_token, std=.02)
        super().init_weights()

    def forward(self, x, mask=None):
        """Encodes images, whole or masked.

        Args:
            x (Tensor): Images (N, C, H, W), any H and W without a mask, multiples of 64 with one.
            mask (Tensor, optional): Mask map (N, H/16, W/16), see :mod:`mmum.masking`. Defaults to None: dense.

        Returns:
            tuple[Tensor]: The stages in ``out_indices``, each (N, C_i, H / 4 / 2**i, W / 4 / 2**i), or half of that
            a side with a mask: the map of the compact image.
        """
        if mask is None:
            if self.training and self.secondary_token.requires_grad:
                x = x + 0 * self.secondary_token.sum()  # DDP wants a gradient of every parameter
            return super().forward(x)
        x, positions = self.embed(x, mask)
        outputs = []
        for i, stage in enumerate(self.stages):
            layouts = {}
            for block in stage.blocks:
                x = self._run_block(block, x, self._layout(block.attn, positions, self.unit / self.patch_size / 2**i, layouts))
            if i in self.out_indices:
                outputs.append(getattr(self, f'norm{i}')(x).permute(0, 3, 1, 2).contiguous())
            if stage.downsample is not None:
                x, size = stage.downsample(x.flatten(1, 2), x.shape[1:3])
                x = x.unflatten(1, size)
                positions = merge_positions(positions)
        return tuple(outputs)

    @property
    def patch_size(self):
        return self.patch_embed.projection.stride[0]

    def embed(self, x, mask):
        """Embeds the patches of sampled units: (N, C, H, W) -> tokens (N, H/8, W/8, C_0) and their true positions."""
        check_mask_map(mask, *x.shape[2:], self.unit, stride=self.patch_size * 2**(len(self.stages) - 1))
        if self.out_after_downsample:
            raise InputError('out_after_downsample=True of UMStockSwin is for dense use: leave it out for pre-training')
        grid = tuple(side // self.patch_size for side in x.shape[2:])
        x = embed_compact(x, mask, self.patch_embed.projection, self.secondary_token)
        if self.patch_embed.norm is not None:
            x = self.patch_embed.norm(x)
        if self.use_abs_pos_embed:
            table = resize_pos_embed(self.absolute_pos_embed, self.patch_resolution, grid, self.interpolate_mode, 0)
            table = table.view(1, *grid, -1).permute(0, 3, 1, 2).expand(len(x), -1, -1, -1)
            x = x + gather_units(table, mask).permute(0, 2, 3, 1)
        return self.drop_after_pos(x), patch_positions(mask, self.unit // self.patch_size)

    @staticmethod
    def _layout(attn, positions, tokens_per_unit, layouts):
        """The window layout of a block, made once for all alike."""
        window = (attn.window_size + 1) // 2
        window, shift = fit_window(*positions.shape[2:], window, window // 2 if attn.shift_size else 0, pad_small_map=False)
        if (window, shift) not in layouts:
            layouts[window, shift] = compact_layout(positions, window, shift, tokens_per_unit)
        return layouts[window, shift]

    def _run_block(self, block, x, layout):
        """mmpretrain's ``SwinBlock`` in the windows of a layout: (N, H, W, C) -> (N, H, W, C)."""

        def run(x):
            x = x + block.attn.drop(self._attend(block.attn.w_msa, block.norm1, x, layout))
            return block.ffn(block.norm2(x), identity=x)

        return checkpoint(run, x, use_reentrant=False) if block.with_cp and x.requires_grad else run(x)

    @staticmethod
    def _attend(w_msa, norm, x, layout):
        """mmpretrain's ``WindowMSA`` with the bias of true offsets."""
        if w_msa.attn_drop.p:
            raise InputError('attn_drop of UMStockSwin is for dense use: leave it out for pre-training')
        q, k, v = layout.split(norm_linear(norm, x, w_msa.qkv.weight, w_msa.qkv.bias), 3, w_msa.num_heads, fill=w_msa.qkv.bias)
        bias = layout.bias(read_table(w_msa.relative_position_bias_table, w_msa.window_size[0], layout.offsets))
        if w_msa.scale != q.shape[-1]**-0.5:  # qk_scale; attend scales by the usual
            q = q * (w_msa.scale * q.shape[-1]**0.5)
        return w_msa.proj_drop(w_msa.proj(layout.join(attend(q, k, v, bias))))

    def get_layer_depth(self, param_name, prefix=''):
        """As mmpretrain's, with the token and the absolute positions in the embedding's layer 0."""
        if param_name.removeprefix(prefix) in ('secondary_token', 'absolute_pos_embed'):
            return 0, sum(self.depths) + 2
        return super().get_layer_depth(param_name, prefix)

    def train(self, mode=True):
        """As mmpretrain's, and returns the model, as torch's does."""
        super().train(mode)
        return self

    def _freeze_stages(self):
        super()._freeze_stages()
        if self.frozen_stages >= 0:
            self.secondary_token.requires_grad_(False)
