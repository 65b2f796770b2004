"""mmum.pretrain: the same as mmum train, from Python."""

import json

import pytest
import torch
from safetensors.torch import load_file

import mmum
from mmum.errors import InputError
from tests.helpers import SMALL_ARCH

SMALL = dict(
    model='swin_nano',
    batch_size=4,
    amp=False,
    **{
        'model.backbone.arch': SMALL_ARCH,
        'model.neck.in_channels': 128,
        'model.neck.embed_dims': 32,
        'train_dataloader.num_workers': 0,
        'default_hooks.logger.interval': 2,
    },
)


def rates(out):
    """Learning rates that a run logged, by step."""
    lines = [
        json.loads(line)
        for log in sorted(out.glob('*/vis_data/scalars.json'))
        for line in log.read_text().splitlines()
    ]
    return {line['iter']: line['lr'] for line in lines if 'lr' in line}


@pytest.mark.slow
def test_twice_in_one_process_and_resumed(mini, tmp_path):
    """Equal weights; what is there already is not made again, and more epochs follow on."""
    data = mini / 'unlabelled'
    files = [mmum.pretrain(data, tmp_path / name, epochs=2, **SMALL) for name in 'ab']
    assert files[1] == str(tmp_path / 'b' / 'backbone.safetensors')
    one, two = map(load_file, files)
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert len(list((tmp_path / 'b').glob('2*'))) == 1  # a log of its own
    assert mmum.load_backbone(files[0])(torch.rand(1, 3, 128, 128))[0].shape == (1, 128, 4, 4)
    mmum.pretrain(data, tmp_path / 'a', epochs=4, **SMALL)
    assert (tmp_path / 'a' / 'epoch_4.pth').is_file()
    mmum.pretrain(data, tmp_path / 'c', epochs=4, **SMALL)
    resumed, straight = rates(tmp_path / 'a'), rates(tmp_path / 'c')
    late = [step for step in straight if step > 8]  # the schedule of four epochs, not of two
    assert late and all(resumed[step] == pytest.approx(straight[step]) for step in late)
    with pytest.raises(InputError, match='holds the checkpoints of another run .*pass --resume'):
        mmum.pretrain(data, tmp_path / 'a', resume=False, **SMALL)
    mmum.pretrain(data, tmp_path / 'd', init=files[0], epochs=1, **SMALL)
    assert (tmp_path / 'd' / 'backbone.safetensors').is_file()


@pytest.mark.parametrize(
    'options, sentence',
    [
        (dict(model='swim_tiny'), "model='swim_tiny' is unknown: did you mean swin_tiny?"),
        (dict(model='mask-rcnn_um-swin-t_fpn_1x_coco'), 'is no pre-training: choose one of'),
        (dict(lr=1e-3), 'the option lr changes nothing: the config has no lr'),
        (dict(epochs=0), '--epochs 0 should be at least 1'),
        (dict(init='absent.pth'), 'the checkpoint absent.pth does not exist'),
        (dict(batch_size=64), '16 training images do not fill one batch of 64'),
        (dict(model='swin_nano', work_dirs='x'), 'the option work_dirs changes nothing'),
    ],
)
def test_what_cannot_be(options, sentence, mini, tmp_path):
    with pytest.raises(InputError) as error:
        mmum.pretrain(mini / 'unlabelled', tmp_path, **{**SMALL, **options})
    assert sentence in str(error.value)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match='the image folder .*absent does not exist'):
        mmum.pretrain(tmp_path / 'absent', tmp_path)
