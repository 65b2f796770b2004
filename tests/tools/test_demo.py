"""tools/demo.py and tools/prepare_data.py."""

import importlib.util
import json
import re

import cv2
import pytest

from tests.helpers import ROOT, SMALL_DETECTOR, SMALL_PRETRAINING, run_tool


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
    )
    results = json.loads((tmp_path / 'results.json').read_text())
    (run,) = results['runs']
    assert set(run['ap']) == {'from scratch', 'pre-trained'}
    assert len(run['seconds']) == 5
    table = (tmp_path / 'results.md').read_text()
    assert table in result.stdout
    for start, ap in run['ap'].items():
        assert f'| {start} | {100 * ap["bbox_mAP"]:.1f} |' in table
    assert 'UMSwin: from scratch' in (tmp_path / 'from_scratch.log').read_text()
    assert re.search(r'loaded: \d\d+ ', (tmp_path / 'pre-trained.log').read_text())
    assert cv2.imread(str(tmp_path / 'reconstruction.png')).shape == (4 * 136, 3 * 136, 3)
    assert cv2.imread(str(tmp_path / 'detections.png')).shape == (3 * (256 + 24), 4 * 256, 3)


def test_a_stage_that_fails_is_named(mini, tmp_path):
    result = run_tool(
        'tools/demo.py',
        '--out',
        tmp_path,
        '--data',
        mini,
        '--pretrain-options',
        'model.backbone.arch=huge',
        check=False,
    )
    assert result.returncode == 2
    assert 'error: the stage "Pre-training on unlabelled images" stopped' in result.stderr
    assert "unknown arch 'huge'" in result.stderr


def test_prepare_data(tmp_path):
    result = run_tool(
        'tools/prepare_data.py',
        'mini',
        '--out',
        tmp_path / 'a',
        '--unlabelled',
        2,
        '--train',
        2,
        '--val',
        1,
        '--size',
        64,
        '--seed',
        3,
    )
    assert '2 unlabelled, 2 train, 1 val images' in result.stdout
    assert len(list((tmp_path / 'a').rglob('*.jpg'))) == 5
    assert [path.name for path in tmp_path.iterdir()] == ['a']


@pytest.mark.parametrize(
    'arguments, sentence',
    [
        (['--out', '{tmp}', '--train', '0'], '--train 0 should be at least 1'),
        (['--out', '{tmp}/full'], 'full exists and is not empty'),
        (['--out', '{tmp}/full/file'], 'file exists'),
    ],
)
def test_prepare_data_with_bad_arguments(arguments, sentence, tmp_path):
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'file').touch()
    result = run_tool(
        'tools/prepare_data.py', 'mini', *(a.format(tmp=tmp_path) for a in arguments), check=False
    )
    assert (
        result.returncode == 2
        and f'{sentence}' in result.stderr
        and 'Traceback' not in result.stderr
    )


@pytest.mark.parametrize('page', ['README.md', 'docs/results.md'])
def test_pages_show_the_measured_table(page):
    measured = json.loads((ROOT / 'docs' / 'results' / 'demo.json').read_text())
    assert len(measured['runs']) >= 3
    shown = (
        (ROOT / page)
        .read_text()
        .split('<!-- demo table -->\n')[1]
        .split('<!-- end of demo table -->')[0]
    )
    spec = importlib.util.spec_from_file_location('demo', ROOT / 'tools' / 'demo.py')
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    assert shown == demo.table(measured), 'stale: python tools/demo.py --publish FOLDER'
