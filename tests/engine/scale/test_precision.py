"""Training under autocast: what is repeated in the backward is repeated in the same precision, and
boxes of detectors are not rounded."""

import pytest
import torch
from mmdet.registry import MODELS as DETECTORS
from mmpretrain.registry import MODELS

from mmum.engine.scale import BFloat16DetectorOptimWrapper
from mmum.engine.scale.precision import parts_of
from tests.helpers import SMALL_ARCH, data_samples, mask_maps

BACKBONES = dict(
    UMSwin=dict(arch=SMALL_ARCH),
    UMStockSwin=dict(arch=SMALL_ARCH, window_size=16, drop_path_rate=0.0),
    UMPVT=dict(
        arch=dict(
            embed_dims=(16, 32, 64, 128),
            depths=(1, 1, 1, 1),
            num_heads=(1, 2, 4, 8),
            mlp_ratios=(2, 2, 2, 2),
        )
    ),
)


@pytest.mark.parametrize('name', BACKBONES)
def test_gradients_in_bfloat16_are_close(name):
    model = MODELS.build(
        dict(
            type='UMMAE',
            backbone=dict(type=name, **BACKBONES[name]),
            neck=dict(type='UMDecoder', in_channels=128, embed_dims=32, depth=2, num_heads=2),
            head=dict(type='UMHead'),
        )
    )
    model.init_weights()
    model.train()
    images, samples = torch.randn(2, 3, 128, 128), data_samples(mask_maps(2, (8, 8)))
    gradients = []
    for enabled in (False, True):
        model.zero_grad()
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            loss = model(images, samples, 'loss')['loss']
        loss.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    exact, rough = gradients
    assert rough.dtype == torch.float32 and rough.isfinite().all()
    assert torch.nn.functional.cosine_similarity(exact, rough, 0) > 0.99


@pytest.fixture
def detector():
    from mmengine.registry import init_default_scope

    from mmum.engine.config import load_config

    cfg = load_config('mask-rcnn_um-swin-nano_fpn_mini')
    init_default_scope('mmdet')
    return DETECTORS.build(cfg.model)


def test_parts_of_a_detector_hand_on_float32(detector):
    parts = parts_of(detector)
    heads = detector.rpn_head, detector.roi_head.bbox_head, detector.roi_head.mask_head
    assert {*parts} == {detector.backbone, detector.neck, *heads} and len(parts) == 5
    seen = {}
    convolution = detector.neck.fpn_convs[0].conv
    convolution.register_forward_hook(lambda _, __, out: seen.update(inside=out.dtype))
    images = torch.randn(1, 3, 64, 64)
    wrapper = BFloat16DetectorOptimWrapper(torch.optim.SGD(detector.parameters(), 0.1))
    with wrapper.optim_context(detector):
        features = detector.extract_feat(images)
        assert not torch.is_autocast_enabled('cpu')
        assert {feature.dtype for feature in features} == {torch.float32}
        assert seen['inside'] == torch.bfloat16
        with pytest.raises(AssertionError):
            detector.neck(features[:1])
        assert not torch.is_autocast_enabled('cpu')  # also after a failure
    detector.extract_feat(images)
    assert seen['inside'] == torch.float32  # outside it is as before


@pytest.mark.parametrize(
    'gpu, dtype, wrapper',
    [
        (True, 'auto', 'AmpOptimWrapper'),
        (True, 'bf16', 'BFloat16DetectorOptimWrapper'),
        (False, 'auto', 'BFloat16DetectorOptimWrapper'),
        (False, 'bf16', 'BFloat16DetectorOptimWrapper'),
    ],
)
def test_the_precision_of_detectors(gpu, dtype, wrapper, monkeypatch):
    from mmum.engine.config import load_config, options

    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpu)
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda: True)
    monkeypatch.setattr(options, 'cpu_has_bfloat16', lambda: True)
    cfg = load_config('mask-rcnn_um-swin-nano_fpn_mini')
    options.set_amp(cfg, dtype)
    assert cfg.optim_wrapper.type == wrapper
    monkeypatch.setattr(options, 'cpu_has_bfloat16', lambda: False)
    if not gpu and dtype == 'auto':  # slower than float32 there
        cfg = load_config('mask-rcnn_um-swin-nano_fpn_mini')
        options.set_amp(cfg, dtype)
        assert cfg.optim_wrapper.type == 'OptimWrapper'
