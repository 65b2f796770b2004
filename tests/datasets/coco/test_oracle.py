"""A detector that answers with the truth has AP 1, on every annotation file that is accepted."""

import copy
import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmum.datasets.coco import report
from mmum.errors import InputError
from tests.datasets.coco.oracle import (
    CLASSES,
    SIZE,
    build,
    oracle_ap,
    truth_of,
    variant,
    write,
    write_base,
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('coco')


@pytest.fixture(scope='module')
def base(folder):
    return write_base(folder)


def each(change):
    """Change every annotation."""

    def apply(content):
        for one in content['annotations']:
            change(one)

    return apply


def some(change):
    """Change every third annotation."""

    def apply(content):
        for one in content['annotations'][::3]:
            change(one)

    return apply


def renumber_images(make):
    def apply(content):
        ids = {image['id']: make(image['id']) for image in content['images']}
        for image in content['images']:
            image['id'] = ids[image['id']]
        for one in content['annotations']:
            one['image_id'] = ids[one['image_id']]

    return apply


def run_lengths(compressed):
    def change(one):
        rle = coco_mask.merge(coco_mask.frPyObjects(one['segmentation'], *SIZE))
        counts = rle['counts'].decode()
        if not compressed:
            pixels = coco_mask.decode(rle).flatten(order='F')
            ends = np.flatnonzero(np.diff(pixels)) + 1
            counts = np.diff([0, *ends, len(pixels)]).tolist()
            counts = counts if pixels[0] == 0 else [0, *counts]
        one['segmentation'] = dict(size=list(SIZE), counts=counts)

    return each(change)


def renumber_categories(content):
    for one in content['annotations']:
        one['category_id'] = one['category_id'] * 10 + 3
    for category in content['categories']:
        category['id'] = category['id'] * 10 + 3


def backslashes(content):
    for image in content['images']:
        image['file_name'] = '.\\' + image['file_name']


def sizes_as_text(content):
    for image in content['images']:
        image.update(height=str(image['height']), width=str(image['width']))


def add_slivers(content):
    for one in content['annotations'][::2]:
        one['segmentation'].append([5, 5, 9, 9])
    sliver = dict(content['annotations'][0], id=900, segmentation=[[5, 5, 9, 9]])
    content['annotations'].append(sliver)


def add(**changes):
    def apply(content):
        content['annotations'].append(dict(content['annotations'][0], id=900, **changes))

    return apply


ACCEPTED = {
    'as it should be': lambda c: None,
    'annotation ids from 0': each(lambda a: a.update(id=a['id'] - 1)),
    'annotation ids as text': each(lambda a: a.update(id=f'a-{a["id"]}')),
    'annotation ids negative': each(lambda a: a.update(id=-a['id'])),
    'annotation ids as floats': each(lambda a: a.update(id=float(a['id']))),
    'annotation ids absent': each(lambda a: a.pop('id')),
    'annotation id given twice': lambda c: c['annotations'][3].update(id=1),
    'no area': each(lambda a: a.pop('area')),
    'area null': each(lambda a: a.update(area=None)),
    'area 0': some(lambda a: a.update(area=0)),
    'area as text': each(lambda a: a.update(area=str(a['area']))),
    'no iscrowd': each(lambda a: a.pop('iscrowd')),
    'iscrowd as text': each(lambda a: a.update(iscrowd='0')),
    'iscrowd as a truth value': each(lambda a: a.update(iscrowd=False)),
    'ignore: 0': each(lambda a: a.update(ignore=0)),
    'flat polygons': each(lambda a: a.update(segmentation=a['segmentation'][0])),
    'slivers': add_slivers,
    'a mask of no pixel': add(segmentation=[[5, 5, 5, 5, 5, 5]]),
    'a mask outside the image': add(segmentation=[[500, 5, 510, 5, 510, 15]]),
    'a box without area': add(bbox=[5, 5, 0, 8]),
    'no boxes': each(lambda a: a.pop('bbox')),
    'boxes as text': each(lambda a: a.update(bbox=[str(side) for side in a['bbox']])),
    'run lengths': run_lengths(True),
    'run lengths, not compressed': run_lengths(False),
    'sizes as text': sizes_as_text,
    'sizes as floats': lambda c: [i.update(height=96.0, width=160.0) for i in c['images']],
    'image ids as text': renumber_images('n{}'.format),
    'image ids from 0': renumber_images(lambda i: i - 1),
    'image ids as floats': renumber_images(float),
    'gaps in category ids': renumber_categories,
    'backslashes': backslashes,
    'categories in another order': lambda c: c['categories'].reverse(),
    'a category above': lambda c: c['categories'].insert(0, dict(id=0, name='defects')),
    'a category that is no class': lambda c: c['categories'].append(dict(id=9, name='scratch')),
    'keys that nobody knows': each(lambda a: a.update(attributes=dict(occluded=False))),
}


@pytest.mark.parametrize('name', ACCEPTED)
def test_ap_is_one(name, base, folder):
    path = write(folder, variant(base, ACCEPTED[name]))
    dataset = build(path, folder)
    ap = oracle_ap(dataset, path, truth_of(base))
    assert ap['coco/bbox_mAP'] == ap['coco/segm_mAP'] == 1.0, ap
    train = build(path, folder, train=True, filter_cfg=dict(filter_empty_gt=True))
    objects = sum(len(train[i]['data_samples'].gt_instances) for i in range(len(train)))
    assert objects == len(base['annotations'])
    labels = [
        [CLASSES[i] for i in train[0]['data_samples'].gt_instances.labels],
        [one[0] for one in truth_of(base)['000.png']],
    ]
    assert labels[0] == labels[1]


def test_a_class_of_which_val_has_nothing(base, folder, monkeypatch):
    """AP of the others, and a warning that names it; for training the file is refused."""

    def change(content):
        content['categories'] = content['categories'][1:]
        content['annotations'] = [a for a in content['annotations'] if a['category_id'] != 1]

    said = []
    monkeypatch.setattr(report, 'print_log', lambda line, *_: said.append(line))
    content = variant(base, change)
    path = write(folder, content, 'without_crack.json')
    ap = oracle_ap(build(path, folder), path, truth_of(content))
    assert ap['coco/bbox_mAP'] == ap['coco/segm_mAP'] == 1.0
    (line,) = said
    assert line == f'{path} has no category crack: AP is that of the other 2 classes'
    with pytest.raises(InputError, match='the class crack of the config is not among the categor'):
        build(path, folder, train=True)


@pytest.mark.parametrize('classes', ['dent', ('dent',)])
def test_one_class_without_the_comma(base, folder, classes):
    path = write(folder, base)
    dataset = build(path, folder, classes=classes)
    assert dataset.metainfo['classes'] == ('dent',)
    ap = oracle_ap(dataset, path, truth_of(base))
    assert ap['coco/bbox_mAP'] == ap['coco/segm_mAP'] == 1.0


def test_ap_is_that_of_pycocotools(base, folder):
    """On a file as it should be, to the last digit, with answers that are not all right."""
    path = write(folder, base)
    dataset, truth = build(path, folder), truth_of(base)
    ours, theirs = (
        oracle_ap(dataset, path, truth, kind=kind, noise=np.random.default_rng(1))
        for kind in ('CheckedCocoMetric', 'mmdet.CocoMetric')
    )
    assert ours == theirs and 0 < ours['coco/bbox_mAP'] < 1


def normalised(one):
    height, width = SIZE
    x, y, w, h = one['bbox']
    one['bbox'] = [x / width, y / height, w / width, h / height]


def corners(one):
    x, y, w, h = one['bbox']
    one['bbox'] = [x, y, x + w, y + h]


def first(**changes):
    return lambda content: content['annotations'][0].update(changes)


REFUSED = {
    'crowds alone': (each(lambda a: a.update(iscrowd=1)), 'nothing but crowds'),
    'iscrowd yes': (first(iscrowd='yes'), 'iscrowd that is neither 0 nor 1 \\(id 1\\)'),
    'no mask': (
        lambda c: [a.pop('segmentation') for a in c['annotations']],
        'instance without a mask \\(id 1, 2, 3.*take a detector of boxes alone',
    ),
    'one empty mask': (first(segmentation=[]), '1 x instance without a mask \\(id 1\\)'),
    'one mask of null': (first(segmentation=None), '1 x instance without a mask \\(id 1\\)'),
    'a number for a mask': (first(segmentation=5), 'neither polygons nor run lengths \\(id 1\\)'),
    'a mask of text': (first(segmentation=[['a'] * 6]), 'neither polygons nor run lengths'),
    'an odd polygon': (first(segmentation=[[1, 1, 9, 1, 9, 9, 4]]), 'odd number of coordinates'),
    'run lengths of another size': (
        first(segmentation=dict(size=[10, 10], counts=[50, 50])),
        'mask of another size than its image \\(id 1\\)',
    ),
    'run lengths that do not add up': (
        first(segmentation=dict(size=list(SIZE), counts=[50, 50])),
        'mask of another size than its image',
    ),
    'compressed run lengths that do not add up': (
        first(segmentation=dict(size=list(SIZE), counts='10')),
        'mask of another size than its image',
    ),
    'corners': (each(corners), 'seem to be x1, y1, x2, y2'),
    'shares': (each(normalised), 'shares of the image in place of pixels'),
    'boxes elsewhere': (
        each(lambda a: a.update(bbox=[a['bbox'][0] + 150, *a['bbox'][1:]])),
        'boxes of which most leave their image',
    ),
    'a box of three': (first(bbox=[1, 2, 3]), 'box that is not four finite numbers \\(id 1\\)'),
    'a box of NaN': (first(bbox=[1, 2, 3, float('nan')]), 'not four finite numbers'),
    'an unknown image': (first(image_id=99), 'annotation of an unknown image \\(id 1\\)'),
    'an unknown category': (first(category_id=99), 'annotation of an unknown category'),
    'an image without a size': (lambda c: c['images'][0].pop('width'), 'without height and width'),
    'an image given twice': (lambda c: c['images'].append(c['images'][0]), 'image id given twice'),
    'a name given twice': (
        lambda c: c['categories'].append(dict(id=9, name='dent')),
        'category name given twice \\(id dent\\)',
    ),
}


@pytest.mark.parametrize('name', REFUSED)
def test_one_sentence(name, base, folder):
    change, sentence = REFUSED[name]
    path = write(folder, variant(base, change))
    with pytest.raises(InputError, match=sentence) as error:
        oracle_ap(build(path, folder), path, truth_of(base))
    assert str(path) in str(error.value) and '\n' not in str(error.value)


def test_boxes_alone_do_without_masks(base, folder):
    path = write(folder, variant(base, each(lambda a: a.pop('segmentation'))))
    dataset = build(path, folder, masks=False)
    assert oracle_ap(dataset, path, truth_of(base), ['bbox'])['coco/bbox_mAP'] == 1.0


def test_a_backslash_that_belongs_to_the_name(base, folder):
    (folder / 'images' / 'a\\b.png').write_bytes((folder / 'images' / '000.png').read_bytes())
    content = copy.deepcopy(base)
    content['images'][0]['file_name'] = 'a\\b.png'
    dataset = build(write(folder, content), folder)
    assert dataset[0]['inputs'].shape[1:] == SIZE


def test_the_file_itself_is_left_alone(base, folder):
    path = write(folder, variant(base, ACCEPTED['annotation ids from 0']))
    before = path.read_bytes()
    build(path, folder)
    assert path.read_bytes() == before and json.loads(before)['annotations'][0]['id'] == 0
