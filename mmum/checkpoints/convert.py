"""Backbone weights from one code base to another, and the proof that both compute the same."""
from dataclasses import dataclass, field

import torch
from mmengine.registry import DefaultScope

from mmum.checkpoints import backbone_weights
from mmum.errors import InputError, preview
from mmum.checkpoints.authors_keys import from_authors, is_authors
from mmum.checkpoints.swin_keys import DIALECTS, arch_of, detect_dialect, from_dialect, from_um_swin, resize_table, to_dialect, window_of

TABLE = 'relative_position_bias_table'


@dataclass
class Conversion:
    """A converted backbone and what became of its weights.

    Attributes:
        weights (dict): Under the target's names, with its prefix.
        own (dict): The same in mmum's names, without.
        source_own (dict): Of a UMSwin, its weights in mmum's names; otherwise as ``own``.
        source (str): The source's dialect.
        report (dict): Lists of names: loaded, renamed, resized, dropped, new.
        notes (list): Sentences for the user.
    """
    weights: dict
    own: dict
    source_own: dict
    source: str
    report: dict
    notes: list = field(default_factory=list)


def convert(weights, target, source=None, window_size=None, whole=False, partial=False, path='the checkpoint'):
    """Converts the backbone of a checkpoint.

    Args:
        weights (dict[str, Tensor]): The checkpoint's.
        target (str): Key of ``DIALECTS``.
        source (str, optional): Key of ``DIALECTS``, or 'authors'. Defaults to None: by its names.
        window_size (int, optional): Window of the position bias tables to write. Defaults to None: as they are.
        whole (bool): Keep the decoder too, from mmum or the authors to mmum. Defaults to False.
        partial (bool): Write what is exact of a UMSwin for a stock Swin: all but the merges. Defaults to False.
        path (str): Of the source, for errors.

    Returns:
        Conversion: The result.

    Raises:
        InputError: If names or sizes do not fit, or the target cannot hold the weights.
    """
    if window_size is not None and not 1 <= window_size <= 256:
        raise InputError(f'--window-size {window_size} should be from 1 to 256')
    official = source == 'authors' or (source is None and is_authors(weights))
    if not official and source in (None, 'mmum', 'mmpretrain', 'mmdet', 'timm', 'microsoft'):
        dialect = detect_dialect(weights)
        if dialect or source not in (None, 'mmum'):
            if whole:
                raise InputError('--whole is for UM-MAE checkpoints of UMSwin, UMPVT, UMViT and the authors: of a stock Swin '
                                 'the backbone alone is converted, leave --whole out')
            return _convert_stock(weights, target, source or dialect, window_size, path)
    return _convert_um(weights, target, official, window_size, whole, partial, path)


def _convert_stock(weights, target, source, window_size, path):
    before, report = from_dialect(weights, source, path)
    old = arch_of(before)['window_size']
    own, resized, notes = dict(before), [], []
    for key, value in before.items():
        if key.endswith(TABLE) and window_size is not None and window_of(value) != window_size:
            own[key] = resize_table(value, window_size)
            resized.append(key)
    if resized:
        notes.append(f'window {old} -> {window_size}: ' + (
            'the offsets that remain keep their entries' if window_size < old else
            'the old offsets keep their entries, the new ones take that of the nearest old one'))
    result, left = to_dialect(own, target)
    if 'absolute_pos_embed' in left:
        raise InputError(f'{path} has absolute position embeddings, which the Swin of {target} lacks: choose another --to')
    if target == 'mmdet':
        notes.append("in mmdet's Swin configs: model.backbone.convert_weights=False and init_cfg.checkpoint=this file")
    names = {key.removeprefix(DIALECTS[target].prefix) for key in result}
    taken = {key.removeprefix(DIALECTS[source].prefix) for key in weights}
    return Conversion(result, own, own, source, dict(
        loaded=list(result), renamed=sorted(names - taken), resized=resized, dropped=report['dropped'] + left, new=[]), notes)


