"""tools/prepare_data.py looks over COCO and ImageNet as users have them."""

import json
import shutil

import pytest

from tests.helpers import ROOT, call_tool

pytestmark = pytest.mark.slow


@pytest.fixture
def coco(mini, tmp_path):
    root = tmp_path / 'coco'
    (root / 'annotations').mkdir(parents=True)
    for split in ('train', 'val'):
        shutil.copytree(mini / split, root / f'{split}2017')
        shutil.copy(
            mini / 'annotations' / f'{split}.json',
            root / 'annotations' / f'instances_{split}2017.json',
        )
    return root


def test_coco(coco):
    code, output = call_tool('tools/prepare_data.py', 'coco', coco)
    assert code == 0 and f'--cfg-options data_root={coco}/' in output
    assert (
        'train: 8 images, ' in output
        and 'COCO has 118287 images' in output
        and 'no stuff maps' in output
    )


def test_coco_that_lacks_something(coco):
    (coco / 'train2017' / '000003.jpg').unlink()
    (coco / 'val2017' / '000002.jpg').write_bytes(b'x')
    (coco / 'stuffthingmaps' / 'train2017').mkdir(parents=True)
    (coco / 'stuffthingmaps' / 'train2017' / '000000.png').write_bytes(b'')
    code, output = call_tool('tools/prepare_data.py', 'coco', coco, '--read')
    assert code == 1
    wrong = [line for line in output.splitlines() if 'MISSING OR WRONG' in line]
    assert len(wrong) == 3 and 'first 000003.jpg' in wrong[1 if 'stuff' in wrong[0] else 0]
    assert 'no stuff maps of 7 images' in output and '000002.jpg: cannot identify' in output
    shutil.rmtree(coco / 'val2017')
    (coco / 'annotations' / 'instances_train2017.json').unlink()
    code, output = call_tool('tools/prepare_data.py', 'coco', coco)
    assert (
        code == 1
        and 'val2017: no images' in output
        and 'instances_train2017.json is missing' in output
    )


def test_imagenet(mini, tmp_path):
    root = tmp_path / 'imagenet'
    for split in ('train', 'val'):
        for name in ('cat', 'dog'):
            shutil.copytree(mini / 'val', root / split / name)
    code, output = call_tool('tools/prepare_data.py', 'imagenet', root, '--read')
    assert code == 0 and 'train: 8 images in 2 classes' in output
    assert f'data_root={root} num_classes=2' in output and f'data_root={root}/train' in output
    shutil.rmtree(root / 'val' / 'dog')
    (root / 'val' / 'mouse').mkdir()
    code, output = call_tool('tools/prepare_data.py', 'imagenet', root)
    assert code == 1 and 'no images in 1 class folders, first mouse' in output
    assert 'different classes, first dog, mouse' in output
    shutil.rmtree(root / 'val')
    shutil.copytree(mini / 'val', root / 'val')
    assert (
        'no class folders with images, but 4 images: sort them'
        in call_tool('tools/prepare_data.py', 'imagenet', root)[1]
    )


def test_the_result_fits_the_configs(coco):
    """The line that is printed is the one that a config takes."""
    from mmum.engine.config import load_config

    cfg = load_config(
        str(ROOT / 'configs' / 'detection' / 'mask-rcnn_um-swin-t_fpn_1x_coco.py'),
        dict(data_root=f'{coco}/'),
    )
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        content = json.loads((coco / loader.dataset.ann_file).read_text())
        assert (
            coco / loader.dataset.data_prefix['img'] / content['images'][0]['file_name']
        ).exists()
