"""Public Swin weights in and out: names, windows, and features in the code bases themselves."""

from pathlib import Path

import mmdet
import pytest
import torch
from mmdet.registry import MODELS as DETECTORS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from timm.models.swin_transformer import SwinTransformer as TimmSwin

from mmum.checkpoints import (
    export,
    load_backbone,
    read_checkpoint,
    verify,
    weights_of,
    write_checkpoint,
)
from mmum.checkpoints.convert import convert
from mmum.checkpoints.swin_keys import (
    DIALECTS,
    _channels_to_children,
    _children_to_channels,
    detect_dialect,
)
from mmum.checkpoints.swin_sizes import resize_table
from mmum.errors import InputError
from mmum.models import UMPVT, UMStockSwin, UMSwin, UMViT
from tests.helpers import SMALL_ARCH, data_samples, mask_maps


def stock(window=7, arch=SMALL_ARCH):
    model = UMStockSwin(arch, window_size=window, out_indices=(0, 1, 2, 3), pad_small_map=True)
    model.init_weights()
    with torch.no_grad():  # so that nothing is equal by being at its initial value
        for p in model.parameters():
            p += 0.1 * torch.randn_like(p)
    return model


@pytest.fixture(scope='module')
def weights():
    return {f'backbone.{k}': v for k, v in stock().state_dict().items()}


@pytest.mark.parametrize('name', DIALECTS)
def test_round_trips_give_equal_tensors(weights, name):
    there = convert(weights, name)
    again = convert(there.weights, 'mmum', source=name)
    # timm has one output norm, and nobody the token
    absent = {'timm': 7, 'mmum': 0}.get(name, 1)
    assert len(again.own) == len(there.own) - absent
    for key, value in again.own.items():
        assert torch.equal(value, weights[f'backbone.{key}']), key
    assert detect_dialect(there.weights) == dict(mmdet='mmpretrain').get(name, name)


@pytest.mark.parametrize('name', DIALECTS)
@pytest.mark.parametrize('window', [None, 5, 9])
def test_every_code_base_computes_the_same_features(weights, name, window):
    result = convert(weights, name, window_size=window)
    assert max(verify(weights, result, name)) < 1e-5


@pytest.mark.parametrize('source', ['timm', 'microsoft'])
def test_from_foreign_names_features_are_the_same(weights, source):
    foreign = convert(weights, source).weights
    assert max(verify(foreign, convert(foreign, 'mmdet'), 'mmdet')) < 1e-5


def test_a_check_sees_a_difference(weights):
    result = convert(weights, 'timm')
    result.weights['layers.1.downsample.reduction.weight'] = result.weights[
        'layers.1.downsample.reduction.weight'
    ].flip(1)
    stages = verify(weights, result, 'timm')
    assert stages[0] < 1e-5 and min(stages[1:]) > 1e-2


def test_merge_orders_are_inverse():
    x = torch.randn(3, 8 * 4)
    assert torch.equal(_children_to_channels(_channels_to_children(x)), x)
    # channel 0 of the four children, row by row, lies at 0, 16, 8, 24: children come column by
    # column
    assert _children_to_channels(torch.arange(32.0))[:4].tolist() == [0.0, 16.0, 8.0, 24.0]


def test_tables_are_cut_and_grown_by_offset():
    table = torch.arange(13.0 * 13)[:, None] * torch.tensor([1.0, -2.0])  # window 7
    small = resize_table(table, 3)
    grid = table.view(13, 13, 2)
    assert torch.equal(small.view(5, 5, 2), grid[4:9, 4:9])  # offsets -2..2 of -6..6
    large = resize_table(table, 16).view(31, 31, 2)
    assert torch.equal(large[9:22, 9:22], grid)
    assert torch.equal(large[0, 15], grid[0, 6]) and torch.equal(large[30, 30], grid[12, 12])
    assert torch.equal(resize_table(large.reshape(31 * 31, 2), 7), table)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['mmdet', 'microsoft'])
