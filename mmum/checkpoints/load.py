"""Start a backbone from any checkpoint, and report what was loaded."""

import logging
import re
from collections.abc import Mapping, Sequence

from mmengine.logging import print_log
from mmengine.model.weight_init import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import Tensor, nn

from mmum.checkpoints.identify import identify
from mmum.checkpoints.io import read_checkpoint, weights_of
from mmum.checkpoints.settings import recorded_settings
from mmum.checkpoints.swin_keys import BUFFERS
from mmum.checkpoints.swin_sizes import TABLE, resize_table, window_of
from mmum.errors import InputError, preview
from mmum.models.embedding import resize_square

# Parameters that may be absent from a checkpoint of the same backbone.
MAY_BE_NEW = re.compile(r'norm\d|pos_embed|secondary_token')


@WEIGHT_INITIALIZERS.register_module()
class BackboneCheckpoint:
    """Initialise a backbone: ``init_cfg=dict(type='BackboneCheckpoint', checkpoint=...)``.

    Takes pre-training checkpoints of mmum (weights under ``backbone.``), bare backbones, the
    authors' files, and for ``UMStockSwin`` public Swin weights in the names of mmpretrain, mmdet,
    timm and Microsoft, of any window. Prints what was loaded, resized, new and unused.

    Args:
        checkpoint (str | None): The file; None starts from scratch and says so.
        key (str, optional): Where in the file the weights are, for example 'teacher'. Defaults to
            None: found.

    Raises:
        InputError: If the file is no checkpoint, if nothing in it matches, or if shapes differ.
    """

    def __init__(self, checkpoint: str | None, key: str | None = None) -> None:
        self.checkpoint, self.key = checkpoint, key

    def __call__(self, module: nn.Module) -> None:
        name = type(module).__name__
        if self.checkpoint is None:
            print_log(
                f'{name}: from scratch, no pre-trained checkpoint was given (pretrained=None)',
                'current',
            )
            return
        content = read_checkpoint(self.checkpoint)
        weights = weights_of(content, self.checkpoint, self.key)
        report = load_backbone(module, weights, self.checkpoint)
        recorded = recorded_settings(content)
        if recorded and recorded.known_images:
            # A backbone does not see the preprocessor: our runner compares, users of others look.
            order = 'RGB' if recorded.to_rgb else 'BGR'
            report += (
                f'\n  its images: {order}, mean={list(recorded.mean)}, std={list(recorded.std)}'
            )
        if hasattr(module, '_params_init_info'):  # mmengine's report of what was initialised
            update_init_info(module, f'loaded from {self.checkpoint}')
        print_log(f'{name}: from {self.checkpoint}\n{report}', 'current')


def load_backbone(
    module: nn.Module, weights: Mapping[str, Tensor], source: str = 'the checkpoint'
) -> str:
    """Load weights into a backbone and report on them.

    Args:
        module (nn.Module): The backbone.
        weights (dict[str, Tensor]): Weights of a whole model (the backbone's under ``backbone.``),
            of a bare backbone, or of a foreign file.
        source (str): Named in errors. Defaults to 'the checkpoint'.

    Returns:
        str: What was loaded, resized, new (kept as initialised) and unused.

    Raises:
        InputError: If the weights are of another backbone or of another size.
    """
    name, identified = type(module).__name__, identify(weights, source)
    own = dict(identified.backbone)
    if hasattr(module, 'adopt_positions'):
        module.adopt_positions(own)
    # Buffers depend on the sizes alone and are never compared.
    target = {key: value for key, value in module.state_dict().items() if not BUFFERS.search(key)}
    loaded = [key for key in target if key in own]
    if not loaded:
        raise InputError(
            f'nothing in {source} matches {name}: it has {preview(list(own))}, wanted are '
            f'{preview(list(target))}; give a checkpoint of this kind of backbone'
        )
    resized = _resize_positions(module, own, target)
    wrong = [key for key in loaded if own[key].shape != target[key].shape]
    if wrong:
        key, more = wrong[0], f' (and {len(wrong) - 1} more)' if wrong[1:] else ''
        raise InputError(
            f'{source} is of another size than the {name} of the config: {key} is '
            f'{tuple(own[key].shape)} in it and {tuple(target[key].shape)} here{more}; set arch '
            '(and pos_mlp_dims) to those it was trained with'
        )
    missing = [key for key in target if key not in own and not MAY_BE_NEW.match(key)]
    extra = [key for key in own if key not in target and key.startswith(('stages.', 'blocks.'))]
    if missing or extra:
        faults = [
            f'{what} {preview(keys)}'
            for what, keys in (('it lacks', missing), ('it also has', extra))
            if keys
        ]
        raise InputError(
            f'{source} is of another backbone than the {name} of the config: {"; ".join(faults)}; '
            'set type and arch (depths) to those it was trained with'
        )
    module.load_state_dict({key: own[key] for key in loaded}, strict=False)
    unused = [key for key in own if key not in target]
    positions = [key for key in unused if key in ('pos_embed', 'absolute_pos_embed')]
    if positions:
        print_log(
            f'{source} has learned positions ({positions[0]}), and {name} drops them: features '
            'will differ from those that the file was trained for; set use_abs_pos_embed=True',
            'current',
            logging.WARNING,
        )
    return report_text(
        loaded=loaded,
        resized=resized,
        new=[key for key in target if key not in own],
        unused=[*unused, *identified.others, *identified.dropped],
    )


def report_text(**lists: Sequence[str]) -> str:
    """Write a load report: a line per kind, with its number and the first names."""
    return '\n'.join(
        f'  {kind}: {len(keys)}{f" ({preview(keys)})" if keys else ""}'
        for kind, keys in lists.items()
    )


def _resize_positions(
    module: nn.Module, own: dict[str, Tensor], target: Mapping[str, Tensor]
) -> list[str]:
    """Fit position embeddings and bias tables in place; return the names of those that changed."""
    resized = []
    for key in own.keys() & target.keys():
        if len(own[key]) == len(target[key]):
            continue
        if key.endswith(TABLE):
            own[key] = resize_table(own[key], int(window_of(target[key]) or 0))
        elif key == 'pos_embed':
            own[key] = resize_square(own[key], module.grid)
        else:
            continue
        resized.append(key)
    return sorted(resized)
