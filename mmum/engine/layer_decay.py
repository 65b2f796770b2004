"""Layer-wise learning-rate decay for classifiers and detectors alike."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmpretrain.models import SwinTransformer
from torch import nn

from mmum.errors import InputError

# Besides 1-D parameters (norms, biases, tokens), what describes positions does not decay.
POSITIONS = ('relative_position_bias_table', 'pos_mlp', 'pos_embed')


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
    """Learning rates that fall towards the input of the backbone: lr * rate ** (last - layer).

    The embedding is layer 0, every block is one more, output norms are the last; whatever is not
    the backbone (neck, heads) learns at the full rate. 1-D parameters (norms, biases, tokens), bias
    tables, position MLPs and position embeddings have no weight decay. Frozen parameters are left
    out. The groups are printed once.

    Args:
        optim_wrapper_cfg (dict): Config of the optimiser wrapper; its optimiser has a learning
            rate.
        paramwise_cfg (dict): ``layer_decay_rate`` (float), above 0 and at most 1.
            ``norm_decay_mult``, ``bias_decay_mult`` and ``flat_decay_mult`` may be there as zeros,
            which is what they are here.

    Raises:
        InputError: If the layers of the backbone are unknown, or if the rate cannot be.
    """

    def __init__(
        self, optim_wrapper_cfg: Mapping[str, Any], paramwise_cfg: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        given = self.paramwise_cfg
        rate = given.get('layer_decay_rate')
        zeros = {
            f'{kind}_decay_mult'
            for kind in ('norm', 'bias', 'flat')
            if not given.get(f'{kind}_decay_mult')
        }
        valid = isinstance(rate, (int, float)) and 0 < rate <= 1
        if not valid or set(given) - zeros != {'layer_decay_rate'}:
            raise InputError(
                f'paramwise_cfg={dict(given)} of LayerDecayOptimWrapperConstructor should be '
                'dict(layer_decay_rate=R) with R above 0, at most 1'
            )
        if self.base_lr is None:
            raise InputError(
                'LayerDecayOptimWrapperConstructor needs the lr of the optimizer in optim_wrapper'
            )
        self.rate = rate

    def add_params(self, params: list[dict[str, Any]], module: nn.Module, **kwargs: Any) -> None:
        """Add the parameter groups of a model: per layer one with weight decay and one without."""
        depth = layer_depth_of(module.backbone)
        last = depth(next(name for name, _ in module.backbone.named_parameters()))[1] - 1
        groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            layer = last
            if name.startswith('backbone.'):
                layer = depth(name.removeprefix('backbone.'))[0]
            decays = parameter.dim() > 1 and not any(part in name for part in POSITIONS)
            groups.setdefault((layer, decays), []).append(parameter)
        lines = [
            f'layer-wise learning-rate decay {self.rate}: layer, learning rate, parameters '
            'with / without weight decay'
        ]
        for layer in sorted({layer for layer, _ in groups}):
            lr = self.base_lr * self.rate ** (last - layer)
            counts = []
            for decays in (True, False):
                group = groups.get((layer, decays), [])
                counts.append(sum(parameter.numel() for parameter in group))
                if group:
                    weight_decay = (self.base_wd or 0.0) * decays
                    params.append(dict(params=group, lr=lr, weight_decay=weight_decay))
            lines.append(
                f'  {layer:3d}  {lr:.3e} (x {lr / self.base_lr:.4f})  {counts[0]:>11,d} / '
                f'{counts[1]:,d}'
            )
        print_log('\n'.join(lines), 'current')
