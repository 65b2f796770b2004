"""Model FLOP utilisation: counted exactly, and without a trace in the training."""

import json
import re

import pytest
import torch
from benchmarks.cost import training_cost
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from safetensors.torch import load_file

from mmum.engine.utilisation_hook import product_speed
from tests.helpers import ROOT, SMALL_PRETRAINING, data_samples, mask_maps, output_of

pytestmark = pytest.mark.slow
CONFIG = ROOT / 'configs' / 'selfsup' / 'um_mae_swin_nano_mini.py'


def train(mini, folder, *options):
    output = output_of(
        'tools/train.py',
        CONFIG,
        '--work-dir',
        folder,
        '--cfg-options',
        f'data_root={mini}/unlabelled',
        *SMALL_PRETRAINING,
        *options,
    )
    return output, load_file(folder / 'backbone.safetensors')


def test_the_count_is_exact_and_the_training_the_same(mini, tmp_path):
    _, plain = train(mini, tmp_path / 'plain')
    output, counted = train(mini, tmp_path / 'counted', 'custom_hooks.2.on_cpu=True')
    assert plain.keys() == counted.keys()
    assert all(torch.equal(plain[key], counted[key]) for key in plain)
    gflop = float(re.search(r'a step has ([0-9.]+) GFLOP a rank', output)[1])
    cfg = Config.fromfile(tmp_path / 'counted' / CONFIG.name)
    init_default_scope('mmpretrain')
    model = MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor})
    cost = training_cost(model, torch.randn(4, 3, 128, 128), data_samples(mask_maps(4, (8, 8))))
    # attention beside its products is seen by one of the counters only
    assert gflop == pytest.approx(4 * cost['gflop'], rel=0.05)
    scalars = next((tmp_path / 'counted').glob('*/vis_data/scalars.json')).read_text()
    shares = [json.loads(line)['mfu'] for line in scalars.splitlines() if 'mfu' in line]
    assert shares and all(0 < share < 1 for share in shares) and 'mfu: ' in output
    assert 'mfu' not in next((tmp_path / 'plain').glob('*/vis_data/scalars.json')).read_text()


def test_speed_of_a_product():
    speed = product_speed(torch.float32, torch.device('cpu'), repeats=1)
    assert 1e8 < speed < 1e15
