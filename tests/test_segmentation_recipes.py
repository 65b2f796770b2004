"""The segmentations at full size: the authors' recipe, their checkpoints, a step and a test."""

import math

import numpy as np
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmum.checkpoints.authors_keys import _encoder_table
from mmum.engine.config import load_config

CONFIGS = [f'upernet_{name}_160k_ade20k-512x512' for name in ('um-swin-t', 'um-pvt-s', 'um-swin-l')]
STOCK = 'upernet_swin-t_160k_ade20k-512x512'


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmseg')


def authors_weights(backbone):
    """Random weights of the backbone under the names and in the shapes of the authors' files."""
    own = {
        f'backbone.{name}': torch.randn_like(p) * 0.02 for name, p in backbone.named_parameters()
    }
    merges = np.cumsum(backbone.depths)[:-1]
    names = {f'blocks.{i}.norm1.weight' for i in range(sum(backbone.depths))}
    names |= {f'blocks.{i}.downsample.proj.weight' for i in merges}
    if type(backbone).__name__ == 'UMPVT':
        names.add('blocks.0.attn.kv.weight')
    weights = {theirs: own[name] for theirs, name in _encoder_table(names).items() if name in own}
    weights.pop('vis_mask_token')
    for name, value in weights.items():
        if ('posmlp' in name or '.attn.sr.' in name) and value.dim() == 2:
            weights[name] = value[..., None, None]
    if hasattr(backbone, 'pos_embed'):  # of 256 px
        weights['pos_embed'] = torch.randn(1, 64 * 64, backbone.dims[0]) * 0.02
    weights.update({f'{name}.weight': torch.zeros(8) for name in ('fc_norm', 'head')})
    return weights


def batch(height, width, shape):
    """An image, the truth in its size, and the size of its file."""
    truth = PixelData(data=torch.randint(0, 150, (1, height, width)))
    sample = SegDataSample(gt_sem_seg=truth)
    sample.set_metainfo(dict(img_shape=(height, width), ori_shape=shape))
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
    return dict(inputs=[image], data_samples=[sample])


@pytest.mark.slow
@pytest.mark.parametrize('name', CONFIGS)
def test_an_authors_file_a_step_and_a_test(name, tmp_path, capsys):
    """Every key of the backbone is used; loss, gradients everywhere, one inference by sliding.

    The head is narrower: at full width `tools/benchmark.py segmentors` makes them.
    """
    from mmum.checkpoints.load import load_backbone

    cfg = load_config(name, {'model.decode_head.channels': 64})
    model = MODELS.build(cfg.model)
    weights = authors_weights(model.backbone)
    report = load_backbone(model.backbone, weights, 'theirs.pth')
    loaded, resized, new, unused = (line.strip() for line in report.splitlines())
    assert loaded.startswith(f'loaded: {len(weights) - 2} ')
    assert resized == ('resized: 1 (pos_embed)' if 'pvt' in name else 'resized: 0')
    assert new == 'new: 1 (secondary_token)'  # of pre-training
    assert unused.startswith('unused: 2 (')  # fc_norm, head
    data = model.data_preprocessor(batch(512, 512, (512, 512)), True)
    model.train()
    for module in model.modules():  # of one image no variance is left after pooling to 1x1
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    loss, parts = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    assert {'decode.loss_ce', 'aux.loss_ce'} <= set(parts)
    assert 0.5 * math.log(150) < parts['decode.loss_ce'].item() < 2 * math.log(150)
    without = [n for n, p in model.named_parameters() if p.grad is None]
    assert not [n for n in without if 'secondary_token' not in n]
    del loss, parts, data
    model.zero_grad(set_to_none=True)
    calls = []
    model.backbone.register_forward_hook(lambda _, images, __: calls.append(images[0].shape))
    model.eval()
    with torch.no_grad():
        (found,) = model.test_step(batch(512, 683, (480, 640)))
    assert calls == [(1, 3, 512, 512)] * 2  # 683 px take two crops, 341 apart
    assert found.pred_sem_seg.data.shape == (1, 480, 640)
    assert torch.isfinite(found.seg_logits.data).all()


