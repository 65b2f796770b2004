"""Damaged images, lists and class folders at random: read as check_data says, or one sentence."""

import os

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmum.datasets import LabelledImages, LoadCropResize, LoadImageStrict
from mmum.datasets.checks.images import inspect_image
from mmum.datasets.listing import list_class_folders, list_files, read_list
from mmum.errors import InputError
from tests.damage import DAMAGE, damaged

SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """One image in every format."""
    folder = tmp_path_factory.mktemp('whole')
    smooth = cv2.resize(np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8), (96, 80))
    image = Image.fromarray(smooth)
    for suffix in ('jpg', 'png', 'tif', 'bmp', 'webp', 'ppm'):
        image.save(folder / f'image.{suffix}')
    return folder


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'tif', 'bmp', 'webp', 'ppm'])
@SETTINGS
@given(damage=DAMAGE)
def test_damaged_images(suffix, whole, damage):
    path = whole / f'damaged.{suffix}'
    path.write_bytes(damaged((whole / f'image.{suffix}').read_bytes(), damage))
    fault, _ = inspect_image(str(path))
    for load in (LoadCropResize(32), LoadImageStrict()):
        try:
            pixels = load(dict(img_path=str(path)))['img']
        except InputError as error:
            assert str(path) in str(error) and '\n' not in str(error)
            # the size is no matter of the loader for detectors
            assert fault, (load, error)
        else:
            assert pixels.dtype == np.uint8 and pixels.shape[2] == 3
            assert fault is None or isinstance(load, LoadImageStrict), fault


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            ['a.png', 'b b.png', 'sub\\c.png', ' a.png  ', 'a.png 3', '', 'no.png', '5']
        ),
        st.text(max_size=12),
    ),
    max_size=6,
)


@SETTINGS
@given(lines=LINES, labels=st.booleans(), mark=st.booleans(), end=st.sampled_from(['\n', '\r\n']))
def test_lists(tmp_path_factory, lines, labels, mark, end):
    folder = tmp_path_factory.getbasetemp() / 'listed'
    (folder / 'sub').mkdir(parents=True, exist_ok=True)
    for name in ('a.png', 'b b.png', 'sub/c.png'):
        (folder / name).touch()
    listed = folder / 'list.txt'
    text = ('\ufeff' if mark else '') + end.join(lines)
    listed.write_bytes(text.encode('utf-8', 'surrogatepass'))
    try:
        found = read_list(listed, str(folder), labels)
    except InputError as error:
        assert str(listed) in str(error)
        return
    assert found and all((folder / name).exists() for name, _ in found)
    assert all(label == -1 for _, label in found) or labels


NAMES = st.sampled_from(['crack', 'dent', '.hidden', 'with blank', 'ümlaut', '7', 'Crack', '._x'])


@SETTINGS
@given(train=st.sets(NAMES, min_size=1, max_size=4), val=st.sets(NAMES, min_size=1, max_size=4))
def test_class_folders(tmp_path_factory, train, val):
    root = tmp_path_factory.mktemp('classes')
    for split, names in (('train', train), ('val', val)):
        for name in names:
            (root / split / name).mkdir(parents=True)
            (root / split / name / 'a.png').touch()
            (root / split / name / '._a.png').touch()
    seen = {
        split: {n for n in names if not n.startswith('.')}
        for split, names in (('train', train), ('val', val))
    }
    try:
        images = LabelledImages(
            data_root=str(root), data_prefix='val', numbering=str(root / 'train'), pipeline=[]
        )
    except InputError:
        assert not seen['val'] <= seen['train'] or not seen['val']
        return
    assert seen['val'] <= seen['train']
    order = list_class_folders(root / 'train')
    labels = {
        os.path.basename(
            os.path.dirname(images.get_data_info(i)['img_path'])
        ): images.get_data_info(i)['gt_label']
        for i in range(len(images))
    }
    assert labels == {name: order.index(name) for name in seen['val']}
    assert len(images) == len(list_files(root / 'val'))
