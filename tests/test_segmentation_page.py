"""Commands and files of docs/segmentation.md, on the mini set with a small backbone."""

import re
import shutil

import cv2
import pytest
import torch

from tests.helpers import ROOT, SMALL_ARCH, call_tool

pytestmark = pytest.mark.slow

PAGE = (ROOT / 'docs' / 'segmentation.md').read_text()
OWN = PAGE[: PAGE.index('## ADE20K')]  # the rest needs ADE20K and GPUs
COMMANDS = re.findall(r'^(python tools/.*)$', OWN, flags=re.M)
LOADERS = [f'{split}_dataloader.num_workers=0' for split in ('train', 'val', 'test')]


@pytest.fixture(scope='module')
def place(mini, tmp_path_factory):
    """A folder as the page has it: DATA, CHECKPOINT, my_segmentation.py."""
    from mmum.models import UMSwin

    folder = tmp_path_factory.mktemp('segmentation')
    shutil.copytree(mini, folder / 'DATA')
    weights = {f'backbone.{k}': v for k, v in UMSwin(SMALL_ARCH).state_dict().items()}
    torch.save(dict(state_dict=weights), folder / 'CHECKPOINT')
    config = re.search(r'```python\n(.*?)```', PAGE, flags=re.S)[1]
    config = config.replace("'configs/", f"'{ROOT}/configs/").replace('channels=512', 'channels=16')
    config = config.replace('(2048, 512), (512, 512)', '(512, 128), (128, 128)')
    arch = 'dict(_delete_=True, embed_dims=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8))'
    small = f"model['backbone'] = dict(arch={arch})\n"
    small += "model['decode_head']['in_channels'] = [16, 32, 64, 128]\n"
    small += "model['auxiliary_head']['in_channels'] = 64\n"
    (folder / 'my_segmentation.py').write_text(config + small)
    return folder


def test_commands_were_found():
    assert len(COMMANDS) == 6 and len(re.findall('```', PAGE)) % 2 == 0


@pytest.mark.parametrize('command', COMMANDS, ids=lambda command: ' '.join(command.split()[1:6]))
def test_command(command, place, monkeypatch):
    """In the order of the page: what one leaves the next one takes."""
    monkeypatch.chdir(place)
    arguments = command.replace('4000', '2').split()[1:]
    if arguments[0] in ('tools/train.py', 'tools/test.py'):
        arguments += LOADERS
    code, output = call_tool(*arguments)
    assert code == 0, output[-3000:]
    if 'train.py' in command:
        assert re.search(r'UMSwin: from CHECKPOINT\n +loaded: \d+ .*\n +resized: 0\n', output)
        assert 'mIoU: ' in output
    if 'test.py' in command:
        assert all(re.search(rf'\| +{name} +\|', output) for name in '0123456789')
    for option, folder in (('show-dir', 'PICTURES'), ('browse', 'LOOK'), ('predict', 'LABELS')):
        if option in command:
            assert cv2.imread(str(next((place / folder).glob('*.*g')))) is not None
    if 'predict' in command:
        assert len(list((place / 'LABELS' / 'labels').glob('*.png'))) == 4


def test_options_of_the_answers(place, monkeypatch):
    monkeypatch.chdir(place)
    code, output = call_tool(
        'tools/train.py',
        'my_segmentation.py',
        '--work-dir',
        'few',
        '--iters',
        1,
        'optim_wrapper.paramwise_cfg.layer_decay_rate=0.9',
        'model.backbone.frozen_stages=1',
        *LOADERS,
    )
    assert code == 0 and 'layer-wise learning-rate decay 0.9' in output, output[-2000:]
