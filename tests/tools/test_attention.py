"""Attention of a decoder by distance."""

import cv2
import numpy as np
import pytest
import torch
from benchmarks import attention
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mmum.engine import load_config
from mmum.errors import InputError


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Two images that are large enough, and one that is not."""
    folder = tmp_path_factory.mktemp('images')
    random = np.random.RandomState(0)
    for name, size in (('a', (140, 150)), ('b', (60, 200)), ('c', (128, 128))):
        cv2.imwrite(str(folder / f'{name}.png'), random.randint(0, 256, (*size, 3), np.uint8))
    return folder


def write_checkpoint(path, config='um_mae_swin_nano_nuclei', **neck):
    """A checkpoint whose decoder attends to all units alike, but for a bias."""
    cfg = load_config(config, dict(model=dict(neck=neck)))
    init_default_scope('mmpretrain')
    model = MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor})
    for parameter in model.neck.blocks[0].attn.qkv.parameters():
        torch.nn.init.zeros_(parameter)
    return save(path, cfg, model.state_dict())


def save(path, cfg, weights):
    """In a work directory, as a training does."""
    path.parent.mkdir()
    cfg.dump(str(path.with_name('config.py')))
    torch.save(dict(meta=dict(iter=5), state_dict=weights), path)
    return str(path)


def test_attention_by_distance(tmp_path, folder):
    paths = [
        write_checkpoint(tmp_path / 'even' / 'iter_5.pth'),
        write_checkpoint(tmp_path / 'near' / 'iter_5.pth', distance_bias=2),
    ]
    found = attention.measure(paths, str(folder), 2, print)
    even, near = found['rows']
    assert even['steps'] == 5 and len(even['shares']) == 4
    uniform = found['uniform']
    # a quarter of the 64 units is sampled, and a removed one is not at distance 0 from any
    assert sum(uniform) == pytest.approx(0.25)
    assert even['shares'] == [pytest.approx(uniform, abs=1e-6)] * 4
    steepest, *_, flattest = [head[0] / head[2] for head in near['shares']]
    assert steepest > flattest > 10 * uniform[0] / uniform[2]
    text = attention.table(dict(found, provenance=attention_provenance()))
    assert '| even | 5 |' in text and '| near | 5 |' in text


def attention_provenance():
    made = dict(hardware='1 CPU core', date='2026-01-01', versions=dict(mmum='0', torch='0'))
    return dict(command='python tools/benchmark.py attention', **made)


def test_bad_input(tmp_path, folder):
    path = write_checkpoint(tmp_path / 'even' / 'iter_5.pth')
    with pytest.raises(InputError, match='has 2 images of at least 128x128 px: --images 3'):
        attention.measure([path], str(folder), 3, print)
    cross = save(
        tmp_path / 'cross' / 'iter_5.pth', load_config('um_cross_mae_swin_nano_nuclei'), {}
    )
    lonely = str(tmp_path / 'iter_5.pth')
    for path in (cross, lonely):
        with pytest.raises(InputError, match=f'{path} has no config beside it of a pre-training'):
            attention.measure([path], str(folder), 2, print)
