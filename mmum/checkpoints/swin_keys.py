"""The names that public weights of a stock Swin go by.

Everybody's stock Swin is the same network under other names: mmpretrain and mmdet, timm, Microsoft.
Every code base has one table here that maps its names to ours, those of mmpretrain and of
:class:`~mmum.models.um_stock_swin.UMStockSwin`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from mmum.checkpoints.swin_sizes import check_sizes, depths_of
from mmum.errors import InputError, preview

# Modules of the embedding and within a block, foreign -> ours.
EMBEDDING = {'patch_embed.proj': 'patch_embed.projection', 'patch_embed.norm': 'patch_embed.norm'}
BLOCK = {
    'norm1': 'norm1',
    'attn.qkv': 'attn.w_msa.qkv',
    'attn.proj': 'attn.w_msa.proj',
    'norm2': 'norm2',
    'mlp.fc1': 'ffn.layers.0.0',
    'mlp.fc2': 'ffn.layers.1',
}
# Parameters of a block that are no weight or bias of a module.
BIAS_TABLE = {'attn.relative_position_bias_table': 'attn.w_msa.relative_position_bias_table'}
# Fixed tensors, which depend on sizes alone, and parts that do not belong to a backbone.
BUFFERS = re.compile(r'relative_position_index$|attn_mask$|relative_coords_table$')
HEADS = re.compile(r'head\.|neck\.|decoder\.|mask_token$')
# Not in every file: output norms, qkv bias, norm and position of the embedding, the token.
OPTIONAL = re.compile(r'norm\d|.*qkv\.bias$|patch_embed\.norm|absolute_pos_embed|secondary_token')


@dataclass(frozen=True)
class Dialect:
    """Names that a code base gives to the parts of a Swin.

    Attributes:
        stage (str): Word for a stage.
        embedding (dict): Modules of the embedding, foreign -> ours.
        block (dict): Modules of a block, foreign -> ours.
        parameter (dict): The bias table in a block, foreign -> ours.
        merge_in_next (bool): Whether a merge belongs to the stage that it leads to, instead of the
            one that it ends.
        merge_order (str): Order of the 4C inputs of a merge. 'channels': the four children of a
            channel side by side, row by row (torch's Unfold). 'children': the channels of a child
            side by side, children column by column.
        stage_norms (bool): Whether every stage can have an output norm, called norm0, norm1, ...
        last_norm (str, optional): Another name of the norm after the last stage.
        token (bool): Whether there is a learnable token of secondary units.
        prefix (str): Prefix of the backbone's names in a file.
        wrap (str, optional): Key of a .pth file that holds the weights; None for the bare
            dictionary.
    """

    stage: str
    embedding: Mapping[str, str]
    block: Mapping[str, str]
    parameter: Mapping[str, str]
    merge_in_next: bool = False
    merge_order: str = 'children'
    stage_norms: bool = True
    last_norm: str | None = None
    token: bool = False
    prefix: str = ''
    wrap: str | None = None

    def table(self, depths: list[int]) -> dict[str, str]:
        """Names of all parameters of a Swin with these depths, foreign -> ours."""
        last = len(depths) - 1
        modules, parameters = dict(self.embedding), {}
        if self.stage_norms:
            parameters['absolute_pos_embed'] = 'absolute_pos_embed'
        if self.token:
            parameters['secondary_token'] = 'secondary_token'
        for s, depth in enumerate(depths):
            for b in range(depth):
                foreign, own = f'{self.stage}.{s}.blocks.{b}.', f'stages.{s}.blocks.{b}.'
                modules.update((foreign + k, own + v) for k, v in self.block.items())
                parameters.update((foreign + k, own + v) for k, v in self.parameter.items())
            if s < last:
                merge = f'{self.stage}.{s + self.merge_in_next}.downsample.'
                modules[f'{merge}norm'] = f'stages.{s}.downsample.norm'
                parameters[f'{merge}reduction.weight'] = f'stages.{s}.downsample.reduction.weight'
            if self.stage_norms and not (s == last and self.last_norm):
                modules[f'norm{s}'] = f'norm{s}'
        if self.last_norm:
            modules[self.last_norm] = f'norm{last}'
        weights = {
            f'{k}.{kind}': f'{v}.{kind}' for k, v in modules.items() for kind in ('weight', 'bias')
        }
        return {**weights, **parameters}


def _own_names(table: Mapping[str, str]) -> dict[str, str]:
    return {name: name for name in table.values()}


_OPENMMLAB = Dialect(
    'stages',
    _own_names(EMBEDDING),
    _own_names(BLOCK),
    _own_names(BIAS_TABLE),
    merge_order='channels',
    prefix='backbone.',
    wrap='state_dict',
)
DIALECTS = dict(
    mmum=replace(_OPENMMLAB, token=True),
    mmpretrain=_OPENMMLAB,
    mmdet=_OPENMMLAB,
    timm=Dialect(
        'layers',
        EMBEDDING,
        BLOCK,
        BIAS_TABLE,
        merge_in_next=True,
        stage_norms=False,
        last_norm='norm',
    ),
    microsoft=Dialect('layers', EMBEDDING, BLOCK, BIAS_TABLE, last_norm='norm', wrap='model'),
)


def detect_dialect(weights: Mapping[str, Tensor]) -> str | None:
    """Find the dialect of a file's weights.

    Returns:
        str | None: 'mmum', 'mmpretrain' (mmdet writes the same), 'timm' or 'microsoft'; None if the
        weights are not a stock Swin.
    """
    names = set(weights)
    if any(re.match(r'(backbone\.)?stages\.0\.blocks\.0\.attn\.w_msa\.', name) for name in names):
        token = names & {'secondary_token', 'backbone.secondary_token'}
        return 'mmum' if token else 'mmpretrain'
    table = re.compile(r'(^|\.)layers\.0\.blocks\.0\.attn\.relative_position_bias_table$')
    if any(table.search(name) for name in names):
        merge = re.compile(r'(^|\.)layers\.0\.downsample\.')
        return 'microsoft' if any(merge.search(name) for name in names) else 'timm'
    return None


def from_dialect(
    weights: Mapping[str, Tensor], name: str, source: str = 'the checkpoint'
) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
    """Extract the backbone of a file and give it our names.

    Args:
        weights (dict[str, Tensor]): Weights of the file.
        name (str): Key of ``DIALECTS``.
        source (str): Named in errors. Defaults to 'the checkpoint'.

    Returns:
        tuple[dict, dict]: The weights by our names; and for the report, lists ``renamed`` and
        ``dropped`` of foreign names.

    Raises:
        InputError: If names are unknown or missing, or if sizes do not fit each other.
    """
    dialect = DIALECTS[name]
    # Microsoft's SimMIM keeps the backbone under encoder., detectors under backbone.
    prefix = next(
        (
            p
            for p in ('backbone.', 'encoder.')
            if any(key.startswith(f'{p}patch_embed.') for key in weights)
        ),
        '',
    )
    own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    dropped = [k for k in weights if not k.startswith(prefix)]
    dropped += [prefix + k for k in own if BUFFERS.search(k) or HEADS.match(k)]
    own = {k: v for k, v in own.items() if prefix + k not in dropped}
    depths = depths_of(own, dialect.stage)
    # The last norm goes by either name: detectors of Microsoft's code call it norm3, older files
    # of mmpretrain norm.
    last = dialect.last_norm or f'norm{len(depths) - 1}'
    own = {
        re.sub(rf'^(norm{len(depths) - 1}|norm)\.(?=weight|bias)', f'{last}.', k): v
        for k, v in own.items()
    }
    table = dialect.table(depths)
    unknown = sorted(set(own) - set(table))
    missing = [k for k, v in table.items() if k not in own and not OPTIONAL.match(v)]
    if unknown or missing or not depths:
        found = detect_dialect(weights)
        looks = ''
        if found and DIALECTS[found] != dialect:
            looks = f'; they look like those of {found}'
        faults = [
            f'{what} {preview(names)}'
            for what, names in (('unknown', unknown), ('missing', missing))
            if names
        ]
        raise InputError(
            f'the weights in {source} are not a Swin in the names of {name}: '
            f'{"; ".join(faults) or "no blocks"}{looks}'
        )
    result = {v: own[k] for k, v in table.items() if k in own}
    if dialect.merge_order == 'children':
        result = {
            k: _children_to_channels(v) if '.downsample.' in k else v for k, v in result.items()
        }
    check_sizes(result, source)
    renamed = [k for k, v in table.items() if k in own and k != v]
    return result, dict(renamed=renamed, dropped=dropped)


def to_dialect(weights: Mapping[str, Tensor], name: str) -> tuple[dict[str, Tensor], list[str]]:
    """Give the weights of a backbone, in our names, the names of another code base.

    Args:
        weights (dict[str, Tensor]): Weights of the backbone.
        name (str): Key of ``DIALECTS``.

    Returns:
        tuple[dict, list]: The weights under foreign names (with prefix), and the names that the
        dialect cannot express.
    """
    dialect = DIALECTS[name]
    foreign = {v: k for k, v in dialect.table(depths_of(weights)).items()}
    result = {}
    for key, value in weights.items():
        if key in foreign:
            if dialect.merge_order == 'children' and '.downsample.' in key:
                value = _channels_to_children(value)
            result[dialect.prefix + foreign[key]] = value.contiguous()
    return result, [key for key in weights if key not in foreign]


def _children_to_channels(x: Tensor) -> Tensor:
    """Reorder the inputs (..., 4C) of a merge.

    From [child by column and row][channel] to [channel][child by row and column].
    """
    *lead, size = x.shape
    return x.reshape(*lead, 2, 2, size // 4).transpose(-3, -2).movedim(-1, -3).reshape(x.shape)


def _channels_to_children(x: Tensor) -> Tensor:
    """The inverse of :func:`_children_to_channels`."""
    *lead, size = x.shape
    return x.reshape(*lead, size // 4, 2, 2).movedim(-3, -1).transpose(-3, -2).reshape(x.shape)
