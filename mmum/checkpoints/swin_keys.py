"""The names that public Swin weights go by, and the size of their position bias tables.

Everybody's stock Swin is the same network under other names: mmpretrain and mmdet, timm, Microsoft. Each has one table of its
names here, written against mmpretrain's, which are those of :class:`~mmum.models.um_stock_swin.UMStockSwin`: "ours" below.
"""
import math
import re
from dataclasses import dataclass, replace

import torch

from mmum.errors import InputError, preview

# Modules, ours -> theirs: of the embedding, and within a block.
EMBEDDING = {'patch_embed.projection': 'patch_embed.proj', 'patch_embed.norm': 'patch_embed.norm'}
BLOCK = {
    'norm1': 'norm1',
    'attn.w_msa.qkv': 'attn.qkv',
    'attn.w_msa.proj': 'attn.proj',
    'norm2': 'norm2',
    'ffn.layers.0.0': 'mlp.fc1',
    'ffn.layers.1': 'mlp.fc2',
}
# And parameters that are no module's weight or bias.
BIAS_TABLE = {'attn.w_msa.relative_position_bias_table': 'attn.relative_position_bias_table'}
# Fixed tensors of sizes alone, and what is no part of a backbone.
BUFFERS = re.compile(r'relative_position_index$|attn_mask$|relative_coords_table$')
HEADS = re.compile(r'head\.|neck\.|decoder\.|mask_token$')
# Not in every file: stages without output norm, attention without qkv bias, embedding without norm or position.
OPTIONAL = re.compile(r'norm\d|.*qkv\.bias$|patch_embed\.norm|absolute_pos_embed|secondary_token')


@dataclass(frozen=True)
class Dialect:
    """How one code base writes a Swin down.

    Attributes:
        stage (str): Word for a stage.
        embedding (dict): Modules of the embedding, ours -> theirs.
        block (dict): Modules of a block, ours -> theirs.
        parameter (dict): The bias table in a block, ours -> theirs.
        merge_in_next (bool): The merge belongs to the stage that it leads to, not to the one that it ends.
        merge_order (str): Of a merge's 4C inputs. 'channels': the four children of a channel side by side, row by row
            (torch's Unfold). 'children': the channels of a child side by side, children column by column.
        stage_norms (bool): Every stage can have an output norm, called norm0, norm1, ...
        last_norm (str, optional): Name of the norm after the last stage, if another.
        token (bool): There is a learnable token of secondary units.
        prefix (str): Before each name of the backbone in a file.
        wrap (str, optional): Key of a .pth file under which the weights are; None for the bare dictionary.
    """
    stage: str
    embedding: dict
    block: dict
    parameter: dict
    merge_in_next: bool = False
    merge_order: str = 'children'
    stage_norms: bool = True
    last_norm: str = None
    token: bool = False
    prefix: str = ''
    wrap: str = None

    def table(self, depths):
        """The whole table of a Swin with these depths, ours -> theirs, by parameter."""
        last = len(depths) - 1
        modules, parameters = dict(self.embedding), {}
        if self.stage_norms:
            parameters['absolute_pos_embed'] = 'absolute_pos_embed'
        if self.token:
            parameters['secondary_token'] = 'secondary_token'
        for s, depth in enumerate(depths):
            for b in range(depth):
                ours, theirs = f'stages.{s}.blocks.{b}.', f'{self.stage}.{s}.blocks.{b}.'
                modules.update((ours + k, theirs + v) for k, v in self.block.items())
                parameters.update((ours + k, theirs + v) for k, v in self.parameter.items())
            if s < last:
                merge = f'{self.stage}.{s + self.merge_in_next}.downsample.'
                modules[f'stages.{s}.downsample.norm'] = f'{merge}norm'
                parameters[f'stages.{s}.downsample.reduction.weight'] = f'{merge}reduction.weight'
            if self.stage_norms:
                modules[f'norm{s}'] = f'norm{s}'
        if self.last_norm:
            modules[f'norm{last}'] = self.last_norm
        return {**{f'{k}.{kind}': f'{v}.{kind}' for k, v in modules.items() for kind in ('weight', 'bias')}, **parameters}


def _same(names):
    return {name: name for name in names}


_OPENMMLAB = Dialect('stages', _same(EMBEDDING), _same(BLOCK), _same(BIAS_TABLE), merge_order='channels',
                     prefix='backbone.', wrap='state_dict')
DIALECTS = dict(
    mmum=replace(_OPENMMLAB, token=True),
    mmpretrain=_OPENMMLAB,
    mmdet=_OPENMMLAB,
    timm=Dialect('layers', EMBEDDING, BLOCK, BIAS_TABLE, merge_in_next=True, stage_norms=False, last_norm='norm'),
    microsoft=Dialect('layers', EMBEDDING, BLOCK, BIAS_TABLE, last_norm='norm', wrap='model'))


