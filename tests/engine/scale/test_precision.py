"""Training under autocast: what is repeated in the backward is repeated in the same precision."""

import pytest
import torch
from mmpretrain.registry import MODELS

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
