"""Nuclei from the layout of the public download."""

import json
import zipfile

import numpy as np
import pytest

from mmum.datasets.coco.report import inspect_coco
from mmum.datasets.nuclei import kind_of, write_nuclei
from tests.helpers import call_tool, write_download

COUNT = 36


@pytest.fixture(scope='module')
def download(tmp_path_factory):
    return write_download(tmp_path_factory.mktemp('bbbc038'), COUNT)


def read(folder, name):
    return json.loads((folder / 'annotations' / f'{name}.json').read_text())


@pytest.mark.parametrize('packed', [False, True])
def test_the_download_becomes_coco(download, tmp_path, packed):
    source = download.parent
    if packed:
        source = tmp_path / 'stage1_train.zip'
        with zipfile.ZipFile(source, 'w') as archive:
            for path in download.rglob('*'):
                archive.write(path, path.relative_to(download))
    out = tmp_path / 'nuclei'
    code, output = call_tool('tools/prepare_data.py', 'nuclei', source, '--out', out)
    assert code == 0, output
    train, val = read(out, 'train'), read(out, 'val')
    assert (len(train['images']), len(val['images'])) == (27, 9)
    assert 'train_25 25' in output
    names = {image['file_name'] for image in train['images'] + val['images']}
    assert len(names) == COUNT and {image['kind'] for image in val['images']} == {
        'fluorescence',
        'brightfield',
        'stained',
    }
    for split, coco in (('train', train), ('val', val)):
        assert {path.name for path in (out / split).iterdir()} == {
            image['file_name'] for image in coco['images']
        }
        assert len(coco['annotations']) == 2 * len(coco['images'])
        report = inspect_coco(out / 'annotations' / f'{split}.json', out / split)
        assert not report.cleaned.fatal and not report.absent_images
    first = next(image for image in train['images'] if image['file_name'].startswith('00'))
    boxes = [one['bbox'] for one in train['annotations'] if one['image_id'] == first['id']]
    assert boxes == [[3, 4, 10, 8], [23, 4, 10, 8]]
    halves = [
        {image['file_name'] for image in read(out, f'val_{half}')['images']}
        for half in ('choose', 'report')
    ]
    assert not halves[0] & halves[1] and len(halves[0] | halves[1]) == 9
    again = tmp_path / 'again'
    code, output = call_tool('tools/prepare_data.py', 'nuclei', out, '--out', again)
    assert code == 0, output
    for path in (out / 'annotations').iterdir():
        assert read(again, path.stem) == read(out, path.stem)


def test_kinds():
    dark, bright = np.full((2, 8, 8, 3), [[[[20]]], [[[200]]]], np.uint8)
    assert (kind_of(dark), kind_of(bright)) == ('fluorescence', 'brightfield')
    assert kind_of(bright - np.array([0, 60, 0], np.uint8)) == 'stained'


@pytest.mark.parametrize(
    'make, sentence',
    [
        (lambda path: path.mkdir(), 'holds no images: ID/images/ID.png and ID/masks/*.png'),
        (lambda path: path.write_text('x'), 'is no folder and no zip file: give stage1_train.zip'),
        (lambda path: None, 'does not exist: give stage1_train.zip'),
        (
            lambda path: [(path / 'a' / name).mkdir(parents=True) for name in ('images', 'masks')],
            'holds 0 PNG files where one is expected',
        ),
    ],
)
def test_what_is_no_download(tmp_path, make, sentence):
    make(tmp_path / 'source')
    code, output = call_tool(
        'tools/prepare_data.py', 'nuclei', tmp_path / 'source', '--out', tmp_path / 'out'
    )
    assert code == 2 and sentence in output.splitlines()[-1]
    assert not (tmp_path / 'out').exists()


def test_images_of_ones_own_in_the_layout_of_the_download(tmp_path):
    """Names that begin alike stay apart; of few images there are fewer subsets."""
    root = write_download(tmp_path, 12)
    for number, folder in enumerate(sorted(root.iterdir())):
        folder.rename(root / f'plate of the third of May, well {number}')
    counts = write_nuclei(root, tmp_path / 'out', lambda items, name: items)
    assert counts == dict(train=9, val=3, val_choose=2, val_report=1)
    names = [
        image['file_name']
        for split in ('train', 'val')
        for image in read(tmp_path / 'out', split)['images']
    ]
    assert len(set(names)) == 12 and all(
        name.startswith('plate of the third of May, well') for name in names
    )
    assert write_nuclei(tmp_path / 'out', tmp_path / 'again', lambda items, name: items) == counts
