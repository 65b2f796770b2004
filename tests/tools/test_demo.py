"""tools/demo.py: every stage, the table, the pictures."""

import json

import cv2
import pytest
from benchmarks import arms

from mmum.datasets.drawn_nuclei import write_drawn_nuclei
from tests.helpers import SMALL_DETECTOR, SMALL_PRETRAINING, run_tool

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    out = tmp_path_factory.mktemp('drawn') / 'nuclei'
    write_drawn_nuclei(out, train=50, val=6)
    return out


def demo(drawn, out, *arguments, **how):
    small = [o for o in SMALL_PRETRAINING if 'epochs' not in o]
    detector = [o for o in SMALL_DETECTOR if 'epochs' not in o and 'val_interval' not in o]
    steps = ['--pretrain-iters', 2, '--detect-iters', 2]
    steps += ['--pretrain-options', *small, 'custom_hooks.0.interval=1', *arguments]
    steps += ['--detect-options', *detector, 'train_dataloader.batch_size=2']
    return run_tool('tools/demo.py', '--out', out, '--data', drawn, *steps, **how)


def test_demo_runs_every_stage(drawn, tmp_path):
    result = demo(drawn, tmp_path)
    found = json.loads((tmp_path / 'result.json').read_text())
    assert [row['name'] for row in found['rows']] == ['from scratch', 'UM-MAE']
    table = (tmp_path / 'result.md').read_text()
    assert table in result.stdout and table == arms.table(found)
    assert 'Mask R-CNN with a very small Swin on nuclei, 50 labelled images, 2 steps; ' in table
    assert 'pre-training on the 50 training images' in table
    for row in found['rows']:
        assert f'| {100 * row["ap"][0]["bbox_mAP"]:.1f} |' in table
    scratch, pretrained = (
        (tmp_path / f'detect_{name}_lr_0.002_layer_decay_{decay}_choose_{steps}2_0.log').read_text()
        for name, decay, steps in (('from_scratch', 1, ''), ('UM-MAE', 0.75, 'after_2_'))
    )
    assert 'UMSwin: from scratch' in scratch and 'loaded: ' in pretrained
    assert cv2.imread(str(tmp_path / 'reconstruction.png')).shape[1:] == (3 * 136, 3)
    height, width, _ = cv2.imread(str(tmp_path / 'detections.png')).shape
    assert (height, width) == (3 * (256 + 24), 3 * 256)  # truth and two starts, three images


def test_a_stage_that_fails_is_named(drawn, tmp_path):
    result = demo(drawn, tmp_path, 'model.backbone.arch=huge', check=False)
    assert result.returncode == 2
    assert 'error: the stage "pre-training UM-MAE, seed 0" stopped' in result.stderr
    assert "unknown arch 'huge'" in result.stderr
