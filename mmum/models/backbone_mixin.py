"""Arch look-up, freezing and layer depth, once for all backbones."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from mmum.errors import InputError
from mmum.models.embedding import resize_square


class BackboneMixin(nn.Module if TYPE_CHECKING else object):  # type: ignore[misc]
    """Arch look-up, freezing and layer depth of all backbones, whatever their layers are.

    Freezing and layer depth follow from the names of the parameters. A parameter of
    ``stages.S.blocks.B`` belongs to its stage and block, one of ``normI`` to the output norm of
    stage I, and any other one to the embedding, so that an option that adds a parameter cannot be
    forgotten.

    Attributes:
        arch_zoo (dict): Archs by name.
        arch_keys (tuple[str]): Keys that an arch has.
    """

    arch_zoo: Mapping[str, Any] = {}
    arch_keys: tuple[str, ...] = ('embed_dims', 'depths', 'num_heads')
    depths: Sequence[int]
    frozen_stages: int
    grid: tuple[int, int]
    init_cfg: Any
    has_loaded = False  # whether weights were loaded, by whatever route

    @classmethod
    def resolve_arch(cls, arch: str | Mapping[str, Any]) -> Mapping[str, Any]:
        """Look up an arch by name, or check one that is given as a dict.

        Raises:
            InputError: If the arch is unknown or incomplete.
        """
        keys = ', '.join(cls.arch_keys)
        if isinstance(arch, str):
            if arch not in cls.arch_zoo:
                raise InputError(
                    f"unknown arch '{arch}' of {cls.__name__}: choose one of "
                    f'{", ".join(cls.arch_zoo)}, or give a dict of {keys}'
                )
            return cls.arch_zoo[arch]
        lengths = {len(value) for value in arch.values() if isinstance(value, (list, tuple))}
        if set(arch) != set(cls.arch_keys) or len(lengths) > 1:
            raise InputError(
                f'the arch {dict(arch)} of {cls.__name__} should be a dict of {keys}, where lists '
                'have one number per stage, equally many'
            )
        return arch

    @classmethod
    def check_heads(cls, dims: Sequence[int], num_heads: Sequence[int]) -> None:
        """Raise InputError unless the heads of every stage divide its channels."""
        for dim, heads in zip(dims, num_heads):
            if heads < 1 or dim % heads:
                raise InputError(
                    f'{heads} attention heads do not divide the {dim} channels of their stage of '
                    f'{cls.__name__}: choose num_heads that divide the channels'
                )

    @classmethod
    def resolve_out_indices(cls, out_indices: int | Sequence[int], number: int) -> tuple[int, ...]:
        """Indices of the outputs, negative ones counted from the end, in ascending order.

        Args:
            out_indices (int | Sequence[int]): Indices from -number to number - 1.
            number (int): Number of stages or blocks.

        Raises:
            InputError: If an index is out of range or given twice, or if there is none.
        """
        wanted = [out_indices] if isinstance(out_indices, int) else list(out_indices)
        indices = [i + number if isinstance(i, int) and i < 0 else i for i in wanted]
        if (
            not indices
            or len(set(indices)) < len(indices)
            or not all(isinstance(i, int) and 0 <= i < number for i in indices)
        ):
            raise InputError(
                f'out_indices={out_indices} of {cls.__name__} should be different whole numbers '
                f'from {-number} to {number - 1}'
            )
        return tuple(sorted(indices))

    def stage_of(self, name: str) -> int:
        """Stage of a parameter or module: 0 for the embedding, i for the i-th stage after it."""
        match = re.match(r'(?:stages\.|norm)(\d+)(?:\.|$)', name)
        return 1 + int(match[1]) if match else 0

    def freeze_stages(self) -> None:
        """Freeze the embedding and the first ``frozen_stages`` stages (-1: nothing).

        Frozen parameters do not learn, and frozen modules stay in evaluation mode.
        """
        if self.frozen_stages < 0:
            return
        for name, parameter in self.named_parameters():
            if self.stage_of(name) <= self.frozen_stages:
                parameter.requires_grad_(False)
        for name, module in self.named_modules():
            if name and not isinstance(module, nn.ModuleList):
                if self.stage_of(name) <= self.frozen_stages:
                    module.eval()

    def train(self, mode: bool = True) -> 'BackboneMixin':
        """Set the mode of all modules but the frozen ones, which stay in evaluation mode."""
        super().train(mode)
        self.freeze_stages()
        return self

    def check_has_weights(self) -> None:
        """Raise InputError in place of running on random weights where a checkpoint is named.

        mmengine reads ``init_cfg`` in ``init_weights()``, which its runners call.
        """
        if not self.init_cfg or self.has_loaded or getattr(self, 'is_init', True):
            return
        entries = [self.init_cfg] if isinstance(self.init_cfg, Mapping) else self.init_cfg
        files = [entry['checkpoint'] for entry in entries if entry.get('checkpoint')]
        if files:
            raise InputError(
                f'the weights of {files[0]}, which init_cfg names, are not in this '
                f'{type(self).__name__} yet: call its init_weights() first, or make it by '
                'mmum.load_backbone(FILE)'
            )

    def _dump_init_info(self) -> None:
        """Do without mmengine's report, which says of every parameter of a bare backbone that it
        has not changed; :class:`~mmum.checkpoints.BackboneCheckpoint` reports what was loaded."""

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Load a state dict, whose position embedding may be of another image size."""
        self.adopt_positions(state_dict, prefix)
        key, own = f'{prefix}pos_embed', getattr(self, 'pos_embed', None)
        if own is not None and key in state_dict and len(state_dict[key]) != len(own):
            state_dict[key] = resize_square(state_dict[key], self.grid)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        self.has_loaded |= any(name.startswith(prefix) for name in state_dict)

    def adopt_positions(self, weights: Mapping[str, Any], prefix: str = '') -> None:
        """Make room for the learned positions of a checkpoint, where this backbone has fixed ones.

        They take the place of the sin-cos positions, with and without a mask, and are not learned
        further; ``learn_positions=True`` learns them.

        Args:
            weights (Mapping[str, Tensor]): Weights that may have ``pos_embed``.
            prefix (str): Of the backbone in their names. Defaults to ''.
        """
        table = weights.get(f'{prefix}pos_embed')
        if table is not None and getattr(self, 'pos_embed', table) is None:
            like = next(self.parameters())
            room = like.new_empty(self.grid[0] * self.grid[1], table.shape[-1])
            self.pos_embed = nn.Parameter(room, requires_grad=False)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for layer-wise learning-rate decay.

        The embedding is layer 0, every block is one more, and output norms are the last layer,
        together with whatever does not belong to the backbone.

        Args:
            param_name (str): Name of the parameter.
            prefix (str): Prefix of the backbone in the name. Defaults to ''.

        Returns:
            tuple[int, int]: The layer and the number of layers.
        """
        num_layers = sum(self.depths) + 2
        name = param_name.removeprefix(prefix)
        if re.match(r'norm\d', name) or not param_name.startswith(prefix):
            return num_layers - 1, num_layers
        stage = self.stage_of(name)
        if not stage:
            return 0, num_layers
        # What is in a stage but in no block, a merge, counts with the block after it.
        block = re.search(r'\.blocks\.(\d+)\.', name)
        return 1 + sum(self.depths[: stage - 1]) + (int(block[1]) if block else 0), num_layers
