"""Images of five bands: the example of docs/transfer.md, and the tools that look at them."""

import json
import re

import numpy as np
import pytest
import tifffile

from mmum.datasets import LoadBands
from mmum.datasets.bands import read_bands
from mmum.errors import InputError, UnreadableImage
from tests.helpers import ROOT, SMALL_DETECTOR, SMALL_PRETRAINING, call_tool

PAGE = (ROOT / 'docs' / 'transfer.md').read_text()
LOAD = dict(type='LoadBands', mean=[900, 800, 700, 600, 2000], std=[300, 300, 300, 300, 900])


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('bands') / 'images'
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(8):
        image = random.integers(0, 4096, (128, 160, 5), dtype=np.uint16)
        tifffile.imwrite(
            folder / f'{index}.tif', image, photometric='minisblack', planarconfig='contig'
        )
    return folder


def test_bands_first_or_last_and_normalised(folder, tmp_path):
    image = read_bands(str(folder / '0.tif'), 5)
    assert image.shape == (128, 160, 5) and image.dtype == np.uint16
    tifffile.imwrite(tmp_path / 'first.tif', np.moveaxis(image, -1, 0), photometric='minisblack')
    np.save(tmp_path / 'array.npy', image)
    load = LoadBands(LOAD['mean'], LOAD['std'])
    expected = (image - np.array(LOAD['mean'])) / np.array(LOAD['std'])
    for path in (folder / '0.tif', tmp_path / 'first.tif', tmp_path / 'array.npy'):
        loaded = load.transform(dict(img_path=str(path)))
        assert loaded['img'].dtype == np.float32 and loaded['ori_shape'] == (128, 160)
        np.testing.assert_allclose(loaded['img'], expected, atol=1e-5)
    with pytest.raises(InputError, match=r'0.tif cannot be read as an image of 4 bands'):
        LoadBands([1] * 4, [1] * 4).transform(dict(img_path=str(folder / '0.tif')))
    for mean, std in (([1, 2], [1]), ([1], [0])):
        with pytest.raises(InputError, match='should be one number per band each'):
            LoadBands(mean, std)


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_pixels_that_are_no_numbers(value, tmp_path):
    """Satellites mark what they did not see so; one of them would make every loss of a batch so."""
    image = np.zeros((32, 32, 5), np.float32)
    image[3, 4, 2] = value
    np.save(tmp_path / 'a.npy', image)
    with pytest.raises(UnreadableImage, match='a.npy has pixels that are no finite numbers'):
        read_bands(str(tmp_path / 'a.npy'), 5)


@pytest.mark.slow
def test_a_pretraining_as_the_page_has_it(folder, tmp_path):
    config = re.findall(r'```python\n(.*?)```', PAGE, flags=re.S)[1]
    assert config.count('LoadBands') == 1
    path = tmp_path / 'five.py'
    path.write_text(
        config.replace("'configs/", f"'{ROOT}/configs/")
        .replace('scale=256', 'scale=128')
        .replace('input_size=256', 'input_size=128')
    )
    small = [*SMALL_PRETRAINING, 'model.backbone.arch.depths=[2,2,2,2]', 'model.neck.num_heads=4']
    options = [
        f'data_root={folder}',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
    ]
    text = path.read_text() + (
        "model['backbone']['arch'] = dict(\n"
        '    _delete_=True, embed_dims=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8)\n)\n'
    )
    path.write_text(text)
    rest = [option for option in small if 'arch' not in option]
    code, output = call_tool(
        'tools/train.py', path, '--work-dir', tmp_path / 'work', '--cfg-options', *options, *rest
    )
    assert code == 0, output[-3000:]
    assert (tmp_path / 'work' / 'backbone.safetensors').exists()
    assert list((tmp_path / 'work' / 'reconstruction').glob('*.png'))
    code, output = call_tool(
        'tools/browse_data.py', path, '--out', tmp_path / 'look', '--cfg-options', *options
    )
    assert code == 0 and len(list((tmp_path / 'look').iterdir())) == 8, output[-3000:]
    (folder / 'bad.tif').write_bytes(b'no image')
    code, output = call_tool('tools/check_data.py', folder, '--bands', 5)
    assert code == 1 and '9 images: 1 bad' in output, output
    (folder / 'bad.tif').unlink()


@pytest.mark.slow
def test_a_detector(folder, mini, tmp_path):
    annotations = json.loads((mini / 'annotations' / 'train.json').read_text())
    for index, image in enumerate(annotations['images']):
        image.update(file_name=f'{index % 8}.tif', width=160, height=128)
    for one in annotations['annotations']:
        left, top, width, height = one['bbox']
        corners = [left, top, left + width, top, left + width, top + height]
        one['segmentation'] = [corners]
    (tmp_path / 'five.json').write_text(json.dumps(annotations))
    path = tmp_path / 'five.py'
    path.write_text(
        f"_base_ = '{ROOT}/configs/detection/mask-rcnn_um-swin-nano_fpn_mini.py'\n"
        f'load = {LOAD}\n'
        'train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline\n'
        'train_pipeline[0] = test_pipeline[0] = load\n'
        'model = dict(\n'
        '    backbone=dict(in_channels=5),\n'
        '    data_preprocessor=dict(mean=None, std=None, bgr_to_rgb=False),\n)\n'
        f"dataset = dict(ann_file='{tmp_path}/five.json', data_prefix=dict(img='{folder}/'))\n"
        'train_dataloader = dict(dataset=dict(pipeline=train_pipeline, **dataset))\n'
        'val_dataloader = dict(dataset=dict(pipeline=test_pipeline, **dataset))\n'
        'test_dataloader = val_dataloader\n'
        f"val_evaluator = dict(ann_file='{tmp_path}/five.json')\n"
        'test_evaluator = val_evaluator\n'
    )
    code, output = call_tool(
        'tools/train.py',
        path,
        '--work-dir',
        tmp_path / 'work',
        '--cfg-options',
        f'data_root={mini}/',
        *SMALL_DETECTOR,
    )
    assert code == 0 and 'coco/segm_mAP' in output, output[-3000:]
    code, output = call_tool(
        'tools/browse_data.py',
        path,
        '--number',
        2,
        '--out',
        tmp_path / 'look',
        '--cfg-options',
        f'data_root={mini}/',
    )
    assert code == 0 and len(list((tmp_path / 'look').iterdir())) == 2, output[-3000:]
