"""The mini data set."""

from functools import partial

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from mmum.datasets.drawn_nuclei import write_drawn_nuclei
from mmum.datasets.mini import (
    DIGITS,
    MIN_VISIBLE,
    PHOTOGRAPHS,
    write_mini,
    write_mini_classes,
)


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


@pytest.mark.parametrize(
    'write, name',
    [
        (partial(write_mini, unlabelled=1), 'unlabelled/000000.jpg'),
        (partial(write_mini, unlabelled=1), 'maps/val/000000.png'),
        (write_mini_classes, 'train/0/000000.jpg'),
        (write_drawn_nuclei, 'train/000000.png'),
    ],
)
def test_a_picture_that_cannot_be_written_is_an_error(write, name, tmp_path):
    """As on a full disk: OpenCV says nothing."""
    (tmp_path / name).mkdir(parents=True)
    with pytest.raises(OSError):
        write(tmp_path, train=1, val=1)


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


def test_close_ups_by_class(tmp_path):
    for name, seed in (('a', 1), ('b', 1), ('c', 2)):
        counts = write_mini_classes(tmp_path / name, 20, 10, size=64, seed=seed)
    assert counts == dict(train=20, val=10)
    a, b, c = (files(tmp_path / name) for name in 'abc')
    assert a == b and a.keys() == c.keys() and all(a[name] != c[name] for name in a)
    for split, number in (('train', 2), ('val', 1)):
        for label in range(10):
            paths = sorted((tmp_path / 'a' / split / str(label)).iterdir())
            assert len(paths) == number
            assert all(cv2.imread(str(path)).shape == (64, 64, 3) for path in paths)


def test_a_close_up_holds_the_whole_instance():
    from mmum.datasets.mini import _close_up

    for top, left in ((0, 0), (10, 30), (44, 44)):
        mask = np.zeros((64, 64), bool)
        mask[top : top + 20, left : left + 12] = True
        found = _close_up(mask[..., None].repeat(3, 2).astype(np.uint8) * 255, mask)
        share = (found[..., 0] > 127).mean()
        # 20 x 12 px in a square of 24 px
        assert found.shape == (64, 64, 3) and share == pytest.approx(20 * 12 / 24**2, rel=0.1)