@pytest.mark.parametrize('name', CONFIGS)
def test_the_authors_recipe(name):
    cfg = load_config(name)
    backbone, head, auxiliary = (
        cfg.model[key] for key in ('backbone', 'decode_head', 'auxiliary_head')
    )
    assert backbone.norm_cfg is None and backbone.out_indices == (0, 1, 2, 3)
    assert backbone.drop_path_rate == (0.2 if 'swin-l' in name else 0.1)
    if 'swin' in name:
        assert backbone.window_size == 16 and not backbone.pad_small_map
    assert (head.channels, head.pool_scales, head.dropout_ratio) == (768, (1, 2, 3, 6), 0.1)
    assert head.norm_cfg.type == auxiliary.norm_cfg.type == 'SyncBN' and not head.align_corners
    assert (auxiliary.channels, auxiliary.num_convs, auxiliary.in_index) == (256, 1, 2)
    assert auxiliary.loss_decode.loss_weight == 0.4
    assert head.num_classes == auxiliary.num_classes == 150
    kinds = [t.type for t in cfg.train_dataloader.dataset.pipeline]
    assert kinds == [
        'LoadImageStrict',
        'LoadSegMapStrict',
        'RandomResize',
        'RandomCrop',
        'RandomFlip',
        'PhotoMetricDistortion',
        'PackSegInputs',
    ]
    _, _, resize, crop, *_ = cfg.train_dataloader.dataset.pipeline
    assert (resize.scale, resize.ratio_range) == ((2048, 512), (0.5, 2.0))
    assert (crop.crop_size, crop.cat_max_ratio) == ((512, 512), 0.75)
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', 1e-4, 0.05)
    assert 'clip_grad' not in cfg.optim_wrapper and 'paramwise_cfg' not in cfg.optim_wrapper
    assert cfg.train_dataloader.batch_size * 8 == 16 == cfg.auto_scale_lr.base_batch_size
    assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval) == (160000, 16000)
    assert cfg.default_hooks.checkpoint.interval == 16000
    test = cfg.model.test_cfg
    assert (test.mode, test.crop_size, test.stride) == ('slide', (512, 512), (341, 341))
    assert cfg.test_dataloader.dataset.pipeline[1].scale == (2048, 512)
    preprocessor = cfg.model.data_preprocessor
    assert (preprocessor.size, preprocessor.seg_pad_val) == ((512, 512), 255)