def test_pretrain_then_unmodified_mmdet_and_timm(name, tmp_path):
    """Steps of pre-training, exported, in mmdet's own Mask R-CNN and timm's Swin: equal
    features."""
    arch = dict(embed_dims=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24))
    init_default_scope('mmpretrain')
    model = MODELS.build(
        dict(
            type='UMMAE',
            backbone=dict(
                type='UMStockSwin',
                arch=arch,
                window_size=16,
                drop_path_rate=0.0,
                pad_small_map=True,
            ),
            neck=dict(type='UMDecoder', in_channels=768, embed_dims=32, depth=1, num_heads=2),
            head=dict(type='UMHead'),
        )
    )
    model.init_weights()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(1, 3, 64, 64), data_samples(mask_maps(1, (4, 4))), 'loss')[
            'loss'
        ].backward()
        optimizer.step()
    trained = model.state_dict()
    path = tmp_path / 'swin.pth'
    write_checkpoint(path, {DIALECTS[name].wrap: convert(trained, name, window_size=7).weights})

    # mmdet's config as it is: only the file is named (as Microsoft's, which it converts itself), or
    # that it is mmdet's
    cfg = Config.fromfile(
        Path(mmdet.__file__).parent
        / '.mim'
        / 'configs'
        / 'swin'
        / 'mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py'
    )
    cfg.model.backbone.init_cfg.checkpoint = str(path)
    cfg.model.backbone.drop_path_rate = 0.0
    cfg.model.backbone.convert_weights = name == 'microsoft'
    init_default_scope('mmdet')
    detector = DETECTORS.build(cfg.model)
    detector.backbone.init_weights()
    loaded = detector.backbone.state_dict()
    for key, value in convert(trained, 'mmdet', window_size=7).weights.items():
        # mmdet has no place for the last norm of a classifier where it is called norm
        assert 'norm3' in key or torch.equal(loaded[key.removeprefix('backbone.')], value), key

    init_default_scope('mmpretrain')
    ours = UMStockSwin(
        arch, window_size=7, out_indices=(0, 1, 2, 3), pad_small_map=True, norm_cfg=None
    )
    report = load_backbone(ours, trained)
    assert 'resized: 12 (stages.0' in report
    ours.eval()
    image = torch.randn(1, 3, 448, 448)
    for i in range(4):
        setattr(detector.backbone, f'norm{i}', torch.nn.Identity())  # new in the detector
    timm = TimmSwin(
        img_size=448,
        num_classes=0,
        embed_dim=96,
        depths=arch['depths'],
        num_heads=arch['num_heads'],
        window_size=7,
    )
    missing = timm.load_state_dict(convert(trained, 'timm', window_size=7).weights, strict=False)
    assert not missing.unexpected_keys and not missing.missing_keys
    detector.eval()
    timm.eval()
    with torch.no_grad():
        expected = ours(image)
        for other in (
            detector.backbone(image),
            timm.forward_intermediates(image, norm=False, intermediates_only=True),
        ):
            for a, b in zip(expected, other):
                assert (a - b).abs().max() <= 1e-5 * a.abs().max()


@pytest.mark.parametrize('source', ['mmpretrain', 'mmdet', 'timm', 'microsoft'])
def test_a_backbone_starts_from_any_public_weights(weights, source):
    model = stock(window=16)
    report = load_backbone(model, convert(weights, source).weights)
    assert 'resized: 8' in report
    for key, value in model.state_dict().items():
        if 'bias_table' in key:
            assert torch.equal(resize_table(value, 7), weights[f'backbone.{key}'])
        elif 'relative_position_index' not in key and not key.startswith(
            ('norm', 'secondary_token')
        ):
            assert torch.equal(value, weights[f'backbone.{key}']), key


def test_self_supervised_files_of_microsoft(weights):
    """SimMIM's keep the backbone under encoder., with its own mask token and decoder."""
    simmim = {f'encoder.{k}': v for k, v in convert(weights, 'microsoft').weights.items()}
    others = {'encoder.mask_token', 'decoder.0.weight', 'head.weight'}
    result = convert({**simmim, **dict.fromkeys(others, torch.zeros(1))}, 'mmum')
    assert set(result.report['dropped']) == others
    assert all(torch.equal(v, weights[f'backbone.{k}']) for k, v in result.own.items())


def test_a_um_swin_exports_what_is_exact():
    model = UMSwin(SMALL_ARCH, pos_mlp_dims=8)
    model.init_weights()
    weights = {f'backbone.{k}': v for k, v in model.state_dict().items()}
    with pytest.raises(InputError, match='3 merges .*no exact counterpart.*--partial'):
        convert(weights, 'timm')
    for name in ('mmpretrain', 'timm', 'mmdet'):
        result = convert(weights, name, window_size=8, partial=True)
        assert len(result.report['new']) == 3 * 3 and len(verify(weights, result, name)) == 1
        assert (
            verify(weights, result, name)[0] < 1e-4
        )  # the norm of the embedding has another epsilon


