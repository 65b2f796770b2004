"""What the pyramid backbones share: embedding, stages, output norms, freezing. Dense or on the compact image."""
import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmum.errors import InputError
from mmum.masking import check_mask_map, merge_positions, patch_positions
from mmum.models.frozen_stages import FrozenStages
from mmum.models.layers import embed_dense, embed_compact


class PyramidBackbone(FrozenStages, BaseModule):
    """A backbone of stages at strides 4, 8, 16, 32 with ``forward(x, mask=None)``.

    Subclasses call :meth:`resolve_arch`, :meth:`build_embedding` and :meth:`build_stages`, and say what their blocks need
    besides the features (:meth:`block_context`).
    """
    arch_zoo = {}
    arch_keys = ('embed_dims', 'depths', 'num_heads')
    patch_size = 4
    unit = 16

    @classmethod
    def resolve_arch(cls, arch):
        """Name or dict -> dict.

        Raises:
            InputError: For an unknown or incomplete arch.
        """
        keys = ', '.join(cls.arch_keys)
        if isinstance(arch, str):
            if arch not in cls.arch_zoo:
                raise InputError(f"unknown arch '{arch}' of {cls.__name__}: choose one of {', '.join(cls.arch_zoo)}, or give "
                                 f'a dict of {keys}')
            return cls.arch_zoo[arch]
        per_stage = [len(value) for value in arch.values() if isinstance(value, (list, tuple))]
        if set(arch) != set(cls.arch_keys) or len(set(per_stage)) != 1:
            raise InputError(f'the arch {dict(arch)} of {cls.__name__} should be a dict of {keys}, lists with one number a '
                             'stage, equally many')
        return arch

    def build_embedding(self, in_channels, embed_dims, patch_norm, compact):
        """Patch embedding, the learnable token of secondary units, and a LayerNorm for both or none."""
        self.compact = compact
        self.patch_embed = nn.Conv2d(in_channels, embed_dims, self.patch_size, self.patch_size)
        self.patch_norm = nn.LayerNorm(embed_dims, eps=1e-6) if patch_norm else nn.Identity()
        self.secondary_token = nn.Parameter(torch.zeros(embed_dims))

    def build_stages(self, dims, num_heads, depths, drop_path_rate, out_indices, frozen_stages, norm_cfg, with_cp, build_stage):
        """Stages and output norms.

        Args:
            dims (Sequence[int]): Channels of each stage.
            num_heads (Sequence[int]): Heads of each stage.
            depths (Sequence[int]): Blocks of each stage.
            drop_path_rate (float): Of the last block; it grows linearly from 0.
            out_indices (Sequence[int]): Stages to return.
            frozen_stages (int): See the subclasses.
            norm_cfg (dict | None): Of the returned stages.
            with_cp (bool): Activation checkpointing.
            build_stage (Callable): (stage index, drop-path rate of each block) -> module with ``downsample``, ``blocks``.
        """
        for dim, heads in zip(dims, num_heads):
            if dim % heads:
                raise InputError(f'{heads} attention heads do not divide the {dim} channels of their stage of '
                                 f'{type(self).__name__}: choose num_heads that divide the channels')
        self.depths, self.out_indices = tuple(depths), tuple(out_indices)
        self.frozen_stages, self.with_cp = frozen_stages, with_cp
        rates = [drop_path_rate * i / max(sum(depths) - 1, 1) for i in range(sum(depths))]
        starts = [sum(depths[:i]) for i in range(len(depths))]
        self.stages = nn.ModuleList(build_stage(i, rates[start:start + depth])
                                    for i, (start, depth) in enumerate(zip(starts, depths)))
        if norm_cfg is not None:
            for i in self.out_indices:
                self.add_module(f'norm{i}', build_norm_layer(norm_cfg, dims[i])[1])
        self.freeze_stages()

    def init_weights(self):
        """Initialises from scratch, then from ``init_cfg`` if it names a checkpoint."""
        self.init_from_scratch()
        super().init_weights()

    def init_from_scratch(self):
        """Linear layers as Swin's, the patch embedding as MAE's."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=.02)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.xavier_uniform_(self.patch_embed.weight.flatten(1))  # as a Linear, MAE's
        nn.init.normal_(self.secondary_token, std=.02)

    def forward(self, x, mask=None):
        """Encodes images, whole or masked.

        Args:
            x (Tensor): Images (N, C, H, W), any H and W without a mask, multiples of 64 with one.
            mask (Tensor, optional): Mask map (N, H/16, W/16), see :mod:`mmum.masking`. Defaults to None: dense.

        Returns:
            tuple[Tensor]: The stages in ``out_indices``, each (N, C_i, H / 4 / 2**i, W / 4 / 2**i), or half of that
            a side with a mask: the map of the compact image (unless ``compact=False``).
        """
        x, positions = self.embed(x, mask)
        outputs = []
        for i, stage in enumerate(self.stages):
            if stage.downsample is not None:
                x = stage.downsample(x)
                positions = positions if positions is None else merge_positions(positions)
            context = self.block_context(i, x, positions)
            for block, needs in zip(stage.blocks, context):
                if self.with_cp and x.requires_grad:
                    x = checkpoint(block, x, needs, use_reentrant=False)
                else:
                    x = block(x, needs)
            if i in self.out_indices:
                norm = getattr(self, f'norm{i}', nn.Identity())
                outputs.append(norm(x).permute(0, 3, 1, 2).contiguous())
        return tuple(outputs)

    def block_context(self, stage, x, positions):
        """What each block of a stage needs besides the features, worked out once for the stage.

        Args:
            stage (int): Index of the stage.
            x (Tensor): Features (N, H, W, C).
            positions (Tensor | None): True coordinates (N, 2, H, W) on the compact image, None when dense.

        Returns:
            Iterable: One for each block.
        """
        raise NotImplementedError

    def embed(self, x, mask=None):
        """Embeds patches: (N, C, H, W) -> tokens (N, H', W', C_0) and, on the compact image, their true positions.

        There only sampled units are embedded. Patches whose content is masked become the learnable token.
        """
        if mask is not None:
            check_mask_map(mask, *x.shape[2:], self.unit, uniform=self.compact)
        if mask is None or not self.compact:
            return self.patch_norm(embed_dense(x, mask, self.patch_embed, self.secondary_token)), None
        x = embed_compact(x, mask, self.patch_embed, self.secondary_token)
        return self.patch_norm(x), patch_positions(mask, self.unit // self.patch_size)

    def get_layer_depth(self, param_name, prefix=''):
        """Depth of a parameter for layer-wise learning-rate decay: (depth, number of layers).

        The embedding is 0, each block one more, the norms of the outputs the last.
        """
        num_layers = sum(self.depths) + 2
        name = param_name.removeprefix(prefix).split('.')
        if name[0] in ('patch_embed', 'patch_norm', 'secondary_token', 'pos_embed'):
            return 0, num_layers
        if name[0] != 'stages':
            return num_layers - 1, num_layers
        block = int(name[3]) if name[2] == 'blocks' else 0  # merging counts with the block after it
        return 1 + sum(self.depths[:int(name[1])]) + block, num_layers

    def embedding(self):
        return [self.patch_embed, self.patch_norm, self.secondary_token]

    def freezable_stages(self):
        return self.stages
