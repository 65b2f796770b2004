"""The example of docs/add-a-backbone.md keeps the contract of all backbones, and is short."""

import re
import sys
from types import ModuleType

import torch
from mmengine.registry import MODELS

from tests.contract import BackboneContract
from tests.helpers import ROOT, data_samples, mask_maps

PAGE = (ROOT / 'docs' / 'add-a-backbone.md').read_text()
CODE, _ = re.findall(r'```python\n(.*?)```', PAGE, flags=re.S)
if 'PlainWindow' not in MODELS:
    # a module like any other, so that its classes can be pickled
    sys.modules['example_backbone'] = ModuleType('example_backbone')
    exec(compile(CODE, 'docs/add-a-backbone.md', 'exec'), vars(sys.modules['example_backbone']))


class TestPlainWindow(BackboneContract):
    config = dict(type='PlainWindow')


def test_the_example_is_short():
    """Less than 80 lines beside its layers."""
    own = CODE[CODE.index('@MODELS') :]
    assert len(own.splitlines()) < 80


def test_it_learns():
    model = MODELS.build(
        dict(
            type='mmpretrain.UMMAE',
            backbone=dict(type='PlainWindow'),
            neck=dict(type='UMDecoder', in_channels=256, embed_dims=32, num_heads=4),
            head=dict(type='UMHead'),
        )
    )
    model.init_weights()
    images, samples = torch.rand(2, 3, 128, 128), data_samples(mask_maps(2, (8, 8)))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    losses = []
    for _ in range(6):
        loss = model(images, samples, mode='loss')['loss']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
