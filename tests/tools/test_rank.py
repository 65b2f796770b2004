"""Effective rank of features, beside the AP of detectors."""

import json

import cv2
import numpy as np
import pytest
import torch
from benchmarks import rank
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from safetensors.torch import save_file

from mmum.engine import load_config
from mmum.errors import InputError
from tests.helpers import call_tool


@pytest.mark.parametrize('number', [1, 3, 8])
def test_the_rank_is_the_number_of_directions(number):
    directions = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64))[0][:number]
    features = torch.cat([directions, -directions])
    assert rank.effective_rank(features) == pytest.approx(number)
    # neither a shift nor a scale counts, and one direction among many hardly does
    assert rank.effective_rank(5 * features + 100) == pytest.approx(number)
    weak = torch.cat([features, 1e-6 * torch.randn(2, 8, dtype=torch.float64)])
    assert rank.effective_rank(weak) == pytest.approx(number, rel=1e-3)


def record(detectors):
    """The record of a study: a pre-training in the folder p, and the AP of tested detectors by the
    folder that they started from, their steps and their seed."""
    pretraining = ['um_mae.py', '--iters', '9', 'randomness.seed=0']
    runs = dict(p=dict(command=pretraining))
    for (start, steps, seed), ap in detectors.items():
        detector = ['mask_rcnn.py', '--iters', str(steps), f'randomness.seed={seed}']
        detector += ['from', *pretraining] if start else []
        name = f'{start}_{steps}_{seed}'
        runs[f'detect_{name}'] = dict(command=detector, ap=dict(segm_mAP=0.0))
        test = ['mask_rcnn.py', 'ann_file=report.json', 'from', *detector]
        runs[f'test_{name}'] = dict(command=test, ap=dict(segm_mAP=ap))
    return runs


def test_detectors_are_found_by_what_they_started_from():
    runs = record(
        {
            ('p', 500, 1): 0.5,
            ('p', 500, 0): 0.4,
            ('p', 900, 0): 0.9,
            ('', 500, 0): 0.2,
        }
    )
    assert rank.ap_after('p', runs, 500) == [0.4, 0.5] and rank.ap_after('p', runs, 900) == [0.9]
    assert rank.ap_after(None, runs, 500) == [0.2] and rank.ap_after('other', runs, 500) == []
    runs['test_again_0'] = runs['test_p_500_0']
    with pytest.raises(InputError, match='several detectors of 500 steps of seed 0 after p'):
        rank.ap_after('p', runs, 500)


def test_the_command(tmp_path):
    random = np.random.RandomState(0)
    (tmp_path / 'images').mkdir()
    for name in 'ab':
        cv2.imwrite(
            str(tmp_path / 'images' / f'{name}.png'),
            random.randint(0, 256, (130, 128, 3), np.uint8),
        )
    cfg = load_config('um_mae_swin_nano_nuclei')
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    backbone = MODELS.build(cfg.model.backbone)
    backbone.init_weights()
    weights = {f'backbone.{name}': value.clone() for name, value in backbone.state_dict().items()}
    narrow = dict(weights)  # only two channels of the last stage vary
    narrow['backbone.norm3.weight'] = torch.arange(384).lt(2).float()
    for name, content in {'p': weights, 'lr=1': weights, 'q=1': narrow}.items():
        (tmp_path / name).mkdir()
        save_file(content, tmp_path / name / 'backbone.safetensors')
    scores = tmp_path / 'study.json'
    scores.write_text(json.dumps(dict(record=record({('p', 500, 0): 0.4, ('', 500, 0): 0.2}))))
    code, output = call_tool(
        'tools/benchmark.py',
        'rank',
        tmp_path / 'p' / 'backbone.safetensors',
        tmp_path / 'lr=1' / 'backbone.safetensors',
        f'of a name={tmp_path / "q=1" / "backbone.safetensors"}',
        *('--folder', tmp_path / 'images', '--images', 2),
        *('--scores', scores, '--out', tmp_path / 'rank.json'),
    )
    assert code == 0, output[-3000:]
    result = json.loads((tmp_path / 'rank.json').read_text())
    assert result['settings']['folder'] == str(tmp_path / 'images')
    rows = result['rows']
    assert [row['name'] for row in rows] == ['untrained', 'p', 'lr=1', 'of a name']
    assert [row['ap'] for row in rows] == [[0.2], [0.4], [], []]
    untrained, p, _, q = rows
    # p has the random weights of the same seed
    assert untrained['ranks'] == pytest.approx(p['ranks']) and len(p['ranks']) == 4
    assert q['ranks'][:3] == pytest.approx(p['ranks'][:3])
    assert 1 <= q['ranks'][3] <= 2 < p['ranks'][3] < 384
    assert '| 40.0 |' in output and '| of a name |' in output
    code, output = call_tool(
        'tools/benchmark.py', 'rank', 'x.pth', '--folder', tmp_path / 'images', '--images', 2
    )
    assert code == 2 and 'x.pth does not exist' in output