def _convert_um(weights, target, official, window_size, whole, partial, path):
    family = 'authors' if official else 'mmum'
    renamed = []
    if official:
        fine_tuned = 'decoder_embed.weight' not in weights
        ours = from_authors(weights, fine_tuned=fine_tuned)
        dropped = [key for key in weights if key.startswith(('head.', 'fc_norm.'))]
        renamed, weights = list(ours), ours
    else:
        dropped = []
    own, other = backbone_weights(weights)
    kind = um_kind(own)
    if kind is None:
        raise InputError(f'{path} is of no backbone that is known here ({preview(list(weights))}): give a checkpoint of mmum, '
                         'mmpretrain, mmdet, timm, Microsoft or the authors, of Swin, or of PVT and ViT from mmum and the '
                         'authors')
    report = dict(loaded=list(own), renamed=renamed, resized=[], dropped=dropped + other, new=[])
    if target == 'mmum':
        if window_size is not None:
            raise InputError(f'--window-size {window_size} changes position bias tables, and {kind} has none: its weights fit '
                             'every window, set window_size in the config')
        result = {f'backbone.{key}': value for key, value in own.items()}
        if whole:
            result.update((key, weights[key]) for key in other)
            report.update(loaded=list(result), dropped=dropped)
        return Conversion(result, own, own, family, report)
    if kind != 'UMSwin':
        raise InputError(f'{path} holds a {kind}, which has no counterpart in {target}: use it by type={kind} there, --to mmum')
    stock, left = from_um_swin(own, window_size or 16)
    if not partial:
        raise InputError(f'{path} holds a UMSwin, and its {len(left) // 4} merges ({preview(left)}) have no exact counterpart in '
                         'a stock Swin: use it by type=UMSwin (--to mmum), pre-train UMStockSwin instead, or give --partial '
                         'for all but the merges, which then start from scratch')
    result, _ = to_dialect({k: v for k, v in stock.items() if k != 'secondary_token' or target == 'mmum'}, target)
    prefix = 'stages.{}.downsample.{}'
    new = [prefix.format(i, name) for i in range(len(left) // 4) for name in ('norm.weight', 'norm.bias', 'reduction.weight')]
    report.update(loaded=list(result), renamed=list(result), dropped=dropped + other + left, new=new)
    return Conversion(result, stock, own, 'UMSwin', report, [
        f'the tables of window {window_size or 16} are the position MLPs at its offsets; the merges are left out'])


def um_kind(own):
    """Which backbone of mmum these weights are of, or None."""
    marks = dict(UMSwin='stages.0.blocks.0.attn.pos_mlp.0.weight', UMPVT='stages.0.blocks.0.attn.kv.weight',
                 UMViT='blocks.0.attn.qkv.weight')
    return next((kind for kind, mark in marks.items() if mark in own), None)


# ------------------------------------------------------------------ side by side

def check(source_weights, conversion, target):
    """Runs source and target side by side, each in its own code base, on the same image.

    Microsoft's code is no package: timm's reader of its files stands for it.

    Args:
        source_weights (dict[str, Tensor]): The source's own, as read.
        conversion (Conversion): Of :func:`convert`.
        target (str): Key of ``DIALECTS``.

    Returns:
        list[float]: Of each stage's output, before output norms, the largest difference over the largest value; at the new
        window where it was changed, of the first stage alone where the merges are left out.

    Raises:
        InputError: If a code base is not installed, or the authors' would be needed.
    """
    own = conversion.own
    if conversion.source in ('authors', 'mmum') and um_kind(own):
        raise InputError('--check compares code bases: for UM-MAE backbones mmum is the only one here, and its tests compare '
                         "it with the authors' numbers")
    partial = conversion.source == 'UMSwin'
    sizes = arch_of(own)
    # two windows a side in the last stage: code bases differ in what they do with a map of one window
    side = 2 * sizes['window_size'] * sizes['patch_size'] * 2**(len(sizes['arch']['depths']) - 1)
    image = torch.randn(1, sizes['in_channels'], side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        if partial:
            ours = _run_um_swin(conversion.source_own, sizes['window_size'], image)
            theirs = _run('mmpretrain', {f'backbone.{k}': v for k, v in own.items()}, own, image, strict=False)
            if target not in ('mmum', 'mmpretrain', 'mmdet'):
                theirs = _run(target, conversion.weights, own, image, strict=False)
        else:
            if conversion.report['resized']:  # at the new window both: at two windows features differ, as they should
                source_weights, _ = to_dialect(own, conversion.source)
            ours = _run(conversion.source, source_weights, own, image)
            theirs = _run(target, conversion.weights, own, image)
    stages = 1 if partial else len(ours)  # before the first merge, which a partial one lacks
    return [float((a - b).abs().max() / a.abs().max()) for a, b in zip(ours[:stages], theirs)]


def _run_um_swin(own, window, image):
    from mmum.models import UMSwin
    depths = [sum(f'stages.{s}.blocks.{b}.norm1.weight' in own for b in range(1000)) for s in range(4)]
    first = [own[f'stages.{s}.blocks.0.attn.pos_mlp.2.weight'] for s in range(4)]
    model = UMSwin(dict(embed_dims=len(own['patch_norm.weight']), depths=depths, num_heads=[len(w) for w in first]),
                   window_size=window, pos_mlp_dims=first[0].shape[1], in_channels=image.shape[1], out_indices=range(4),
                   norm_cfg=None, pad_small_map=True).eval()
    model.load_state_dict({k: v for k, v in own.items() if not k.startswith('norm')})
    return model(image)


def _run(dialect, weights, own, image, strict=True):
    """Stage outputs (N, C, H, W) of the code base of a dialect, which reads the file's weights under its own names."""
    sizes = arch_of(own)
    arch, window = sizes['arch'], sizes['window_size']
    patch_norm = 'patch_embed.norm.weight' in own
    position = 'absolute_pos_embed' in own
    if position:
        raise InputError('--check does not cover absolute position embeddings, which depend on the image size')
    if dialect in ('timm', 'microsoft'):
        return _run_timm(weights, arch, window, sizes, image, strict)
    prefix = next((p for p in ('backbone.', '') if f'{p}patch_embed.projection.weight' in weights))
    weights = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    weights = {k: v for k, v in weights.items() if not k.startswith('norm')}
    if dialect == 'mmdet':
        from mmdet.models import SwinTransformer
        with DefaultScope.overwrite_default_scope('mmdet'):
            model = SwinTransformer(
                **arch, window_size=window, patch_size=sizes['patch_size'], in_channels=sizes['in_channels'],
                strides=(sizes['patch_size'], 2, 2, 2), qkv_bias=sizes['qkv_bias'], patch_norm=patch_norm)
        for i in range(len(arch['depths'])):
            setattr(model, f'norm{i}', torch.nn.Identity())
    else:
        from mmpretrain.models import SwinTransformer

        from mmum.models import UMStockSwin
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            model = (UMStockSwin if dialect == 'mmum' else SwinTransformer)(
                arch, window_size=window, patch_size=sizes['patch_size'], in_channels=sizes['in_channels'],
                out_indices=range(len(arch['depths'])), pad_small_map=True, norm_cfg=None,
                patch_cfg={} if patch_norm else dict(norm_cfg=None),
                stage_cfgs=dict(block_cfgs=dict(attn_cfgs=dict(qkv_bias=sizes['qkv_bias']))))
    incompatible = model.load_state_dict(weights, strict=False)
    _check_all_used(dialect, incompatible, strict)
    model.eval()  # mmpretrain's returns None
    return model(image)


def _run_timm(weights, arch, window, sizes, image, strict):
    try:
        from timm.models.swin_transformer import SwinTransformer, checkpoint_filter_fn
    except ImportError as error:
        raise InputError('--check of these names runs timm, which is not installed: pip install timm') from error
    model = SwinTransformer(
        img_size=image.shape[2], patch_size=sizes['patch_size'], in_chans=sizes['in_channels'], num_classes=0,
        embed_dim=arch['embed_dims'], depths=tuple(arch['depths']), num_heads=tuple(arch['num_heads']), window_size=window,
        qkv_bias=sizes['qkv_bias']).eval()
    prefix = 'encoder.' if 'encoder.patch_embed.proj.weight' in weights else ''
    weights = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    incompatible = model.load_state_dict(checkpoint_filter_fn(weights, model), strict=False)
    _check_all_used('timm', incompatible, strict)
    return model.forward_intermediates(image, norm=False, intermediates_only=True)


def _check_all_used(dialect, incompatible, strict):
    """Raises InputError if the model of a code base lacks weights: a check with random ones would compare nothing."""
    absent = [k for k in incompatible.missing_keys if not k.endswith(('relative_position_index', 'secondary_token'))
              and not k.startswith(('norm', 'head'))]
    if strict and absent:
        raise InputError(f'the model of {dialect} did not find {preview(absent)} in its weights: they cannot be compared')
