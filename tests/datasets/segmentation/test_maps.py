"""Label maps: what is read, and what is refused."""

import cv2
import numpy as np
import pytest
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from mmum.datasets.segmentation import LoadSegMapStrict
from mmum.datasets.segmentation.maps import Labels, read_label_map
from mmum.errors import InputError, UnreadableImage


def save(path, array, mode=None):
    Image.fromarray(array, mode).save(path)
    return str(path)


@pytest.fixture
def labels():
    return np.random.RandomState(0).randint(0, 11, (40, 56)).astype(np.uint8)


@pytest.mark.parametrize('kind', ['grey', 'palette', 'deep', 'colour', 'alpha', 'bits', 'tif'])
def test_labels_are_read_from_any_form(kind, labels, tmp_path):
    path = tmp_path / f'a.{"tif" if kind == "tif" else "png"}'
    image = Image.fromarray(labels)
    if kind == 'palette':
        image.putpalette(list(np.random.RandomState(1).randint(0, 256, 768)))
    if kind == 'deep':
        image = Image.fromarray(labels.astype(np.uint16))
    if kind == 'colour':
        image = image.convert('RGB')
    if kind == 'alpha':
        image = image.convert('LA')
    if kind == 'bits':
        labels = labels % 2
        image = Image.fromarray(labels.astype(bool))
    image.save(path)
    read = read_label_map(str(path))
    assert read.dtype == np.uint8 and np.array_equal(read, labels)


def test_what_is_no_label_map_is_refused(labels, tmp_path):
    colour = np.stack([labels, labels * 2, labels], -1)
    with pytest.raises(InputError, match=r'colour.png is a picture in colour, .*one channel'):
        read_label_map(save(tmp_path / 'colour.png', colour))
    deep = labels.astype(np.uint16) + 300
    with pytest.raises(InputError, match=r'deep.png has labels from 300 to 310.*renumber'):
        read_label_map(save(tmp_path / 'deep.png', deep))
    path = tmp_path / 'cut.png'
    save(path, labels)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UnreadableImage, match='cut.png cannot be read as a label map'):
        read_label_map(str(path))
    with pytest.raises(UnreadableImage, match='absent.png'):
        read_label_map(str(tmp_path / 'absent.png'))


def results_of(path, shape, from_one, label_map=None, number=None):
    info = dict(
        img_path='image.jpg',
        seg_map_path=str(path),
        ori_shape=shape,
        reduce_zero_label=from_one,
        label_map=label_map,
        seg_fields=[],
    )
    return info if number is None else dict(info, labels=Labels(number, from_one))


@pytest.mark.parametrize('from_one', [False, True])
@pytest.mark.parametrize('label_map', [None, {0: 3, 3: 0, 7: 255}])
def test_labels_are_those_of_mmseg(from_one, label_map, tmp_path):
    """Of all 256 values, renumbered or not."""
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    cv2.imwrite(str(tmp_path / 'a.png'), values)
    found = [
        load.transform(results_of(tmp_path / 'a.png', (16, 16), from_one, label_map))['gt_seg_map']
        for load in (LoadAnnotations(), LoadSegMapStrict())
    ]
    assert np.array_equal(*found) and found[1].dtype == found[0].dtype


@pytest.mark.parametrize(
    'value, number, from_one, sentence',
    [
        (
            11,
            11,
            False,
            'has the label 11, and 0 to 10 are the 11 classes: if classes count from 1',
        ),
        (30, 11, False, 'has the label 30, and 0 to 10 are the 11 classes: name all classes'),
        (12, 11, True, 'has the label 12, and 1 to 11 are the 11 classes: name all classes'),
        (150, 150, False, 'reduce_zero_label=True'),
    ],
)
def test_labels_that_are_no_class(value, number, from_one, sentence, labels, tmp_path):
    load, path = LoadSegMapStrict(), tmp_path / 'a.png'
    fine = labels + from_one
    fine[0] = 255
    save(path, fine)
    load.transform(results_of(path, (40, 56), from_one, number=number))
    fine[3, 3] = value
    save(path, fine)
    with pytest.raises(InputError, match=f'a.png {sentence}|{sentence}'):
        load.transform(results_of(path, (40, 56), from_one, number=number))


def test_a_map_of_another_size(labels, tmp_path):
    path = save(tmp_path / 'a.png', labels)
    with pytest.raises(InputError, match=r'a.png is 56x40 px and its image image.jpg 40x56'):
        LoadSegMapStrict().transform(results_of(path, (56, 40), False))


def test_two_settings_of_zero(labels, tmp_path):
    path = save(tmp_path / 'a.png', labels)
    with pytest.raises(InputError, match='reduce_zero_label is True in the pipeline and False'):
        LoadSegMapStrict(reduce_zero_label=True).transform(results_of(path, (40, 56), False))
