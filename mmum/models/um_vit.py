"""A plain ViT with uniform masking, dense or on the sampled units: one class for both."""
import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmum.errors import InputError
from mmum.masking import check_mask_map, sampled_units
from mmum.models.frozen_stages import FrozenStages
from mmum.models.layers import TransformerBlock, embed_dense, embed_compact, init_transformer
from mmum.models.embedding import dense_positions, sincos_positions


@MODELS.register_module()
class UMViT(FrozenStages, BaseModule):
    """ViT backbone of UM-MAE (the paper: pre-training of plain ViT): dense for transfer, on the sampled units for pre-training.

    A patch is a mask unit; with a mask the tokens are the sampled units in cell order.

    Args:
        arch (str | dict): 'base', or a dict with ``embed_dims``, ``num_layers``, ``num_heads`` and
            ``feedforward_channels``. Defaults to 'base'.
        img_size (int | tuple[int, int]): Image size of the fixed position embedding; dense images of other sizes get it
            resized bicubically. Defaults to 224.
        patch_size (int): Side of a patch in pixels. Defaults to 16.
        in_channels (int): Channels of the images. Defaults to 3.
        out_type (str): 'featmap' for maps, 'cls_token' for the class token (N, C), 'avg_featmap' for the mean of the patches
            (N, C), 'raw' for all tokens (N, 1 + L, C), class token first: what pre-training takes. Defaults to 'featmap'.
        drop_path_rate (float): Stochastic depth of the last block, growing linearly from 0. Defaults to 0.
        out_indices (Sequence[int]): Blocks to return; -1 is the last. Defaults to (-1, ).
        with_cp (bool): Activation checkpointing of every block while training. Defaults to False.
        frozen_stages (int): Freezes the embedding (0) and this many blocks after it. Defaults to -1: nothing.
        norm_cfg (dict, optional): Norm of each returned block; None for none. Defaults to ``dict(type='LN', eps=1e-6)``.
        init_cfg (dict, optional): For example ``dict(type='BackboneCheckpoint', checkpoint='FILE')``. Defaults to None.

    Raises:
        InputError: For an unknown or incomplete arch, or an unknown out_type.
    """
    arch_zoo = dict(base=dict(embed_dims=768, num_layers=12, num_heads=12, feedforward_channels=3072))
    out_types = ('featmap', 'cls_token', 'avg_featmap', 'raw')

    def __init__(self,
                 arch='base',
                 img_size=224,
                 patch_size=16,
                 in_channels=3,
                 out_type='featmap',
                 drop_path_rate=0.,
                 out_indices=(-1, ),
                 with_cp=False,
                 frozen_stages=-1,
                 norm_cfg=dict(type='LN', eps=1e-6),
                 init_cfg=None):
        super().__init__(init_cfg)
        if isinstance(arch, str) and arch not in self.arch_zoo:
            raise InputError(f"unknown arch '{arch}' of UMViT: choose one of {', '.join(self.arch_zoo)}, or give a dict of "
                             f'{", ".join(self.arch_zoo["base"])}')
        arch = self.arch_zoo[arch] if isinstance(arch, str) else arch
        if set(arch) != set(self.arch_zoo['base']):
            raise InputError(f'the arch {dict(arch)} of UMViT should be a dict of {", ".join(self.arch_zoo["base"])}')
        if out_type not in self.out_types:
            raise InputError(f"out_type='{out_type}' of UMViT is unknown: choose one of {', '.join(self.out_types)}")
        dims, depth = arch['embed_dims'], arch['num_layers']
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        self.grid = (height // patch_size, width // patch_size)
        self.patch_size, self.out_type, self.with_cp, self.frozen_stages = patch_size, out_type, with_cp, frozen_stages
        self.out_indices = tuple(range(depth)[i] for i in out_indices)
        self.patch_embed = nn.Conv2d(in_channels, dims, patch_size, patch_size)
        self.cls_token = nn.Parameter(torch.zeros(dims))
        self.secondary_token = nn.Parameter(torch.zeros(dims))
        self.blocks = nn.ModuleList(
            TransformerBlock(dims, arch['num_heads'], arch['feedforward_channels'] / dims,
                             drop_path=drop_path_rate * i / max(depth - 1, 1)) for i in range(depth))
        if norm_cfg is not None:
            for i in self.out_indices:
                self.add_module(f'norm{i}', build_norm_layer(norm_cfg, dims)[1])
        self.freeze_stages()

    def init_weights(self):
        """Initialises from scratch as MAE does, then from ``init_cfg`` if it names a checkpoint."""
        self.apply(init_transformer)
        nn.init.xavier_uniform_(self.patch_embed.weight.flatten(1))
        nn.init.normal_(self.cls_token, std=.02)
        nn.init.normal_(self.secondary_token, std=.02)
        super().init_weights()

    def forward(self, x, mask=None):
        """Encodes images, whole or masked.

        Args:
            x (Tensor): Images (N, C, H, W), any H and W without a mask, multiples of two patches with one.
            mask (Tensor, optional): Mask map (N, H/16, W/16), see :mod:`mmum.masking`. Defaults to None: dense.

        Returns:
            tuple[Tensor]: The blocks in ``out_indices`` as ``out_type`` says; maps are (N, C, H/16, W/16), or half of that a
            side with a mask: the map of the compact image.
        """
        x = self.embed(x, mask)  # (N, h, w, C)
        n, height, width, c = x.shape
        x = torch.cat([self.cls_token.to(x.dtype).expand(n, 1, -1), x.flatten(1, 2)], 1)
        outputs = []
        for i, block in enumerate(self.blocks):
            if self.with_cp and x.requires_grad:
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
            if i in self.out_indices:
                outputs.append(self._format(getattr(self, f'norm{i}', nn.Identity())(x), height, width))
        return tuple(outputs)

    def _format(self, x, height, width):
        if self.out_type == 'raw':
            return x
        if self.out_type == 'cls_token':
            return x[:, 0]
        if self.out_type == 'avg_featmap':
            return x[:, 1:].mean(1)
        return x[:, 1:].transpose(1, 2).reshape(len(x), -1, height, width)

    def embed(self, x, mask=None):
        """Embeds patches with their positions: (N, C, H, W) -> (N, h, w, C); with a mask the sampled units, in cell order."""
        grid = tuple(-(-side // self.patch_size) for side in x.shape[2:])
        if mask is None:
            x = embed_dense(x, None, self.patch_embed, self.secondary_token)
            table = sincos_positions(self.grid, x.shape[3], x.device)
            return x + dense_positions(table, self.grid, grid).to(x.dtype)
        check_mask_map(mask, *x.shape[2:], self.patch_size, stride=self.patch_size)
        x = embed_compact(x, mask, self.patch_embed, self.secondary_token)
        table = sincos_positions(grid, x.shape[3], x.device).to(x.dtype)
        return x + table[sampled_units(mask)].view_as(x)

    def get_layer_depth(self, param_name, prefix=''):
        """Depth of a parameter for layer-wise learning-rate decay: (depth, number of layers).

        The embedding is 0, each block one more, the norms of the outputs the last.
        """
        num_layers = len(self.blocks) + 2
        name = param_name.removeprefix(prefix).split('.')
        if name[0] == 'blocks':
            return 1 + int(name[1]), num_layers
        return (num_layers - 1 if name[0].startswith('norm') else 0), num_layers

    def embedding(self):
        return [self.patch_embed, self.cls_token, self.secondary_token]

    def freezable_stages(self):
        return self.blocks
