"""Every recipe against its source: who decays, crops, scales, drop path, positions, SimMIM."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from mmum.engine.config import load_config
from mmum.engine.layer_decay import decays
from tests.helpers import ROOT, shrink

CONFIGS = ROOT / 'configs'
LEAVES = sorted(path for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts)
# Layers whose weights decay, whatever they are called; position MLPs are among them.
WEIGHTS = (torch.nn.Linear, torch.nn.modules.conv._ConvNd, torch.nn.modules.conv._ConvTransposeNd)
TRAINED = [path for path in LEAVES if '_knn_' not in path.stem and 'tta' not in path.stem]


def build_model(cfg):
    """The model of a config, with a small backbone."""
    init_default_scope(cfg.default_scope)
    if cfg.default_scope == 'mmdet':
        from mmdet.registry import MODELS
    elif cfg.default_scope == 'mmseg':
        from mmseg.registry import MODELS
    else:
        from mmpretrain.registry import MODELS
    shrink(cfg)
    return MODELS.build(cfg.model)


def test_all_were_seen():
    assert len(LEAVES) == 91 and len(TRAINED) == 85


@pytest.mark.parametrize('path', TRAINED, ids=lambda path: path.stem)
def test_who_decays(path):
    """In every recipe, weights of layers decay and nothing else does."""
    cfg = load_config(str(path))
    model = build_model(cfg)
    cfg.optim_wrapper.type = 'OptimWrapper'
    if cfg.optim_wrapper.optimizer.type == 'ShardedOptimizer':  # needs ranks
        cfg.optim_wrapper.optimizer = dict(type='AdamW', lr=1e-3, weight_decay=0.05)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    decayed = {id(p) for group in groups if group['weight_decay'] for p in group['params']}
    names = {name for name, p in model.named_parameters() if id(p) in decayed}
    if cfg.optim_wrapper.optimizer.weight_decay == 0:
        assert not names
        return
    expected = {
        f'{name}.weight'
        for name, module in model.named_modules()
        if isinstance(module, WEIGHTS) and module.weight.requires_grad
    }
    assert names == expected


def test_the_rule():
    weight, bias = torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.zeros(2))
    assert decays('backbone.stages.0.blocks.0.attn.pos_mlp.2.weight', weight)
    assert not decays('backbone.patch_norm.weight', bias)
    for name in ('attn.w_msa.relative_position_bias_table', 'absolute_pos_embed', 'pos_embed'):
        assert not decays(f'backbone.{name}', weight)


@pytest.mark.parametrize(
    'name, resize, crop',
    [
        ('um-swin-tiny_8xb128-coslr-100e_in1k', 256, 256),
        ('um-swin-large_8xb128-coslr-100e_in1k', 256, 256),
        ('um-pvt-small_8xb128-coslr-100e_in1k', 256, 256),
        ('um-vit-base_8xb128-coslr-100e_in1k', 256, 224),
        ('um-swin-tiny_8xb512-linear-coslr-90e_in1k', 292, 256),
        ('um-swin-tiny_knn_in1k', 292, 256),
    ],
)
def test_evaluation_crops(name, resize, crop):
    """The authors crop 224 of 256 up to 224 px, and nothing above."""
    cfg = load_config(str(CONFIGS / 'classification' / f'{name}.py'))
    _, resizing, cropping, _ = cfg.test_dataloader.dataset.pipeline
    assert (resizing.scale, cropping.crop_size) == (resize, crop)
    if 'coslr-100e' in name:
        assert cfg.val_dataloader.dataset.pipeline == cfg.test_dataloader.dataset.pipeline


@pytest.mark.parametrize('backbone', ['um-swin-t', 'um-pvt-s', 'um-swin-l'])
def test_gfl_of_the_authors(backbone):
    cfg = load_config(str(CONFIGS / 'detection' / f'gfl_{backbone}_fpn_25e_coco.py'))
    scales = [t.scale for t in cfg.test_dataloader.dataset.pipeline if t.type == 'Resize']
    assert scales == [(1333, 800)] and cfg.val_dataloader == cfg.test_dataloader
    assert cfg.model.neck.norm_cfg.type == 'BN' and cfg.sync_bn == 'torch'
    if backbone != 'um-swin-l':
        assert cfg.model.backbone.drop_path_rate == 0.1
    assert cfg.model.backbone.get('learn_positions', False) == (backbone == 'um-pvt-s')


def test_drop_path_is_that_of_the_stock_backbone_under_the_same_head():
    pairs = 0
    for path in (CONFIGS / 'detection').glob('*_um-swin-*_coco.py'):
        stock = path.with_name(path.name.replace('um-swin', 'swin'))
        if stock.exists():
            ours, theirs = (load_config(str(p)).model.backbone for p in (path, stock))
            assert ours.drop_path_rate == theirs.drop_path_rate, path.name
            pairs += 1
    assert pairs == 6


@pytest.mark.parametrize('path', (CONFIGS / 'detection').glob('*pvt*.py'), ids=lambda p: p.stem)
def test_detectors_learn_the_positions_of_pvt(path):
    assert load_config(str(path)).model.backbone.learn_positions


def test_fine_tuning_learns_positions():
    for name in ('um-pvt-small', 'um-vit-base'):
        path = CONFIGS / 'classification' / f'{name}_8xb128-coslr-100e_in1k.py'
        assert load_config(str(path)).model.backbone.learn_positions


@pytest.mark.parametrize('name', ['pvt', 'vit'])
def test_learned_positions_of_a_file_are_used(name):
    """With and without a mask, at other sizes too, and after saving and loading again."""
    from mmum.checkpoints import load_backbone
    from mmum.models import UMPVT, UMViT
    from tests.helpers import SMALL_PVT, mask_maps

    def build(**options):
        return UMPVT(SMALL_PVT, img_size=128, **options) if name == 'pvt' else vit(**options)

    def vit(**options):
        arch = dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64)
        return UMViT(arch, img_size=128, **options)

    source = build(learn_positions=True).eval()
    with torch.no_grad():
        source.pos_embed.normal_()
    target = build().eval()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    assert 'pos_embed' not in before
    report = load_backbone(target, source.state_dict(), 'x.pth')
    assert 'unused: 0' in report and not target.pos_embed.requires_grad
    again = build().eval()
    again.load_state_dict(target.state_dict())
    images = torch.randn(2, 3, 128, 128)
    for mask in (None, mask_maps(2, (8, 8))):
        with torch.no_grad():
            outs = [model(images, mask) for model in (source, target, again)]
            plain = build().eval()
            plain.load_state_dict(
                {key: value for key, value in source.state_dict().items() if key != 'pos_embed'}
            )
            fixed = plain(images, mask)
        for out in outs[1:]:
            assert all(torch.equal(one, other) for one, other in zip(outs[0], out))
        assert not torch.allclose(outs[0][-1], fixed[-1], atol=1e-3)


def test_positions_that_mmdets_swin_drops_are_a_warning(monkeypatch):
    from mmum.checkpoints import load_backbone
    from mmum.models import UMStockSwin
    from tests.helpers import SMALL_ARCH

    said = []
    monkeypatch.setattr('mmum.checkpoints.load.print_log', lambda text, *a, **k: said.append(text))
    source = UMStockSwin(SMALL_ARCH, use_abs_pos_embed=True)
    load_backbone(UMStockSwin(SMALL_ARCH), source.state_dict(), 'x.pth')
    assert len(said) == 1 and 'x.pth has learned positions (absolute_pos_embed)' in said[0]


def test_the_token_of_simmim_enters_after_the_norm():
    """Masked patches are the token itself, not the token normalised."""
    from mmum.models import UMSwin
    from tests.helpers import SMALL_ARCH

    model = UMSwin(SMALL_ARCH, compact=False)
    model.init_weights()
    mask = torch.zeros(1, 4, 4, dtype=torch.uint8)
    mask[0, 1, 2] = 1
    tokens, _ = model.embed(torch.randn(1, 3, 64, 64), mask)
    assert torch.equal(tokens[0, 4:8, 8:12], model.secondary_token.expand(4, 4, -1))
    assert tokens[0, 0].std().item() == pytest.approx(1, abs=0.2)
    # UM-MAE's token passes the norm
    model = UMSwin(SMALL_ARCH)
    model.init_weights()
    mask = torch.full((1, 4, 4), 2, dtype=torch.uint8)
    mask[:, ::2, ::2] = 1
    tokens, _ = model.embed(torch.randn(1, 3, 64, 64), mask)
    assert tokens.std().item() == pytest.approx(1, abs=0.05)


def test_simmim_of_microsoft():
    cfg = load_config(str(CONFIGS / 'selfsup' / 'simmim_swin_t_192px.py'))
    crop, _, mask, _ = cfg.train_dataloader.dataset.pipeline
    assert (crop.scale, tuple(crop.crop_ratio_range)) == (192, (0.67, 1.0))
    assert (mask.input_size, mask.mask_patch_size, mask.mask_ratio) == (192, 32, 0.6)
    assert cfg.model.backbone.stage_cfgs.block_cfgs.window_size == 6
    assert cfg.optim_wrapper.clip_grad.max_norm == 5.0
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(8e-4)
    assert cfg.param_scheduler[1].eta_min == pytest.approx(4e-5)
    assert cfg.train_dataloader.batch_size * 8 * cfg.optim_wrapper.accumulative_counts == 2048


@pytest.mark.parametrize('cells', [16, 64, 49])
def test_a_balanced_pool_has_half_the_variance(cells):
    """Same marginals, half the variance of counts."""
    import numpy as np

    from mmum.datasets import UniformMask
    from mmum.masking import sample_mask_map

    grid = (2 * int(cells**0.5), 2 * int(cells**0.5))
    places = {False: [], True: []}
    for balanced in places:
        random = np.random.RandomState(0)
        for _ in range(3000):
            mask = sample_mask_map(grid, 0.0, random, balanced)
            counts = [(mask[r::2, c::2] == 0).sum() for r in (0, 1) for c in (0, 1)]
            places[balanced].append(counts)
    independent, balanced = (np.array(places[key]) for key in (False, True))
    assert np.allclose(balanced.mean(0), cells / 4, rtol=0.05)
    assert balanced.var(0).mean() / independent.var(0).mean() == pytest.approx(0.5, abs=0.08)
    if cells != 49:
        size = 16 * grid[0]
        assert UniformMask(size, sampling='balanced').transform({})['mask'].shape == grid


def test_pictures_of_simmim():
    """What was masked is predicted, the rest is the image; for both kinds of masks."""
    from mmpretrain.registry import MODELS

    from mmum.visualization import reconstruct

    for name in ('simmim_um_swin_t', 'simmim_swin_t'):
        cfg = load_config(str(CONFIGS / 'selfsup' / f'{name}.py'))
        assert any(hook.type == 'ReconstructionHook' for hook in cfg.custom_hooks)
        init_default_scope('mmpretrain')
        shrink(cfg)
        model = MODELS.build(cfg.model).eval()
        side = 16 if 'um' in name.removeprefix('simmim') else 64
        mask = (torch.rand(1, side, side) < 0.75).long()
        images = torch.randn(1, 3, 256, 256)
        with torch.no_grad():
            seen, filled = reconstruct(model, images, mask)
        hidden = mask.bool()[:, None].repeat_interleave(256 // side, 2)
        hidden = hidden.repeat_interleave(256 // side, 3).expand_as(images)
        assert not seen[hidden].any() and torch.equal(seen[~hidden], images[~hidden])
        assert torch.equal(filled[~hidden], images[~hidden])
        assert not torch.equal(filled[hidden], images[hidden])


@pytest.mark.parametrize(
    'dtype, wrapper',
    [
        ('auto', 'BFloat16OptimWrapper'),
        ('bf16', 'BFloat16OptimWrapper'),
        ('fp16', 'AmpOptimWrapper'),
    ],
)
def test_amp_on_a_gpu(dtype, wrapper, monkeypatch):
    from mmum.engine.config.options import set_amp
    from mmum.errors import InputError

    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda: True)
    cfg = load_config(str(CONFIGS / 'selfsup' / 'um_mae_swin_t.py'))
    set_amp(cfg, dtype)
    assert cfg.optim_wrapper.type == wrapper
    assert ('loss_scale' in cfg.optim_wrapper) == (dtype == 'fp16')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    if dtype == 'fp16':
        with pytest.raises(InputError, match='--amp fp16 is for GPUs'):
            set_amp(cfg, dtype)
