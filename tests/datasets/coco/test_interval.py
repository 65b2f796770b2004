"""The interval of AP is that of AP on images drawn anew."""

import json

import numpy as np
import pytest
from mmdet.datasets.api_wrappers import COCO, COCOeval

from mmum.datasets.coco import CheckedCocoMetric
from mmum.datasets.coco.interval import ap_interval

THRESHOLDS = np.linspace(0.5, 0.95, 10)
CLASSES = 2


def make(images, random=None):
    """Annotations and detections: (truth, predictions), with three boxes an image."""
    content = dict(
        info={},
        images=[dict(id=i, width=100, height=100, file_name=f'{i}.jpg') for i in images],
        categories=[dict(id=i, name=str(i)) for i in range(CLASSES)],
        annotations=[],
    )
    predictions = []
    for image in images:
        for k in range(3):
            box = [30.0 * k, 10.0, 20.0, 20.0 + k]
            shift = random.uniform(0, 14) if random else 4.0
            score = random.uniform() if random else 0.5 + k / 10
            label = k % CLASSES
            content['annotations'].append(
                dict(
                    id=len(content['annotations']) + 1,
                    image_id=image,
                    category_id=label,
                    bbox=box,
                    area=box[2] * box[3],
                    iscrowd=0,
                )
            )
            moved = [box[0] + shift, *box[1:]]
            predictions.append(dict(image_id=image, category_id=label, bbox=moved, score=score))
    return content, predictions


def index(content):
    truth = COCO()
    truth.dataset = content
    truth.createIndex()
    return truth


def average_precision(content, predictions):
    truth = index(content)
    evaluation = COCOeval(truth, truth.loadRes(predictions), 'bbox')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats[0]


def draw(content, predictions, images):
    """The data set of these images, each with an id of its own."""
    drawn, found = dict(content, images=[], annotations=[]), []
    for new, old in enumerate(images, 1):
        drawn['images'].append(dict(content['images'][old], id=new))
        for one in content['annotations']:
            if one['image_id'] == old:
                number = len(drawn['annotations']) + 1
                drawn['annotations'].append(dict(one, id=number, image_id=new))
        found += [dict(one, image_id=new) for one in predictions if one['image_id'] == old]
    return drawn, found


def test_it_is_that_of_data_sets_drawn_anew():
    content, predictions = make(range(12), np.random.default_rng(3))
    ends = ap_interval(
        index(content), predictions, 'bbox', range(CLASSES), range(12), THRESHOLDS, 40, seed=5
    )
    random = np.random.default_rng(5)
    expected = [
        average_precision(*draw(content, predictions, random.integers(12, size=12)))
        for _ in range(40)
    ]
    assert ends == pytest.approx(np.percentile(expected, [2.5, 97.5]), abs=1e-12)
    assert ends[0] < average_precision(content, predictions) < ends[1]


def test_images_that_are_alike_leave_no_doubt():
    content, predictions = make(range(6))
    low, high = ap_interval(
        index(content), predictions, 'bbox', range(CLASSES), range(6), THRESHOLDS, 20
    )
    assert low == high == pytest.approx(average_precision(content, predictions), abs=1e-12)


def test_without_objects_there_is_none():
    content, predictions = make(range(3))
    content['annotations'] = []
    ends = ap_interval(index(content), predictions, 'bbox', range(CLASSES), range(3), THRESHOLDS, 5)
    assert np.isnan(ends).all()


@pytest.mark.parametrize('resamples', [0, 30])
def test_the_metric_has_it_beside_ap_where_it_is_asked_for(resamples, tmp_path):
    content, predictions = make(range(8), np.random.default_rng(1))
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(content))
    metric = CheckedCocoMetric(str(path), metric='bbox', resamples=resamples)
    metric.dataset_meta = dict(classes=('0', '1'))
    for image in range(8):
        mine = [one for one in predictions if one['image_id'] == image]
        boxes = np.array([one['bbox'] for one in mine])
        boxes[:, 2:] += boxes[:, :2]
        found = dict(
            img_id=image,
            bboxes=boxes,
            scores=np.array([one['score'] for one in mine]),
            labels=np.array([one['category_id'] for one in mine]),
        )
        metric.results.append((dict(img_id=image, width=100, height=100), found))
    found = metric.evaluate(8)
    assert found['coco/bbox_mAP'] == round(average_precision(content, predictions), 3)
    assert ('coco/bbox_mAP_low' in found) == bool(resamples)
    if resamples:
        assert found['coco/bbox_mAP_low'] < found['coco/bbox_mAP'] < found['coco/bbox_mAP_high']


@pytest.mark.parametrize('resamples', [0, 30])
def test_without_a_detection_ap_is_0(resamples, tmp_path):
    content, _ = make(range(2))
    (tmp_path / 'truth.json').write_text(json.dumps(content))
    metric = CheckedCocoMetric(str(tmp_path / 'truth.json'), metric='bbox', resamples=resamples)
    metric.dataset_meta = dict(classes=('0', '1'))
    nothing = dict(bboxes=np.zeros((0, 4)), scores=np.zeros(0), labels=np.zeros(0, int))
    for image in range(2):
        metric.results.append(
            (dict(img_id=image, width=100, height=100), dict(nothing, img_id=image))
        )
    found = metric.evaluate(2)
    assert found['coco/bbox_mAP'] == found['coco/bbox_mAP_50'] == 0