@pytest.mark.parametrize('model', [UMPVT, UMViT])
def test_others_stay_with_mmum(model):
    arch = dict(
        embed_dims=(16, 32, 64, 128),
        depths=(1, 1, 1, 1),
        num_heads=(1, 2, 4, 8),
        mlp_ratios=(2, 2, 2, 2),
    )
    if model is UMViT:
        arch = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
    weights = {f'backbone.{k}': v for k, v in model(arch).state_dict().items()}
    weights['neck.mask_token'] = torch.zeros(1)
    assert set(convert(weights, 'mmum').weights) == set(weights) - {'neck.mask_token'}
    assert set(convert(weights, 'mmum', whole=True).weights) == set(weights)
    with pytest.raises(InputError, match='no counterpart in timm'):
        convert(weights, 'timm')


def _faulty(weights):
    timm = convert(weights, 'timm').weights
    deeper = {**timm, 'layers.0.blocks.2.norm1.weight': torch.zeros(16)}
    wider = {**timm, 'layers.2.blocks.1.attn.qkv.weight': torch.zeros(9, 64)}
    table = {**timm, 'layers.0.blocks.1.attn.relative_position_bias_table': torch.zeros(100, 1)}
    return {
        'wrong dialect': (
            timm,
            dict(source='microsoft'),
            r'not a Swin in the names of microsoft.*look like those of timm',
        ),
        'another code base': (
            weights,
            dict(source='timm'),
            r'not a Swin in the names of timm.*look like those of mmum',
        ),
        'depth': (deeper, {}, r'missing layers\.0\.blocks\.2\.'),
        'width': (
            wider,
            {},
            r'stages\.2\.blocks\.1\.attn\.w_msa\.qkv\.weight is \(9, 64\) and should be \(192, '
            r'64\)',
        ),
        'table': (table, {}, r'should be \(169, 1\)'),
        'unknown': (
            {**timm, 'layers.0.blocks.0.surprise': torch.zeros(1)},
            {},
            r'unknown layers\.0\.blocks\.0\.surprise',
        ),
        'something else': ({'a.b': torch.zeros(1)}, {}, 'of no backbone that is known here'),
        'window': (timm, dict(window_size=0), '--window-size 0'),
        'whole': (timm, dict(whole=True), '--whole is for'),
    }


@pytest.mark.parametrize(
    'case',
    [
        'wrong dialect',
        'another code base',
        'depth',
        'width',
        'table',
        'unknown',
        'something else',
        'window',
        'whole',
    ],
)
def test_bad_input(weights, case):
    faulty, options, sentence = _faulty(weights)[case]
    with pytest.raises(InputError, match=sentence):
        convert(faulty, 'mmdet', **options)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_files(weights, tmp_path, suffix):
    path = tmp_path / f'swin{suffix}'
    content = dict(model=weights) if suffix == '.pth' else weights
    write_checkpoint(path, content, source='x')
    read = weights_of(read_checkpoint(path))
    assert read.keys() == weights.keys() and all(torch.equal(read[k], weights[k]) for k in weights)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('dtype, tolerance', [('float16', 5e-3), ('bfloat16', 5e-2)])
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_half_of_the_bytes_and_nearly_the_same_features(
    weights, tmp_path, suffix, dtype, tolerance
):
    files = [tmp_path / f'{name}{suffix}' for name in ('source', 'full', 'half', 'window')]
    write_checkpoint(files[0], weights)
    export(files[0], files[1])
    export(files[0], files[2], dtype=dtype)
    export(files[2], files[3], window_size=5)  # tables are resized in float32
    full, half = (path.stat().st_size for path in files[1:3])
    assert half < 0.6 * full
    stored = read_checkpoint(files[2])
    tensors = weights_of(stored.get('state_dict', stored))
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    images = torch.randn(1, 3, 64, 64)
    a, b = (stock() for _ in range(2))
    for model, path in ((a, files[1]), (b, files[2])):
        load_backbone(model, weights_of(read_checkpoint(path)))
        model.eval()
    for ours, theirs in zip(a(images), b(images), strict=True):
        assert 0 < (ours - theirs).abs().max() < tolerance * theirs.abs().max()
