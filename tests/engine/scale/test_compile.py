"""Compiled blocks compute the same."""

from types import SimpleNamespace

import pytest
import torch
from mmpretrain.registry import MODELS

from mmum.engine.scale.compile import CompileBlocksHook
from mmum.errors import InputError
from tests.helpers import data_samples, mask_maps

pytestmark = pytest.mark.slow


def test_loss_and_gradients_are_equal():
    model = MODELS.build(
        dict(
            type='UMMAE',
            backbone=dict(
                type='UMSwin',
                arch=dict(embed_dims=16, depths=(2, 1), num_heads=(1, 2)),
                out_indices=(1,),
            ),
            neck=dict(
                type='UMDecoder', in_channels=32, embed_dims=32, depth=1, num_heads=4, stride=32
            ),
            head=dict(type='UMHead'),
        )
    )
    model.init_weights()
    names = list(model.state_dict())
    images, samples = torch.randn(1, 3, 128, 128), data_samples(mask_maps(1, (8, 8)))
    # two stages end at stride 8: the decoder gets what four would leave
    pool = torch.nn.AvgPool2d(4)
    results = []
    for compiled in (False, True):
        if compiled:
            CompileBlocksHook(backend='aot_eager', dynamic=False).before_train(
                SimpleNamespace(model=model)
            )
        model.zero_grad()
        latent = pool(model.backbone(images, samples[0].mask[None])[-1])
        loss = model.head.loss(
            model.neck(latent, samples[0].mask[None]), images, samples[0].mask[None]
        )
        loss.backward()
        results.append((loss.item(), [p.grad.clone() for p in model.parameters()]))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    for a, b in zip(results[0][1], results[1][1]):
        assert torch.allclose(a, b, atol=1e-5 * max(1.0, float(a.abs().max())))
    assert list(model.state_dict()) == names


def test_nothing_to_compile():
    with pytest.raises(InputError, match='Linear has no blocks of mmum'):
        CompileBlocksHook().before_train(SimpleNamespace(model=torch.nn.Linear(2, 2)))
