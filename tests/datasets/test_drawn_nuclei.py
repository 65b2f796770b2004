"""Drawn nuclei: the layout of nuclei, the same bytes for a seed, masks that are what is seen."""

import json

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmum.datasets.coco.report import inspect_coco
from mmum.datasets.drawn_nuclei import MAX_HIDDEN, MIN_PIXELS, draw, write_drawn_nuclei


def read(folder, name):
    return json.loads((folder / 'annotations' / f'{name}.json').read_text())


def test_the_layout_is_that_of_nuclei(tmp_path):
    counts = write_drawn_nuclei(tmp_path, train=30, val=5, size=64)
    assert counts == dict(train=30, val=5, train_25=25, val_choose=3, val_report=2)
    assert {path.stem for path in (tmp_path / 'annotations').iterdir()} == set(counts)
    for name, count in counts.items():
        coco, split = read(tmp_path, name), name.partition('_')[0]
        assert len(coco['images']) == count
        assert [category['name'] for category in coco['categories']] == ['nucleus']
        report = inspect_coco(tmp_path / 'annotations' / f'{name}.json', tmp_path / split)
        assert not report.cleaned.fatal and not report.absent_images
    halves = [
        {image['file_name'] for image in read(tmp_path, f'val_{half}')['images']}
        for half in ('choose', 'report')
    ]
    assert not halves[0] & halves[1]


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for name, train, seed in (('a', 4, 0), ('b', 6, 0), ('c', 4, 1)):
        write_drawn_nuclei(tmp_path / name, train=train, val=1, size=64, seed=seed)

    def pictures(name):
        return [(tmp_path / name / 'train' / f'{i:06d}.png').read_bytes() for i in range(4)]

    assert pictures('a') == pictures('b') != pictures('c')


@pytest.mark.parametrize('size', [64, 128])
def test_nuclei_are_where_the_masks_say(size):
    differences = []
    for seed in range(12):
        image, masks = draw(np.random.default_rng(seed), size)
        assert image.shape == (size, size) and image.dtype == np.uint8
        everything = np.sum(masks, 0)
        assert everything.max() == 1  # nothing belongs to two
        assert all(mask.sum() >= MIN_PIXELS for mask in masks)
        inside, outside = (image[everything == value].mean() for value in (1, 0))
        differences.append(abs(float(inside) - float(outside)))
    assert np.median(differences) > 20 and 0 < MAX_HIDDEN < 1


def test_masks_survive_the_file(tmp_path):
    write_drawn_nuclei(tmp_path, train=1, val=1, size=64, seed=3)
    coco = read(tmp_path, 'train')
    image = cv2.imread(str(tmp_path / 'train' / '000000.png'), cv2.IMREAD_UNCHANGED)
    drawn, masks = draw(np.random.default_rng((3, 0, 0)), 64)
    assert (image == drawn).all() and len(masks) == len(coco['annotations'])
    for mask, annotation in zip(masks, coco['annotations'], strict=True):
        assert (coco_mask.decode(annotation['segmentation']) == mask).all()
