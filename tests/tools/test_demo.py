"""tools/demo.py: every stage, the table, the pictures."""

import json

import cv2
import pytest
from benchmarks import transfer

from tests.helpers import SMALL_DETECTOR, SMALL_PRETRAINING, run_tool


@pytest.mark.slow
def test_demo_runs_every_stage(mini, tmp_path):
    result = run_tool(
        'tools/demo.py',
        '--out',
        tmp_path,
        '--data',
        mini,
        '--pretrain-options',
        *SMALL_PRETRAINING,
        '--detect-options',
        *SMALL_DETECTOR,
        '--detect-epochs',
        2,
    )
    found = json.loads((tmp_path / 'result.json').read_text())
    assert [run['start'] for run in found['runs']] == ['scratch', 'um_mae']
    table = (tmp_path / 'result.md').read_text()
    assert table in result.stdout and table == transfer.table(found)
    for run in found['runs']:
        assert f'| {100 * run["ap"]["bbox_mAP"]:.1f} |' in table
    log = (tmp_path / 'mask_rcnn_scratch_0.log').read_text()
    assert 'UMSwin: from scratch' in log
    assert 'Detectors: 2 epochs. ' in table
    assert 'Epoch(train) [2][2/2]' in log and 'Epoch(train) [3]' not in log
    assert 'loaded: ' in (tmp_path / 'mask_rcnn_um_mae_0.log').read_text()
    assert cv2.imread(str(tmp_path / 'reconstruction.png')).shape == (4 * 136, 3 * 136, 3)
    assert cv2.imread(str(tmp_path / 'detections.png')).shape == (3 * (256 + 24), 4 * 256, 3)


@pytest.mark.slow
def test_a_stage_that_fails_is_named(mini, tmp_path):
    result = run_tool(
        'tools/demo.py',
        '--out',
        tmp_path,
        '--data',
        mini,
        '--pretrain-options',
        'model.backbone.arch=huge',
        '--detect-options',
        *SMALL_DETECTOR,
        '--detect-epochs',
        1,
        check=False,
    )
    assert result.returncode == 2
    assert 'error: the stage "pre-training UM-MAE, seed 0" stopped' in result.stderr
    assert "unknown arch 'huge'" in result.stderr
