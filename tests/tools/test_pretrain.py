"""tools/train.py and tools/test.py on a tiny mini set: pre-training."""

import json
import pickle
import re

import cv2
import numpy as np
import pytest
import torch

from tests.helpers import ROOT, SMALL_PRETRAINING, call_tool, free_port, run_tool

pytestmark = pytest.mark.slow

CONFIG = ROOT / 'configs' / 'selfsup' / 'um_mae_swin_nano_mini.py'


def losses(work_dir):
    """(epoch, iteration, loss) of every logged step."""
    lines = [
        json.loads(line)
        for log in sorted(work_dir.glob('*/vis_data/2*.json'))
        for line in log.read_text().splitlines()
    ]
    return [(line['epoch'], line['iter'], line['loss']) for line in lines if 'loss' in line]


@pytest.fixture(scope='module')
def trained(mini, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('pretrain')
    run_tool(
        'tools/train.py',
        CONFIG,
        '--work-dir',
        work_dir,
        '--amp',
        '--cfg-options',
        f'data_root={mini}/unlabelled',
        *SMALL_PRETRAINING,
    )
    return work_dir


def test_training(trained):
    steps = losses(trained)
    assert [step[0] for step in steps] == [1] * 4 + [2] * 4  # 16 images, batch 4
    assert all(0 < loss < 10 for *_, loss in steps)
    state = torch.load(trained / 'epoch_2.pth', weights_only=False)['state_dict']
    assert {name.split('.')[0] for name in state} >= {'backbone', 'neck'}
    # rows of masked input, reconstruction, original, with borders of 4
    assert cv2.imread(str(trained / 'reconstruction' / 'epoch_2.png')).shape == (
        4 * 136,
        3 * 136,
        3,
    )


def test_the_same_seed_repeats_the_run(trained, mini, tmp_path):
    run_tool(
        'tools/train.py',
        CONFIG,
        '--work-dir',
        tmp_path,
        '--amp',
        '--cfg-options',
        f'data_root={mini}/unlabelled',
        *SMALL_PRETRAINING,
    )
    assert losses(tmp_path) == losses(trained)


def test_testing(trained, mini, tmp_path):
    result = run_tool(
        'tools/test.py',
        CONFIG,
        trained / 'epoch_2.pth',
        '--work-dir',
        tmp_path / 'work',
        '--out',
        tmp_path / 'out.pkl',
        '--show-dir',
        tmp_path / 'pictures',
        '--cfg-options',
        f'data_root={mini}/unlabelled',
        *SMALL_PRETRAINING,
    )
    loss = float(re.search(r'reconstruction/loss: ([0-9.]+)', result.stdout + result.stderr)[1])
    each = [
        sample['reconstruction_loss']
        for sample in pickle.loads((tmp_path / 'out.pkl').read_bytes())
    ]
    assert len(each) == 16
    assert loss == pytest.approx(sum(each) / 16, abs=1e-3)
    assert cv2.imread(str(next((tmp_path / 'pictures').glob('*.png')))).shape[1] == 3 * 136


def test_resume(trained, mini, tmp_path):
    """--resume starts where the last checkpoint ended, and draws the same images."""
    options = [
        '--cfg-options',
        f'data_root={mini}/unlabelled',
        *SMALL_PRETRAINING,
        'train_dataloader.num_workers=0',
    ]
    run_tool('tools/train.py', CONFIG, '--work-dir', tmp_path, *options, 'train_cfg.max_epochs=1')
    run_tool('tools/train.py', CONFIG, '--work-dir', tmp_path, '--resume', *options)
    assert [step[0] for step in losses(tmp_path)] == [1] * 4 + [2] * 4
    assert (tmp_path / 'last_checkpoint').read_text().endswith('epoch_2.pth')
    before, after = (
        cv2.imread(str(tmp_path / 'reconstruction' / f'epoch_{epoch}.png')) for epoch in (1, 2)
    )
    side = before.shape[1] // 3
    for column in (0, 2):  # masked input and original; the reconstruction differs
        columns = slice(column * side, (column + 1) * side)
        np.testing.assert_array_equal(before[:, columns], after[:, columns])
    assert (before != after).any()


def test_two_ranks(mini, tmp_path):
    """Two processes with gloo share the images of every epoch, and those of the test."""
    options = ['--cfg-options', f'data_root={mini}/unlabelled', *SMALL_PRETRAINING]
    run_tool(
        'tools/dist_train.sh',
        CONFIG,
        2,
        '--work-dir',
        tmp_path,
        *options,
        OMP_NUM_THREADS='1',
        PORT=free_port(),
    )
    assert [step[0] for step in losses(tmp_path)] == [1, 1, 2, 2]  # 16 images, 2 ranks x batch 4
    result = run_tool(
        'tools/dist_test.sh',
        CONFIG,
        tmp_path / 'epoch_2.pth',
        2,
        '--work-dir',
        tmp_path / 'test',
        *options,
        'test_dataloader.batch_size=4',
        OMP_NUM_THREADS='1',
        PORT=free_port(),
    )
    assert re.search(r'reconstruction/loss: [0-9.]+', result.stdout + result.stderr)


BAD = {
    'no images': (['data_root={tmp}/empty'], 'holds no images'),
    'missing root': (['data_root={tmp}/absent'], 'absent/? does not exist'),
    'cut image': (['data_root={tmp}/cut'], r'2 of 4 images cannot be read, 2 of them in .*cut '),
    'size': (['train_dataloader.dataset.pipeline.3.input_size=100'], '100x100 .* multiples of 64'),
    'crop and mask differ': (
        ['train_dataloader.dataset.pipeline.3.input_size=192'],
        'does not fit images of 128x128',
    ),
    'arch': (['model.backbone.arch=huge'], "unknown arch 'huge'"),
    'load_from': (['load_from={tmp}/text.pth'], 'text.pth is not a checkpoint'),
}


@pytest.mark.parametrize('case', BAD)
def test_bad_input_gets_one_sentence(case, mini, tmp_path):
    options, sentence = BAD[case]
    for name in ('empty', 'cut'):
        (tmp_path / name).mkdir()
    for i in range(4):
        (tmp_path / 'cut' / f'{"abcd"[i]}.jpg').write_bytes(
            (mini / 'unlabelled' / '000000.jpg').read_bytes()[:2000]
        )
    (tmp_path / 'text.pth').write_text('no checkpoint')
    options = [option.format(tmp=tmp_path) for option in options]
    if not any(option.startswith('data_root') for option in options):
        options.append(f'data_root={mini}/unlabelled')
    small = [option for option in SMALL_PRETRAINING if not (case == 'arch' and 'arch' in option)]
    code, output = call_tool(
        'tools/train.py',
        CONFIG,
        '--work-dir',
        tmp_path / 'work',
        '--cfg-options',
        *small,
        *options,
        'train_dataloader.num_workers=0',
    )
    assert code == 2
    last = output.strip().splitlines()[-1]
    assert last.startswith('error: ')
    assert re.search(sentence, last), last
    assert 'Traceback' not in output
    assert not list((tmp_path / 'work').glob('*.pth'))
