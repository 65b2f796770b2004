"""Every command and file of docs/transfer.md, on the mini set with a small backbone."""

import json
import os
import re
import shutil

import pytest
import torch

from tests.helpers import ROOT, SMALL_ARCH, call_tool, mask_maps

pytestmark = pytest.mark.slow

PAGE = (ROOT / 'docs' / 'transfer.md').read_text()
COMMANDS = re.findall(r'^(python tools/.*)$', PAGE, flags=re.M)
# smaller, but through the same road
SMALL = [
    'model.backbone.arch.embed_dims=16',
    'model.backbone.arch.depths=[2,2,2,2]',
    'model.backbone.arch.num_heads=[1,2,4,8]',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'val_dataloader.num_workers=0',
    'val_dataloader.persistent_workers=False',
    'test_dataloader.num_workers=0',
    'test_dataloader.persistent_workers=False',
]


@pytest.fixture(scope='module')
def place(mini, tmp_path_factory):
    """A folder as the page has it: DATA, CHECKPOINT, my_detector.py."""
    from mmum.models import UMSwin

    folder = tmp_path_factory.mktemp('transfer')
    shutil.copytree(mini, folder / 'DATA')
    file = folder / 'DATA' / 'annotations' / 'train.json'
    content = json.loads(file.read_text())  # four images are enough
    content['images'] = content['images'][:4]
    content['annotations'] = [one for one in content['annotations'] if one['image_id'] <= 4]
    file.write_text(json.dumps(content))
    torch.save(
        dict(state_dict={f'backbone.{k}': v for k, v in UMSwin(SMALL_ARCH).state_dict().items()}),
        folder / 'CHECKPOINT',
    )
    config = re.search(r'```python\n(.*?)```', PAGE, flags=re.S)[1]
    config = config.replace("'configs/", f"'{ROOT}/configs/").replace('(1024, 640)', '(160, 128)')
    arch = 'dict(_delete_=True, embed_dims=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8))'
    small = f"model['backbone'] = dict(arch={arch})\n"
    small += "model['neck'] = dict(in_channels=[16, 32, 64, 128])\n"
    (folder / 'my_detector.py').write_text(config + small)
    return folder


def test_commands_were_found():
    assert len(COMMANDS) == 7 and len(re.findall('```', PAGE)) % 2 == 0


@pytest.mark.parametrize('command', COMMANDS, ids=lambda command: ' '.join(command.split()[1:6]))
def test_command(command, place, monkeypatch):
    """In the order of the page: what one leaves the next one takes."""
    monkeypatch.chdir(place)
    arguments = command.split()[1:]
    epochs = [
        'train_cfg.max_epochs=1',
        'train_cfg.val_interval=1',
        'model.train_cfg.rcnn.sampler.num=32',
        'model.train_cfg.rpn_proposal.max_per_img=100',
    ]
    if arguments[0] == 'tools/train.py':
        arguments += (
            ([] if '--cfg-options' in arguments else ['--cfg-options']) + SMALL[3:] + epochs
        )
    if arguments[0] == 'tools/test.py':
        arguments += ['--cfg-options', *SMALL[3:], 'model.test_cfg.rpn.max_per_img=100']
    arguments = [argument.replace('epoch_12', 'epoch_1') for argument in arguments]
    code, output = call_tool(*arguments)
    assert code == 0, output[-3000:]
    if 'work_dirs' not in command and 'train.py' in command:
        assert re.search(
            r'UMSwin: from CHECKPOINT\n +loaded: \d+ .*\n +resized: 0\n +new: \d \(norm0', output
        )
        assert 'coco/segm_mAP' in output
    if 'few' in command:
        assert 'layer' in output.lower() and os.path.exists('work_dirs/few/epoch_1.pth')
    if '--ema' in command:
        assert 'ema_state_dict' in torch.load('work_dirs/average/epoch_1.pth', weights_only=False)
    if 'show-dir' in command:
        assert list((place / 'PICTURES').rglob('*.jpg'))
    if 'browse' in command:
        assert len(list((place / 'LOOK').glob('*.png'))) == 4
    if 'predict' in command:
        assert len(list((place / 'DETECTIONS').glob('*.jpg'))) == 4


def test_many_channels():
    """The keys that the page names are there, and fit."""
    from mmum.models import UMDecoder, UMSwin

    backbone, neck = (
        UMSwin(SMALL_ARCH, in_channels=5, window_size=8),
        UMDecoder(128, 32, 1, 4, out_channels=5),
    )
    mask = mask_maps(2, (8, 8))
    latent = backbone(torch.randn(2, 5, 128, 128), mask)
    prediction = neck(latent[-1] if isinstance(latent, tuple) else latent, mask)
    assert prediction.shape[-1] == 16 * 16 * 5
