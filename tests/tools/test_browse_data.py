"""tools/browse_data.py: what a detector and a pre-training are trained on, as pictures."""

import cv2
import numpy as np
import pytest

from tests.helpers import ROOT, call_tool

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    'config, panels',
    [
        ('detection/mask-rcnn_um-swin-nano_fpn_mini.py', 2),
        ('selfsup/um_mae_swin_nano_mini.py', 3),
        ('selfsup/simmim_um_swin_nano_mini.py', 3),
    ],
)
def test_pictures(config, panels, mini, tmp_path):
    root = mini if 'detection' in config else mini / 'unlabelled'
    arguments = ['--number', 2, '--out', tmp_path, '--cfg-options', f'data_root={root}']
    code, output = call_tool('tools/browse_data.py', ROOT / 'configs' / config, *arguments)
    assert code == 0 and '2 pictures in' in output, output[-2000:]
    pictures = {path: cv2.imread(str(path)) for path in sorted(tmp_path.glob('*.png'))}
    assert len(pictures) == 2 and all(
        picture.shape[1] == panels * (128 + 8) for picture in pictures.values()
    )
    if panels == 3:  # three quarters are hidden
        _, crop, masked = (
            one[4:132, 4:132] for one in np.split(pictures[min(pictures)], 3, axis=1)
        )
        assert (crop == masked).all(2).mean() < 0.4
        assert ((masked == 255).all(2).mean() > 0.7) == ('um_mae' in config)
    call_tool('tools/browse_data.py', ROOT / 'configs' / config, *arguments)
    assert all(
        np.array_equal(cv2.imread(str(path)), picture) for path, picture in pictures.items()
    )  # the seed says all


@pytest.mark.parametrize(
    'config',
    ['detection/mask-rcnn_um-swin-nano_fpn_mini.py', 'selfsup/um_mae_swin_nano_mini.py'],
)
def test_data_sets_put_together(config, mini, tmp_path):
    (tmp_path / 'mine.py').write_text(
        f"_base_ = '{ROOT}/configs/{config}'\n"
        'part = _base_.train_dataloader.dataset\n'
        "whole = dict(_delete_=True, type='ConcatDataset', datasets=[part, part])\n"
        'train_dataloader = dict(dataset=whole)\n'
    )
    root = mini if 'detection' in config else mini / 'unlabelled'
    arguments = ['--number', 2, '--out', tmp_path, '--cfg-options', f'data_root={root}']
    code, output = call_tool('tools/browse_data.py', tmp_path / 'mine.py', *arguments)
    assert code == 0, output[-2000:]
    first, last = sorted(tmp_path.glob('*.png'))
    number = 8 if 'detection' in config else 16
    assert first.stem.startswith('0000000_') and last.stem.startswith(f'{2 * number - 1:07d}_')


def test_instances_that_move_are_seen_moving(mini, tmp_path):
    """HTC++: InstaBoost before and after, at the size of the config."""
    dataset = dict(
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/'),
        metainfo=dict(classes=tuple('0123456789')),
    )
    (tmp_path / 'mine.py').write_text(
        f"_base_ = '{ROOT}/configs/detection/htcpp-without-semantic_um-swin-t_fpn_6x_coco.py'\n"
        f'train_dataloader = dict(dataset={dataset})\n'
    )
    code, output = call_tool(
        'tools/browse_data.py',
        tmp_path / 'mine.py',
        '--number',
        1,
        '--out',
        tmp_path,
        '--cfg-options',
        f'data_root={mini}',
    )
    assert code == 0, output[-2000:]
    picture = cv2.imread(str(next(tmp_path.glob('*.png'))))
    assert 400 + 8 <= len(picture) <= 1400 + 8
