"""Layer-wise learning-rate decay for classifiers and detectors alike."""
from types import SimpleNamespace

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmpretrain.models import SwinTransformer

from mmum.errors import InputError

# Besides 1-D parameters (norms, biases, tokens), what describes positions does not decay.
POSITIONS = ('relative_position_bias_table', 'pos_mlp', 'pos_embed')


def layer_depth_of(backbone):
    """The function (name of a parameter of the backbone) -> (its layer, number of layers).

    Raises:
        InputError: For a backbone whose layers are unknown.
    """
    if hasattr(backbone, 'get_layer_depth'):
        return backbone.get_layer_depth
    if type(backbone).__name__ == 'SwinTransformer' and hasattr(backbone, 'stages'):  # mmdet's: the names of mmpretrain's
        sizes = SimpleNamespace(depths=[len(stage.blocks) for stage in backbone.stages])
        return lambda name: SwinTransformer.get_layer_depth(sizes, name)
    raise InputError(f'layer-wise learning-rate decay does not know the layers of {type(backbone).__name__}: use UMSwin, '
                     'UMPVT, UMViT, UMStockSwin, SwinTransformer, or a backbone with get_layer_depth')


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Learning rates that fall towards the input of the backbone: lr * rate ** (last layer - layer).

    The embedding is layer 0, each block one more, output norms are the last; whatever is no backbone (neck, heads) learns at
    the full rate. 1-D parameters (norms, biases, tokens), bias tables, position MLPs and position embeddings have no weight
    decay. Frozen parameters are left out. Prints the groups once.

    ``paramwise_cfg``: ``layer_decay_rate`` (float, 0 to 1), of an optimiser with a learning rate. ``norm_decay_mult``,
    ``bias_decay_mult`` and ``flat_decay_mult`` may be there as zeros, which is what they are here.

    Raises:
        InputError: For a backbone whose layers are unknown, or a rate that cannot be.
    """

    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        rate = self.paramwise_cfg.get('layer_decay_rate')
        zeros = {f'{kind}_decay_mult' for kind in ('norm', 'bias', 'flat') if not self.paramwise_cfg.get(f'{kind}_decay_mult')}
        if not isinstance(rate, (int, float)) or not 0 < rate <= 1 or set(self.paramwise_cfg) - zeros != {'layer_decay_rate'}:
            raise InputError(f'paramwise_cfg={dict(self.paramwise_cfg)} of LayerDecayOptimWrapperConstructor should be '
                             'dict(layer_decay_rate=R) with R above 0, at most 1')
        if self.base_lr is None:
            raise InputError('LayerDecayOptimWrapperConstructor needs the lr of the optimizer in optim_wrapper')
        self.rate = rate

    def add_params(self, params, module, **kwargs):
        """Adds the parameter groups of a model: one for each layer with weight decay, and one without."""
        depth = layer_depth_of(module.backbone)
        last = depth(next(name for name, _ in module.backbone.named_parameters()))[1] - 1
        groups = {}
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            layer = depth(name.removeprefix('backbone.'))[0] if name.startswith('backbone.') else last
            decays = parameter.dim() > 1 and not any(part in name for part in POSITIONS)
            groups.setdefault((layer, decays), []).append(parameter)
        lines = [f'layer-wise learning-rate decay {self.rate}: layer, learning rate, parameters with / without weight decay']
        for layer in sorted({layer for layer, _ in groups}):
            lr = self.base_lr * self.rate**(last - layer)
            counts = []
            for decays in (True, False):
                group = groups.get((layer, decays), [])
                counts.append(sum(parameter.numel() for parameter in group))
                if group:
                    params.append(dict(params=group, lr=lr, weight_decay=(self.base_wd or 0.) * decays))
            lines.append(f'  {layer:3d}  {lr:.3e} (x {lr / self.base_lr:.4f})  {counts[0]:>11,d} / {counts[1]:,d}')
        print_log('\n'.join(lines), 'current')
