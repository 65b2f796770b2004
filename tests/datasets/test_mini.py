"""The mini data set."""

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from mmum.datasets.mini import DIGITS, MIN_VISIBLE, PHOTOGRAPHS, write_mini


def files(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def test_same_bytes_for_the_same_seed(tmp_path):
    counts = dict(unlabelled=3, train=3, val=2)
    for name, seed in (('a', 1), ('b', 1), ('c', 2)):
        write_mini(tmp_path / name, **counts, seed=seed)
    a, b, c = (files(tmp_path / name) for name in 'abc')
    assert len(a) == 3 + 3 + 2 + 2 + 5  # annotation files, label maps
    assert a == b and a.keys() == c.keys()
    assert all(a[name] != c[name] for name in a)


def test_the_first_images_do_not_depend_on_how_many_follow(mini, tmp_path):
    write_mini(tmp_path, unlabelled=4, train=2, val=1)
    whole = files(mini)
    assert all(
        whole[name] == data for name, data in files(tmp_path).items() if name.suffix == '.jpg'
    )


def test_validation_shares_nothing():
    assert not set(PHOTOGRAPHS['train']) & set(PHOTOGRAPHS['val'])
    numbers = [set(range(*DIGITS[side].indices(1797))) for side in DIGITS]
    assert not numbers[0] & numbers[1]


@pytest.mark.parametrize('split', ['train', 'val'])
def test_annotations_fit(mini, split):
    coco = COCO(str(mini / 'annotations' / f'{split}.json'))
    assert [category['name'] for category in coco.dataset['categories']] == list('0123456789')
    for info in coco.dataset['images']:
        image = cv2.imread(str(mini / split / info['file_name']))
        assert image.shape == (info['height'], info['width'], 3)
        masks = [coco.annToMask(a) for a in coco.imgToAnns[info['id']]]
        assert 1 <= len(masks) <= 5
        assert np.sum(masks, 0).max() == 1  # visible pixels only: each belongs to one digit
        labels = cv2.imread(
            str(mini / 'maps' / split / f'{info["file_name"][:-4]}.png'), cv2.IMREAD_UNCHANGED
        )
        categories = [a['category_id'] for a in coco.imgToAnns[info['id']]]
        assert np.array_equal(labels, sum(c * m for c, m in zip(categories, masks)))
    for annotation in coco.dataset['annotations']:
        mask = coco.annToMask(annotation)
        assert mask.sum() == annotation['area'] >= MIN_VISIBLE * 24
        rows, columns = np.nonzero(mask)
        x, y, w, h = annotation['bbox']
        assert (x, y, x + w, y + h) == (
            columns.min(),
            rows.min(),
            columns.max() + 1,
            rows.max() + 1,
        )
