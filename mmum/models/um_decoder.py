"""The light decoder: sampled tokens and mask tokens, each at its own place, through a few plain blocks."""
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import nn

from mmum.errors import InputError
from mmum.masking import removed_units, sampled_units
from mmum.models.layers import TransformerBlock, init_transformer, norm_linear
from mmum.models.embedding import sincos_positions


@MODELS.register_module()
class UMDecoder(BaseModule):
    """Decoder of UM-MAE (the paper: pipeline, decoder).

    Behind a pyramid, Linear to 4D channels and PixelShuffle take the map from stride 32 to stride 16: one token a sampled
    unit, in cell order. A ViT has one already, and a class token before them. These and a mask token for each removed unit
    get their positions, run through plain transformer blocks, and the removed units are predicted.

    Args:
        in_channels (int): Channels of the backbone's last stage.
        embed_dims (int): Width D of the decoder, a multiple of 4. Defaults to 512.
        depth (int): Number of blocks; the paper has 2, and 8 for Swin-L. Defaults to 2.
        num_heads (int): Attention heads. Defaults to 16.
        visible_positions (str): 'aligned' gives every sampled token the position of its own unit. 'official' repeats
            the authors' code, which hands out the positions in unit raster order to tokens that are in cell order, so
            most tokens get another's: for parity and ablation only. A ViT has no such fault. Defaults to 'aligned'.
        stride (int): Of the backbone's output: 32 for a pyramid's map, 16 for a ViT's raw tokens. Defaults to 32.
        unit (int): Side of a mask unit in pixels. Defaults to 16.
        out_channels (int): Channels of the images to predict. Defaults to 3.
        init_cfg (dict, optional): Initialisation config. Defaults to None.
    """

    def __init__(self,
                 in_channels,
                 embed_dims=512,
                 depth=2,
                 num_heads=16,
                 visible_positions='aligned',
                 stride=32,
                 unit=16,
                 out_channels=3,
                 init_cfg=None):
        super().__init__(init_cfg)
        if visible_positions not in ('aligned', 'official'):
            raise InputError(f"visible_positions='{visible_positions}' of UMDecoder is unknown: choose 'aligned' or "
                             "'official'")
        if embed_dims % num_heads or embed_dims % 4:
            raise InputError(f'embed_dims={embed_dims} of UMDecoder should be a multiple of 4 and of its '
                             f'num_heads={num_heads}')
        if depth < 1:
            raise InputError(f'depth={depth} of UMDecoder should be at least 1 block')
        if stride not in (unit, 2 * unit):
            raise InputError(f'stride={stride} of UMDecoder should be {2 * unit} (a pyramid) or {unit} (a ViT)')
        self.visible_positions, self.upscale = visible_positions, stride // unit
        self.embed = nn.Linear(in_channels, self.upscale**2 * embed_dims)
        self.mask_token = nn.Parameter(torch.zeros(embed_dims))
        self.blocks = nn.ModuleList(TransformerBlock(embed_dims, num_heads) for _ in range(depth))
        self.norm = nn.LayerNorm(embed_dims, eps=1e-6)
        self.pred = nn.Linear(embed_dims, unit**2 * out_channels)

    def init_weights(self):
        self.apply(init_transformer)
        nn.init.normal_(self.mask_token, std=.02)
        super().init_weights()

    def forward(self, latent, mask):
        """Predicts the removed units.

        Args:
            latent (Tensor): (N, C, H/64, W/64), the last stage on the compact image; of a ViT (N, 1 + cells, C), class token
                and sampled units in cell order.
            mask (Tensor): Mask map (N, H/16, W/16).

        Returns:
            Tensor: (N, removed units, unit * unit * channels), units in unit raster order.
        """
        if self.upscale == 1:
            x = self.embed(latent)
            first, x = x[:, :1], x[:, 1:]  # the class token has no position
        else:
            # (N, h, w, C) -> (N, 4D, h, w) -> (N, D, 2h, 2w) -> (N, cells, D), in cell order
            x = F.pixel_shuffle(self.embed(latent.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), self.upscale)
            x = x.flatten(2).transpose(1, 2)
            first = x[:, :0]
        positions = sincos_positions(tuple(mask.shape[1:]), x.shape[2], x.device).to(x.dtype)
        sampled, removed = sampled_units(mask), removed_units(mask)
        if self.visible_positions == 'official':
            sampled = sampled.sort(1).values  # positions in unit raster order, tokens in cell order
        x = torch.cat([first, x + positions[sampled]], 1)
        # what the first block's projections make of a mask token depends on its position alone: once for all images
        shared = (self.mask_token.to(x.dtype) + positions)[None], removed
        num_queries = [None] * (len(self.blocks) - 1) + [removed.shape[1]]  # nobody reads what the last makes of the others
        for block, queries in zip(self.blocks, num_queries):
            x = block(x, shared, queries)
            shared = None
        return norm_linear(self.norm, x, self.pred.weight, self.pred.bias)