def detect_dialect(weights):
    """The dialect of a file's weights: 'mmum', 'mmpretrain' (mmdet writes the same), 'timm', 'microsoft', or None: no Swin."""
    names = set(weights)
    if any(re.match(r'(backbone\.)?stages\.0\.blocks\.0\.attn\.w_msa\.', name) for name in names):
        return 'mmum' if names & {'secondary_token', 'backbone.secondary_token'} else 'mmpretrain'
    if any(re.search(r'(^|\.)layers\.0\.blocks\.0\.attn\.relative_position_bias_table$', name) for name in names):
        return 'microsoft' if any(re.search(r'(^|\.)layers\.0\.downsample\.', name) for name in names) else 'timm'
    return None


def from_dialect(weights, name, source='the checkpoint'):
    """A file's weights -> the backbone's in our names.

    Args:
        weights (dict[str, Tensor]): The file's.
        name (str): Key of ``DIALECTS``.
        source (str): Named in errors. Defaults to 'the checkpoint'.

    Returns:
        tuple[dict, dict]: The weights by our name; and for the report, lists ``renamed`` and ``dropped`` of their names.

    Raises:
        InputError: If names are unknown or missing, or sizes do not fit each other.
    """
    dialect = DIALECTS[name]
    # Microsoft's SimMIM keeps the backbone under encoder., detectors under backbone.
    prefix = next((p for p in ('backbone.', 'encoder.') if any(k.startswith(f'{p}patch_embed.') for k in weights)), '')
    own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    dropped = [k for k in weights if not k.startswith(prefix)]
    dropped += [prefix + k for k in own if BUFFERS.search(k) or HEADS.match(k)]
    own = {k: v for k, v in own.items() if prefix + k not in dropped}
    depths = _depths(own, dialect.stage)
    if dialect.last_norm:  # where a detector of theirs calls it norm3
        own = {re.sub(rf'^norm{len(depths) - 1}\.', f'{dialect.last_norm}.', k): v for k, v in own.items()}
    table = dialect.table(depths)
    unknown = sorted(set(own) - set(table.values()))
    missing = [theirs for ours, theirs in table.items() if theirs not in own and not OPTIONAL.match(ours)]
    if unknown or missing or not depths:
        found = detect_dialect(weights)
        looks = f'; they look like those of {found}' if found and DIALECTS[found] != dialect else ''
        faults = [f'{what} {preview(names)}' for what, names in (('unknown', unknown), ('missing', missing)) if names]
        raise InputError(f'the weights in {source} are not a Swin in the names of {name}: '
                         f'{"; ".join(faults) or "no blocks"}{looks}')
    ours = {k: own[v] for k, v in table.items() if v in own}
    if dialect.merge_order == 'children':
        ours = {k: _children_to_channels(v) if '.downsample.' in k else v for k, v in ours.items()}
    check_sizes(ours, source)
    return ours, dict(renamed=[v for k, v in table.items() if v in own and k != v], dropped=dropped)


def to_dialect(weights, name):
    """The backbone's weights in our names -> a file's. The inverse of :func:`from_dialect`.

    Returns:
        tuple[dict, list]: The weights under their names (with prefix), and what the dialect has no name for.
    """
    dialect = DIALECTS[name]
    table = dialect.table(_depths(weights, 'stages'))
    theirs = {}
    for key, value in weights.items():
        if key in table:
            if dialect.merge_order == 'children' and '.downsample.' in key:
                value = _channels_to_children(value)
            theirs[dialect.prefix + table[key]] = value.contiguous()
    return theirs, [key for key in weights if key not in table]


def _depths(weights, stage):
    """Blocks of each stage, by the names."""
    blocks = {tuple(map(int, m.groups())) for m in map(re.compile(rf'{stage}\.(\d+)\.blocks\.(\d+)\.').match, weights) if m}
    return [1 + max(b for s, b in blocks if s == stage) for stage in sorted({s for s, _ in blocks})]


