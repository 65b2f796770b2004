"""The fast code equals the plain computation, in loss and every gradient."""

import pytest
import torch
from benchmarks.reference import PlainUMMAE
from mmpretrain.registry import MODELS

from tests.helpers import SMALL_ARCH, data_samples, mask_maps


@pytest.mark.parametrize('size, window', [((256, 256), 8), ((256, 512), 4), ((128, 128), 8)])
def test_loss_and_gradients(size, window):
    model = MODELS.build(
        dict(
            type='UMMAE',
            backbone=dict(type='UMSwin', arch=SMALL_ARCH, window_size=window, pos_mlp_dims=8),
            neck=dict(type='UMDecoder', in_channels=128, embed_dims=32, depth=3, num_heads=4),
            head=dict(type='UMHead'),
        )
    )
    model.init_weights()
    with torch.no_grad():  # biases and tokens away from zero
        for p in model.parameters():
            p += 0.05 * torch.randn_like(p)
    images, samples = (
        torch.randn(2, 3, *size),
        data_samples(mask_maps(2, (size[0] // 16, size[1] // 16))),
    )
    results = []
    for one in (model, PlainUMMAE(model)):
        model.zero_grad()
        loss = one(images, samples, mode='loss')['loss']
        loss.backward()
        results.append(
            (loss.item(), {name: p.grad.clone() for name, p in model.named_parameters()})
        )
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    scale = max(grad.abs().max() for grad in results[1][1].values())
    for name, grad in results[1][1].items():
        assert (results[0][1][name] - grad).abs().max() <= 1e-4 * grad.abs().max() + 1e-6 * scale, (
            name
        )
