"""One rule of weight decay, and layer-wise learning rates, for every model."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmpretrain.models import SwinTransformer
from torch import nn

from mmum.errors import InputError

# Parameters of more than one dimension that are no weights: what describes positions, and tokens
# (1-D in mmum, 3-D in mmpretrain). The weights of a position MLP are weights.
NOT_DECAYED = {
    'relative_position_bias_table',
    'absolute_pos_embed',
    'pos_embed',
    'cls_token',
    'mask_token',
    'secondary_token',
}


def decays(name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter has weight decay: the one rule of pre-training and of all transfers.

    Weights of layers do; biases, norms, tokens, bias tables and position embeddings do not.

    Args:
        name (str): Name of the parameter.
        parameter (nn.Parameter): The parameter, whole or sharded.
    """
    # FSDP makes parameters flat: its strategy notes how many dimensions they had.
    dimensions = getattr(parameter, 'dimensions', parameter.dim())
    return dimensions > 1 and name.rpartition('.')[2] not in NOT_DECAYED


def layer_depth_of(backbone: nn.Module) -> Callable[[str], tuple[int, int]]:
    """Find the function that maps a parameter of a backbone to its layer.

    Returns:
        Callable: Name of a parameter of the backbone -> (layer, number of layers).

    Raises:
        InputError: If the layers of the backbone are unknown.
    """
    if hasattr(backbone, 'get_layer_depth'):
        return backbone.get_layer_depth
    if type(backbone).__name__ == 'SwinTransformer' and hasattr(backbone, 'stages'):
        # mmdet's class, which has the names of mmpretrain's
        sizes = SimpleNamespace(depths=[len(stage.blocks) for stage in backbone.stages])
        return lambda name: SwinTransformer.get_layer_depth(sizes, name)
    raise InputError(
        'layer-wise learning-rate decay does not know the layers of '
        f'{type(backbone).__name__}: use UMSwin, UMPVT, UMViT, UMStockSwin, SwinTransformer, or a '
        'backbone with get_layer_depth'
    )


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Weight decay by one rule, and learning rates that fall towards the input of the backbone.

    The learning rate of a layer is lr * rate ** (last - layer). The embedding is layer 0, every
    block is one more, output norms are the last; whatever is not the backbone (neck, heads) learns
    at the full rate. :func:`decays` says which parameters have weight decay. Frozen parameters are
    left out. The groups are printed once.

    Args:
        optim_wrapper_cfg (dict): Config of the optimiser wrapper; its optimiser has a learning
            rate.
        paramwise_cfg (dict, optional): ``layer_decay_rate`` (float), above 0 and at most 1.
            Defaults to a rate of 1: the same learning rate for all.

    Raises:
        InputError: If the layers of the backbone are unknown, or if the rate cannot be.
    """

    paramwise_cfg: dict[str, Any]

    def __init__(
        self, optim_wrapper_cfg: Mapping[str, Any], paramwise_cfg: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        given = dict(self.paramwise_cfg)
        # Zeros that mmdet's and mmpretrain's recipes set; by the rule they are zeros in any case.
        for kind in ('norm', 'bias', 'flat'):
            if not given.get(f'{kind}_decay_mult', 1):
                given.pop(f'{kind}_decay_mult')
        rate = given.pop('layer_decay_rate', 1)
        if given or not isinstance(rate, (int, float)) or not 0 < rate <= 1:
            raise InputError(
                f'paramwise_cfg={dict(self.paramwise_cfg)} of LayerDecayOptimWrapperConstructor '
                'should be dict(layer_decay_rate=R) with R above 0, at most 1'
            )
        if self.base_lr is None:
            raise InputError(
                'LayerDecayOptimWrapperConstructor needs the lr of the optimizer in optim_wrapper'
            )
        self.rate = rate
        # Without any, mmengine would not ask for groups, and all parameters would decay.
        self.paramwise_cfg = dict(layer_decay_rate=rate)

    def add_params(self, params: list[dict[str, Any]], module: nn.Module, **kwargs: Any) -> None:
        """Add the parameter groups of a model: per layer one with weight decay and one without."""
        depth, last = None, 0
        if self.rate < 1:
            depth = layer_depth_of(module.backbone)
            last = depth(next(name for name, _ in module.backbone.named_parameters()))[1] - 1
        groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            layer = last
            if depth is not None and name.startswith('backbone.'):
                layer = depth(name.removeprefix('backbone.'))[0]
            groups.setdefault((layer, decays(name, parameter)), []).append(parameter)
        title = f'layer-wise learning-rate decay {self.rate}'
        if self.rate == 1:
            title = 'parameter groups, no layer-wise learning-rate decay'
        lines = [f'{title}: layer, learning rate, parameters with / without weight decay']
        for layer in sorted({layer for layer, _ in groups}):
            lr = self.base_lr * self.rate ** (last - layer)
            counts = []
            for decayed in (True, False):
                group = groups.get((layer, decayed), [])
                counts.append(sum(parameter.numel() for parameter in group))
                if group:
                    weight_decay = (self.base_wd or 0.0) * decayed
                    params.append(dict(params=group, lr=lr, weight_decay=weight_decay))
            lines.append(
                f'  {layer:3d}  {lr:.3e} (x {lr / self.base_lr:.4f})  {counts[0]:>11,d} / '
                f'{counts[1]:,d}'
            )
        print_log('\n'.join(lines), 'current')
