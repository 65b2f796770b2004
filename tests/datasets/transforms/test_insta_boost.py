"""InstaBoost on every image of a real set, and what it promises."""

import cv2
import numpy as np
import pytest
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from mmum.datasets.transforms.insta_boost import OpenCVInstaBoost, fill_holes
from tests.helpers import SHARED

pytestmark = pytest.mark.slow


def sample(masks, ignored=(), seed=0):
    masks = np.array(masks, np.uint8)
    boxes = [
        [
            *(np.flatnonzero(m.any(a))[0] if m.any() else 0 for a in (0, 1)),
            *(np.flatnonzero(m.any(a))[-1] + 1 if m.any() else 1 for a in (0, 1)),
        ]
        for m in masks
    ]
    image = np.random.RandomState(seed).randint(0, 255, (*masks.shape[1:], 3)).astype(np.uint8)
    boxes = HorizontalBoxes(np.array(boxes, np.float32))
    return dict(
        img=image,
        gt_masks=BitmapMasks(masks, *masks.shape[1:]),
        gt_bboxes=boxes,
        gt_ignore_flags=np.array([i in ignored for i in range(len(masks))]),
        gt_bboxes_labels=np.arange(len(masks)),
    )


def square(top, left, side=20, size=100):
    mask = np.zeros((size, size), np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


def check(results, number):
    masks, boxes = results['gt_masks'].masks, results['gt_bboxes'].tensor.numpy()
    assert len(masks) == len(boxes) == number and all(mask.any() for mask in masks)
    for mask, box in zip(masks, boxes):
        assert (
            box[0] == np.flatnonzero(mask.any(0))[0]
            and box[3] == np.flatnonzero(mask.any(1))[-1] + 1
        )
    assert results['img'].dtype == np.uint8


@pytest.mark.parametrize('seed', range(10))
def test_instances_move_a_little_and_stay_whole(seed):
    np.random.seed(seed)
    before = sample([square(10, 10), square(60, 55)])
    image, masks = before['img'].copy(), before['gt_masks'].masks.copy()
    after = OpenCVInstaBoost(prob=1.0)(before)
    check(after, 2)
    assert not np.array_equal(after['gt_masks'].masks, masks) and not np.array_equal(
        after['img'], image
    )
    for old, new in zip(masks, after['gt_masks'].masks):
        assert 0.5 < new.sum() / old.sum() < 1.6
        assert (
            np.abs(np.argwhere(new).mean(0) - np.argwhere(old).mean(0)).max() < 3
        )  # 1 / 15 of 20 px, and rounding
    far = ~cv2.dilate(
        np.maximum(masks.max(0), after['gt_masks'].masks.max(0)), np.ones((15, 15))
    ).astype(bool)
    assert np.array_equal(after['img'][far], image[far])  # nothing else was touched


def test_later_ones_cover_earlier_ones():
    for seed in range(20):
        np.random.seed(seed)
        after = OpenCVInstaBoost(prob=1.0)(
            sample([square(10, 10, 60), square(30, 30, 15), square(34, 40, 15)])
        )
        check(after, 3)
        assert after['gt_masks'].masks[1:].max(0).sum() > 0
        assert (after['gt_masks'].masks.sum(0) <= 1).all()


def test_crowds_empty_masks_and_no_instances():
    np.random.seed(0)
    crowd = sample([square(10, 10), square(60, 60)], ignored=[1])
    mask = crowd['gt_masks'].masks[1].copy()
    after = OpenCVInstaBoost(prob=1.0)(crowd)
    assert np.array_equal(after['gt_masks'].masks[1], mask)
    for nothing in (sample([square(0, 0, 0)]), sample(np.zeros((0, 50, 50)))):
        image = nothing['img'].copy()
        after = OpenCVInstaBoost(prob=1.0)(nothing)
        assert np.array_equal(after['img'], image)
    assert np.array_equal(
        OpenCVInstaBoost(prob=0.0)(sample([square(10, 10)]))['gt_masks'].masks[0], square(10, 10)
    )


def test_at_the_edge_and_of_one_pixel():
    for seed in range(20):
        np.random.seed(seed)
        check(
            OpenCVInstaBoost(prob=1.0, shift=0.9)(
                sample([square(0, 0), square(80, 80), square(50, 50, 1)])
            ),
            3,
        )


def test_a_stuff_map_moves_along():
    np.random.seed(1)
    before = sample([square(20, 20, 40)])
    before['gt_seg_map'] = np.where(square(20, 20, 40) > 0, 7, 3).astype(np.uint8)
    after = OpenCVInstaBoost(prob=1.0)(before)
    mask = after['gt_masks'].masks[0] > 0
    assert (after['gt_seg_map'][mask] == 7).mean() > 0.97
    rest = after['gt_seg_map'][~mask]
    assert (
        set(np.unique(rest)) <= {3, 255}
        and (rest == 255).sum() == (square(20, 20, 40) & ~mask).sum()
    )


def test_holes_are_filled_from_around():
    image = np.full((60, 80, 3), 90, np.uint8)
    hole = square(20, 20, 20, 100)[:60, :80]
    image[hole > 0] = 255
    assert np.abs(fill_holes(image, hole).astype(int) - 90).max() <= 4


@pytest.mark.skipif(not (SHARED / 'coco_tiny').exists(), reason='the photographs are absent')
@pytest.mark.parametrize('split', ['train2017', 'val2017'])
def test_every_image_of_coco_tiny(split):
    from mmdet.datasets import CocoDataset

    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    ]
    dataset = CocoDataset(
        data_root=str(SHARED / 'coco_tiny'),
        ann_file=f'annotations/instances_{split}.json',
        data_prefix=dict(img=f'{split}/'),
        test_mode=True,
        pipeline=[dict(t, _scope_='mmdet') for t in pipeline],
    )
    boost = OpenCVInstaBoost(prob=1.0)
    for i in range(len(dataset)):
        results = dataset[i]
        seen = [m.any() for m in results['gt_masks'].masks]
        after = boost(results)
        assert [m.any() for m in after['gt_masks'].masks] == seen
        assert len(after['gt_bboxes']) == len(after['gt_bboxes_labels']) == len(seen)