def _children_to_channels(x):
    """(..., 4C) inputs of a merge from [child by column and row][channel] to [channel][child by row and column]."""
    *lead, size = x.shape
    return x.reshape(*lead, 2, 2, size // 4).transpose(-3, -2).movedim(-1, -3).reshape(x.shape)


def _channels_to_children(x):
    """The inverse of :func:`_children_to_channels`."""
    *lead, size = x.shape
    return x.reshape(*lead, size // 4, 2, 2).movedim(-3, -1).transpose(-3, -2).reshape(x.shape)


# ------------------------------------------------------------------ sizes

def arch_of(weights):
    """Sizes of a Swin by its weights in our names.

    Returns:
        dict: ``arch`` (embed_dims, depths, num_heads), ``window_size``, ``in_channels``, ``patch_size``, ``qkv_bias``.
    """
    depths = _depths(weights, 'stages')
    tables = [weights[f'stages.{s}.blocks.0.attn.w_msa.relative_position_bias_table'] for s in range(len(depths))]
    conv = weights['patch_embed.projection.weight']
    return dict(
        arch=dict(embed_dims=conv.shape[0], depths=depths, num_heads=[table.shape[1] for table in tables]),
        window_size=window_of(tables[0]), in_channels=conv.shape[1], patch_size=conv.shape[2],
        qkv_bias='stages.0.blocks.0.attn.w_msa.qkv.bias' in weights)


def window_of(table):
    """Window of a bias table of (2 * window - 1) ** 2 rows."""
    side = math.isqrt(len(table))
    return (side + 1) // 2 if side**2 == len(table) and side % 2 else None


def check_sizes(weights, source='the checkpoint'):
    """Raises InputError unless all sizes are those of one Swin: its first conv and first tables say which."""
    sizes = arch_of(weights)
    c, heads, window = sizes['arch']['embed_dims'], sizes['arch']['num_heads'], sizes['window_size']
    for key, value in weights.items():
        match = re.match(r'stages\.(\d+)\.(?:blocks\.\d+\.|downsample\.)(.+)', key)
        if not match:
            continue
        s, name = int(match[1]), match[2]
        dim = c * 2**s
        want = {
            'attn.w_msa.qkv.weight': (3 * dim, dim), 'attn.w_msa.qkv.bias': (3 * dim, ), 'attn.w_msa.proj.weight': (dim, dim),
            'attn.w_msa.relative_position_bias_table': ((2 * (window or 0) - 1)**2, heads[s]),
            'reduction.weight': (2 * dim, 4 * dim), 'norm1.weight': (dim, ), 'norm2.weight': (dim, ),
            'norm.weight': (4 * dim, )}.get(name, tuple(value.shape))
        if tuple(value.shape) != want:
            raise InputError(f'{source} is no Swin of one size: {key} is {tuple(value.shape)} and should be {want} in stage '
                             f'{s} of a Swin with embed_dims={c} and window {window}')


def resize_table(table, window):
    """Fits a bias table to another window.

    Entries belong to relative offsets, which mean the same in a window of any size. So a smaller window keeps the entries of
    the offsets that remain, and a larger one keeps them all; its new offsets get the entry of the nearest old one, row and
    column by themselves. Nothing is interpolated, and making a table larger and smaller again changes nothing.

    Args:
        table (Tensor): ((2 * old - 1) ** 2, heads).
        window (int): The new window.

    Returns:
        Tensor: ((2 * window - 1) ** 2, heads).
    """
    old = window_of(table)
    offsets = torch.arange(1 - window, window).clamp(1 - old, old - 1) + old - 1
    return table.view(2 * old - 1, 2 * old - 1, -1)[offsets][:, offsets].reshape((2 * window - 1)**2, -1)


# ------------------------------------------------------------------ from UMSwin, as far as that is exact

UM_SWIN_BLOCK = {'norm1': 'norm1', 'attn.qkv': 'attn.w_msa.qkv', 'attn.proj': 'attn.w_msa.proj', 'norm2': 'norm2',
                 'mlp.fc1': 'ffn.layers.0.0', 'mlp.fc2': 'ffn.layers.1'}
UM_SWIN_EMBEDDING = {'patch_embed': 'patch_embed.projection', 'patch_norm': 'patch_embed.norm'}


def from_um_swin(weights, window):
    """Weights of a :class:`~mmum.models.um_swin.UMSwin` -> those of a stock Swin, but for its merges.

    Embedding, blocks and norms are the same arithmetic (but for an epsilon of 1e-6 against 1e-5 in the norms outside blocks),
    and a position MLP evaluated at the offsets of a window is that window's table. A merge is not: LayerNorm(C) and a 2x2
    convolution with bias here, LayerNorm(4C) and a Linear without bias there.

    Args:
        weights (dict[str, Tensor]): By UMSwin's names, without prefix.
        window (int): Of the tables to make.

    Returns:
        tuple[dict, list]: Weights in our names, and the names that have no counterpart.
    """
    offsets = torch.arange(1 - window, window, dtype=torch.float32)
    offsets = -torch.cartesian_prod(offsets, offsets)  # the MLP takes key minus query, a table query minus key
    offsets = offsets.sign() * offsets.abs().log1p()
    result, left = {}, []
    for key, value in weights.items():
        module, _, kind = key.rpartition('.')
        match = re.match(r'(stages\.\d+\.blocks\.\d+\.)(.+)', module)
        if module in UM_SWIN_EMBEDDING:
            result[f'{UM_SWIN_EMBEDDING[module]}.{kind}'] = value
        elif re.match(r'norm\d', module) or key == 'secondary_token':
            result[key] = value
        elif match and match[2] in UM_SWIN_BLOCK:
            result[f'{match[1]}{UM_SWIN_BLOCK[match[2]]}.{kind}'] = value
        elif match and match[2] == 'attn.pos_mlp.0' and kind == 'weight':
            first, bias, second, last = (weights[f'{match[1]}attn.pos_mlp.{k}'] for k in (
                '0.weight', '0.bias', '2.weight', '2.bias'))
            table = torch.relu(offsets @ first.float().T + bias.float()) @ second.float().T + last.float()
            result[f'{match[1]}attn.w_msa.relative_position_bias_table'] = table
        elif not (match and match[2].startswith('attn.pos_mlp.')):
            left.append(key)
    return result, left
