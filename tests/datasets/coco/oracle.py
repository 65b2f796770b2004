"""A data set of drawn objects, and a detector that answers with the truth."""

import copy
import json

import cv2
import numpy as np
import torch
from mmengine.registry import DATASETS, METRICS, DefaultScope
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

CLASSES = ('crack', 'dent', 'hole')
SIZE = (96, 160)  # height, width


def write_base(folder, count=6):
    """Write images, and return their annotations: polygons of three classes."""
    random = np.random.default_rng(0)
    (folder / 'images').mkdir(parents=True)
    height, width = SIZE
    content = dict(
        images=[],
        annotations=[],
        categories=[dict(id=i + 1, name=n) for i, n in enumerate(CLASSES)],
    )
    for index in range(count):
        name = f'{index:03d}.png'
        cv2.imwrite(str(folder / 'images' / name), random.integers(0, 255, (*SIZE, 3), np.uint8))
        content['images'].append(dict(id=index + 1, file_name=name, height=height, width=width))
        for number in range(4):
            left, top = 4 + 38 * number, int(random.integers(4, 50))
            w, h = int(random.integers(8, 30)), int(random.integers(8, 36))
            box = [left, top, w, h]
            polygon = [left, top, left + w, top, left + w, top + h, left, top + h]
            content['annotations'].append(
                dict(
                    id=len(content['annotations']) + 1,
                    image_id=index + 1,
                    category_id=1 + (index + number) % 3,
                    iscrowd=0,
                    area=w * h,
                    bbox=box,
                    segmentation=[polygon],
                )
            )
    return content


def truth_of(content):
    """{file name: [(class, box, mask)]} of a content that is as it should be."""
    names = {category['id']: category['name'] for category in content['categories']}
    files = {image['id']: image['file_name'] for image in content['images']}
    truth = {name: [] for name in files.values()}
    for one in content['annotations']:
        mask = coco_mask.merge(coco_mask.frPyObjects(one['segmentation'], *SIZE))
        truth[files[one['image_id']]].append(
            (names[one['category_id']], one['bbox'], coco_mask.decode(mask).astype(bool))
        )
    return truth


def write(folder, content, name='variant.json'):
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def variant(base, change):
    content = copy.deepcopy(base)
    change(content)
    return content


def build(path, folder, classes=CLASSES, train=False, masks=True, **kwargs):
    """The data set as a config would name it."""
    DefaultScope.get_instance('mmdet', scope_name='mmdet')
    pipeline = [
        dict(type='LoadImageStrict'),
        dict(type='LoadAnnotations', with_bbox=True, with_mask=masks),
        dict(
            type='PackDetInputs',
            meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape'),
        ),
    ]
    with DefaultScope.overwrite_default_scope('mmdet'):
        return DATASETS.build(
            dict(
                type='CheckedCocoDataset',
                ann_file=str(path),
                data_prefix=dict(img=str(folder / 'images')),
                metainfo=dict(classes=classes),
                pipeline=pipeline,
                test_mode=not train,
                **kwargs,
            )
        )


def oracle_ap(dataset, path, truth, metrics=('bbox', 'segm'), kind='CheckedCocoMetric', noise=None):
    """AP of a detector that answers with the truth, or with noise added to it."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        metric = METRICS.build(dict(type=kind, ann_file=str(path), metric=list(metrics)))
    metric.dataset_meta = dataset.metainfo
    classes = dataset.metainfo['classes']
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        answers = truth[info['img_path'].replace('\\', '/').rpartition('/')[2]]
        answers = [answer for answer in answers if answer[0] in classes]
        boxes = np.array([box for _, box, _ in answers], np.float32).reshape(-1, 4)
        if noise is not None:
            boxes = boxes + noise.normal(0, 2, boxes.shape).astype(np.float32)
        boxes[:, 2:] += boxes[:, :2]
        scores = np.ones(len(boxes)) if noise is None else noise.random(len(boxes))
        found = InstanceData(
            bboxes=torch.from_numpy(boxes),
            scores=torch.as_tensor(scores, dtype=torch.float32),
            labels=torch.tensor([classes.index(name) for name, _, _ in answers], dtype=torch.long),
            masks=torch.from_numpy(np.array([mask for _, _, mask in answers]).reshape(-1, *SIZE)),
        )
        sample = dict(img_id=info['img_id'], ori_shape=SIZE, pred_instances=found)
        metric.process({}, [sample])
    return metric.evaluate(len(dataset))
