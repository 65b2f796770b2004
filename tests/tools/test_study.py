"""tools/study.py on a tiny mini set: every run, its table and chart, and going on."""

import json
from pathlib import Path

import cv2
import pytest
from benchmarks import runs, transfer

from tests.helpers import ROOT, SMALL_DETECTOR, SMALL_PRETRAINING, call_tool

pytestmark = pytest.mark.slow


def run_here(name, log, *command, **env):
    """A stage in this process, which is spared the imports."""
    code, output = call_tool(Path(command[0]).relative_to(ROOT), *command[1:])
    assert code == 0, output[-3000:]
    Path(log).write_text(output)
    return 1.0, output


def test_a_study_and_going_on_with_it(mini, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, 'run_stage', run_here)

    def study(*arguments):
        return call_tool(
            'tools/study.py',
            'transfer',
            '--data',
            mini,
            '--work-dir',
            tmp_path / 'study',
            '--seeds',
            3,
            '--heads',
            'mask_rcnn',
            '--starts',
            'scratch',
            'simmim',
            *arguments,
        )

    options = [
        '--pretrain-options',
        *(option for option in SMALL_PRETRAINING if 'neck.embed_dims' not in option),
        '--detect-options',
        *SMALL_DETECTOR,
    ]
    code, output = study(*options)
    assert code == 0, output[-3000:]
    found = json.loads((tmp_path / 'study' / 'transfer.json').read_text())
    assert [run['method'] for run in found['pretraining']] == ['simmim']
    assert [run['start'] for run in found['runs']] == ['scratch', 'simmim']
    assert all(
        0 <= run['ap']['segm_mAP'] <= 1 and run['seconds'] > 0 and run['seed'] == 3
        for run in found['runs']
    )
    assert (tmp_path / 'study' / 'transfer.md').read_text() == transfer.table(found)
    assert cv2.imread(str(tmp_path / 'study' / 'transfer.png')).shape[0] > 200
    assert '[3/3]' in output and '| Mask R-CNN | SimMIM |' in output
    log = (tmp_path / 'study' / 'mask_rcnn_simmim_3.log').read_text()
    assert 'pretrain_simmim_3/backbone.safetensors' in log and 'unused: 0' in log
    # nothing is made twice
    monkeypatch.setattr(runs, 'run_stage', None)
    code, output = study(*options)
    assert code == 0 and output.count('was there') == 3, output[-3000:]
    again = json.loads((tmp_path / 'study' / 'transfer.json').read_text())
    assert again['runs'] == found['runs']
    code, output = study()
    assert code == 2 and 'holds a run with other settings' in output.splitlines()[-1]


def test_the_table_and_who_is_ahead():
    runs = [
        dict(
            head='htc', start=start, seed=seed, seconds=10.0, ap=dict.fromkeys(transfer.METRICS, ap)
        )
        for seed, pair in enumerate([(0.1, 0.2), (0.3, 0.25), (0.2, 0.4)])
        for start, ap in zip(('scratch', 'um_mae'), pair)
    ]
    result = dict(
        provenance=dict(command='c', hardware='h', date='d', versions=dict(torch='t', mmum='m')),
        runs=runs,
        settings=dict(once=True, pretrain_options=[], detect_options=[]),
        pretraining=[],
    )
    table = transfer.table(result)
    assert (
        '| HTC (without semantic) | UM-MAE | 28.3 (20.0-40.0) |' in table and '| 2 of 3 |' in table
    )
    assert '`c`, h, torch t, mmum m, d.' in table and 'one pre-training a method' in table


def test_all_three_heads_share_data_and_schedule():
    """What is compared are heads and starts, nothing else."""
    from mmum.engine.config import load_config

    configs = [
        load_config(str(ROOT / 'configs' / 'detection' / name)) for name in transfer.HEADS.values()
    ]
    for key in (
        'train_dataloader',
        'val_dataloader',
        'param_scheduler',
        'optim_wrapper',
        'train_cfg',
    ):
        assert configs[0][key] == configs[1][key] == configs[2][key]
    assert [cfg.model.type for cfg in configs] == ['MaskRCNN', 'CascadeRCNN', 'HybridTaskCascade']
    assert configs[0].model.backbone == configs[1].model.backbone == configs[2].model.backbone
    one, other = (
        load_config(str(ROOT / 'configs' / 'selfsup' / name))
        for name in transfer.STARTS.values()
        if name
    )
    for key in ('param_scheduler', 'optim_wrapper', 'train_cfg'):
        assert one[key] == other[key]
    assert (
        one.model.backbone.arch == other.model.backbone.arch
        and one.train_pipeline[:3] == other.train_pipeline[:3]
    )


@pytest.mark.parametrize(
    'arguments, sentence',
    [
        (['--seeds', '1', '1'], '--seeds 1 1 should be different numbers'),
        (['--jobs', '0'], '--jobs 0 should be at least 1'),
        (['--out', 'x.txt'], '--out x.txt should end in .json'),
        (['--out', '/proc/x/y.json'], '/proc/x/y.json cannot be written'),
    ],
)
def test_bad_arguments(arguments, sentence):
    code, output = call_tool('tools/study.py', 'transfer', *arguments)
    assert code == 2 and sentence in output.splitlines()[-1]
