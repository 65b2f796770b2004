"""Verify a conversion: run source and target side by side, each in its own code base."""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.registry import DefaultScope
from mmpretrain.models import SwinTransformer
from torch import Tensor, nn

from mmum.checkpoints.convert import Conversion
from mmum.checkpoints.swin_keys import to_dialect
from mmum.checkpoints.swin_sizes import arch_of, depths_of
from mmum.errors import InputError, preview
from mmum.models import UMStockSwin, UMSwin


def verify(
    source_weights: Mapping[str, Tensor], conversion: Conversion, target: str
) -> list[float]:
    """Compare the stage outputs of source and target on the same image.

    Microsoft's code is no package: timm's reader of its files stands for it.

    Args:
        source_weights (dict[str, Tensor]): The source's own weights, as read.
        conversion (Conversion): Result of :func:`mmum.checkpoints.convert.convert`.
        target (str): Key of ``DIALECTS``.

    Returns:
        list[float]: For every stage, before output norms, the largest difference over the largest
        value. If the window was changed, both run at the new one. If merges are left out, the list
        has the first stage alone.

    Raises:
        InputError: If a code base is not installed, or if the authors' would be needed.
    """
    own, source = conversion.own, conversion.source
    if not conversion.partial and conversion.identified.kind != 'stock Swin':
        raise InputError(
            '--check compares code bases: for UM-MAE backbones mmum is the only one here, and its '
            "tests compare it with the authors' numbers"
        )
    sizes = arch_of(own)
    # Two windows per side in the last stage: code bases differ in a map of a single window.
    stages = len(sizes['arch']['depths'])
    side = 2 * sizes['window_size'] * sizes['patch_size'] * 2 ** (stages - 1)
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, sizes['in_channels'], side, side, generator=generator)
    with torch.no_grad():
        if conversion.partial:
            ours = _run_um_swin(conversion.identified.backbone, sizes['window_size'], image)[:1]
            weights = {f'backbone.{k}': v for k, v in own.items()}
            name = 'mmpretrain' if target == 'mmum' else target
            if name in ('timm', 'microsoft'):
                weights = conversion.weights
            foreign = _run(name, weights, own, image, strict=False)
        else:
            if conversion.report['resized']:
                # At two different windows features differ, as they should.
                source_weights, _ = to_dialect(own, source)
            ours = _run(source, source_weights, own, image)
            foreign = _run(target, conversion.weights, own, image)
    return [float((a - b).abs().max() / a.abs().max()) for a, b in zip(ours, foreign)]


def _run_um_swin(weights: Mapping[str, Tensor], window: int, image: Tensor) -> tuple[Tensor, ...]:
    depths = depths_of(weights)
    last = [weights[f'stages.{s}.blocks.0.attn.pos_mlp.2.weight'] for s in range(len(depths))]
    arch = dict(
        embed_dims=len(weights['patch_norm.weight']),
        depths=depths,
        num_heads=[len(weight) for weight in last],
    )
    model = UMSwin(
        arch,
        window_size=window,
        pos_mlp_dims=last[0].shape[1],
        in_channels=image.shape[1],
        out_indices=range(len(depths)),
        norm_cfg=None,
        pad_small_map=True,
    ).eval()
    model.load_state_dict({k: v for k, v in weights.items() if not k.startswith('norm')})
    return model(image)


def _run(
    dialect: str,
    weights: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    image: Tensor,
    strict: bool = True,
) -> tuple[Tensor, ...]:
    """Stage outputs (N, C, H, W) of the code base of a dialect, which reads its own names."""
    sizes = arch_of(own)
    if 'absolute_pos_embed' in own:
        raise InputError(
            '--check does not cover absolute position embeddings, which depend on the image size'
        )
    if dialect in ('timm', 'microsoft'):
        return _run_timm(weights, sizes, image, strict)
    model = _build(dialect, sizes, patch_norm='patch_embed.norm.weight' in own)
    prefix = next(p for p in ('backbone.', '') if f'{p}patch_embed.projection.weight' in weights)
    weights = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    weights = {k: v for k, v in weights.items() if not k.startswith('norm')}
    _check_all_used(dialect, model.load_state_dict(weights, strict=False), strict)
    model.eval()  # upstream's returns None
    return model(image)


def _build(dialect: str, sizes: Mapping[str, Any], patch_norm: bool) -> nn.Module:
    """Build the Swin of mmdet, mmpretrain or mmum, without output norms."""
    depths = sizes['arch']['depths']
    if dialect == 'mmdet':
        from mmdet.models import SwinTransformer as DetectionSwin

        with DefaultScope.overwrite_default_scope('mmdet'):
            model = DetectionSwin(
                **sizes['arch'],
                window_size=sizes['window_size'],
                patch_size=sizes['patch_size'],
                in_channels=sizes['in_channels'],
                strides=(sizes['patch_size'], 2, 2, 2),
                qkv_bias=sizes['qkv_bias'],
                patch_norm=patch_norm,
            )
        for i in range(len(depths)):
            setattr(model, f'norm{i}', nn.Identity())
        return model
    swin = UMStockSwin if dialect == 'mmum' else SwinTransformer
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return swin(
            dict(sizes['arch']),
            window_size=sizes['window_size'],
            patch_size=sizes['patch_size'],
            in_channels=sizes['in_channels'],
            out_indices=tuple(range(len(depths))),
            pad_small_map=True,
            norm_cfg=None,
            patch_cfg={} if patch_norm else dict(norm_cfg=None),
            stage_cfgs=dict(block_cfgs=dict(attn_cfgs=dict(qkv_bias=sizes['qkv_bias']))),
        )


def _run_timm(
    weights: Mapping[str, Tensor], sizes: Mapping[str, Any], image: Tensor, strict: bool
) -> tuple[Tensor, ...]:
    try:
        from timm.models.swin_transformer import SwinTransformer as TimmSwin
        from timm.models.swin_transformer import checkpoint_filter_fn
    except ImportError as error:
        raise InputError(
            '--check of these names runs timm, which is not installed: pip install timm'
        ) from error
    arch = sizes['arch']
    model = TimmSwin(
        img_size=image.shape[2],
        patch_size=sizes['patch_size'],
        in_chans=sizes['in_channels'],
        num_classes=0,
        embed_dim=arch['embed_dims'],
        depths=tuple(arch['depths']),
        num_heads=tuple(arch['num_heads']),
        window_size=sizes['window_size'],
        qkv_bias=sizes['qkv_bias'],
    ).eval()
    prefix = 'encoder.' if 'encoder.patch_embed.proj.weight' in weights else ''
    weights = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    incompatible = model.load_state_dict(checkpoint_filter_fn(weights, model), strict=False)
    _check_all_used('timm', incompatible, strict)
    return model.forward_intermediates(image, norm=False, intermediates_only=True)


def _check_all_used(dialect: str, incompatible: Any, strict: bool) -> None:
    """Raise InputError if a model lacks weights: with random ones nothing would be compared."""
    absent = [
        key
        for key in incompatible.missing_keys
        if not key.endswith(('relative_position_index', 'secondary_token'))
        and not key.startswith(('norm', 'head'))
    ]
    if strict and absent:
        raise InputError(
            f'the model of {dialect} did not find {preview(absent)} in its weights: '
            'they cannot be compared'
        )