@pytest.mark.parametrize('iters', [160000, 16000])
def test_learning_rate_of_every_step(iters):
    """Linear to 0 over all steps, times the warm-up, as mmcv 1 has it (but for the last step of
    each, which mmengine counts in). ``--iters`` stretches both."""
    from mmum.engine.config.options import set_iters

    cfg = load_config(CONFIGS[0])
    set_iters(cfg, iters)
    assert cfg.default_hooks.checkpoint.interval == cfg.train_cfg.val_interval == 16000
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], lr=1e-4)
    schedules = [
        PARAM_SCHEDULERS.build({**schedule, 'optimizer': optimizer})
        for schedule in cfg.param_scheduler
    ]
    warm_up = 1500 * iters // 160000
    for step in range(iters):
        if step in (0, 1, warm_up // 2, warm_up - 1, warm_up, iters // 2, iters - 1):
            expected = 1e-4 * (1 - step / (iters - 1))
            if step < warm_up:
                expected *= 1 - (1 - step / (warm_up - 1)) * (1 - 1e-6)
            assert optimizer.param_groups[0]['lr'] == pytest.approx(expected, rel=1e-4, abs=1e-12)
        for schedule in schedules:
            schedule.step()


def test_weights_decay_and_nothing_else():
    cfg = load_config(CONFIGS[0])
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    assert {group['lr'] for group in groups} == {1e-4}
    decayed = {id(p) for group in groups if group['weight_decay'] for p in group['params']}
    assert decayed == {id(p) for p in model.parameters() if p.dim() > 1}


def test_layer_wise_rates_and_freezing():
    cfg = load_config(
        CONFIGS[0],
        {'optim_wrapper.paramwise_cfg.layer_decay_rate': 0.9, 'model.backbone.frozen_stages': 1},
    )
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    rates = {id(p): g['lr'] for g in optimizer.param_groups for p in g['params']}
    assert id(model.backbone.patch_embed.weight) not in rates
    last = model.backbone.stages[3].blocks[1].mlp.fc1.weight
    first = model.backbone.stages[2].blocks[0].mlp.fc1.weight
    assert rates[id(model.decode_head.conv_seg.weight)] == pytest.approx(1e-4)
    assert rates[id(first)] == pytest.approx(rates[id(last)] * 0.9**7)


def test_linear_maps_left_out_are_no_loss():
    """A 1x1 convolution to 768 channels before the first of a head, and one of both, agree.

    Pooling commutes with it; the 3x3 convolutions agree everywhere but at the border.
    """
    x = torch.randn(1, 8, 12, 12, dtype=torch.double)
    before = torch.nn.Conv2d(8, 32, 1).double()
    for size in (1, 3):
        after = torch.nn.Conv2d(32, 5, size, padding=size // 2).double()
        both = torch.nn.Conv2d(8, 5, size, padding=size // 2).double()
        with torch.no_grad():
            both.weight.copy_(torch.einsum('omhw,mi->oihw', after.weight, before.weight.flatten(1)))
            both.bias.copy_(after.bias + after.weight.sum((2, 3)) @ before.bias)
        inside = slice(size // 2, 12 - size // 2)
        difference = (after(before(x)) - both(x)).abs()
        assert difference[..., inside, inside].max() < 1e-12
        assert (difference.max() > 1e-3) == (size == 3)
    pool = torch.nn.AdaptiveAvgPool2d(3)
    assert (pool(before(x)) - before(pool(x))).abs().max() < 1e-12


def test_the_stock_swin_is_mmsegs_config():
    """But for its backbone's class, and the pipelines, which say the same in other words."""
    import mmengine

    theirs = mmengine.Config.fromfile(_mmseg_config())
    ours = load_config(STOCK)
    for key in ('decode_head', 'auxiliary_head', 'test_cfg'):
        a, b = dict(ours.model[key]), dict(theirs.model[key])
        assert {k: v for k, v in a.items() if k != '_scope_'} == b, key
    for key in ('lr', 'weight_decay', 'betas'):
        assert ours.optim_wrapper.optimizer[key] == theirs.optim_wrapper.optimizer[key]
    assert ours.model.backbone.drop_path_rate == theirs.model.backbone.drop_path_rate
    poly = [cfg.param_scheduler[1] for cfg in (ours, theirs)]
    assert poly[0].begin == poly[1].begin == 1500 and poly[0].end == poly[1].end


def _mmseg_config():
    from pathlib import Path

    import mmseg

    name = 'swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py'
    return str(Path(mmseg.__file__).parent / '.mim' / 'configs' / 'swin' / name)


def test_mmsegs_own_swin_takes_an_exported_checkpoint(tmp_path):
    """Pre-train UMStockSwin, convert to mmdet's names: mmseg's class has the same."""
    from mmum.checkpoints import convert
    from mmum.models import UMStockSwin
    from tests.helpers import SMALL_ARCH

    own = UMStockSwin(
        SMALL_ARCH, window_size=7, out_indices=(0, 1, 2, 3), pad_small_map=True
    ).eval()
    weights = {f'backbone.{key}': value for key, value in own.state_dict().items()}
    torch.save(dict(state_dict=convert(weights, 'mmdet').weights), tmp_path / 'mmdet.pth')
    cfg = dict(
        type='SwinTransformer',
        embed_dims=16,
        depths=(2, 2, 2, 2),
        num_heads=(1, 2, 4, 8),
        window_size=7,
        init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'mmdet.pth')),
    )
    theirs = MODELS.build(cfg)
    theirs.init_weights()
    theirs.eval()  # returns nothing
    image = torch.randn(1, 3, 128, 160)
    with torch.no_grad():
        for a, b in zip(own(image), theirs(image)):
            assert (a - b).abs().max() < 1e-4
