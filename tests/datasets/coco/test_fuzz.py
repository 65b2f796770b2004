"""Random annotation files: one loads as check_data says, or is refused by it, with a sentence; and
its AP is that of pycocotools wherever pycocotools can read it."""

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmum.datasets.coco.clean import KINDS, clean
from mmum.datasets.coco.read import read_coco
from mmum.errors import InputError
from tests.datasets.coco.oracle import CLASSES, SIZE, build, oracle_ap, truth_of, write, write_base

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 200),
    st.floats(-5, 200),
    st.sampled_from([float('nan'), float('inf')]),
    st.sampled_from(['', '0', '1', 'x', '7.5', 'nan']),
    st.lists(st.floats(-5, 170), max_size=7),
    st.lists(st.lists(st.integers(-5, 170), max_size=9), max_size=2),
    st.just({}),
    st.dictionaries(
        st.sampled_from(['size', 'counts']),
        st.one_of(st.lists(st.integers(-1, 200), max_size=4), st.text('0:Q1', max_size=5)),
    ),
)
PLACES = st.tuples(
    st.sampled_from(['images', 'annotations', 'annotations', 'annotations', 'categories']),
    st.integers(0, 5),
    st.sampled_from(
        [
            'id',
            'image_id',
            'category_id',
            'bbox',
            'area',
            'iscrowd',
            'segmentation',
            'width',
            'name',
        ]
    ),
    st.one_of(ODD, st.just('absent')),
)
SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('fuzz')


@pytest.fixture(scope='module')
def base(folder):
    return write_base(folder, count=3)


def changed(base, changes):
    content = copy.deepcopy(base)
    for kind, index, key, value in changes:
        entry = content[kind][index % len(content[kind])]
        if value == 'absent':
            entry.pop(key, None)
        else:
            entry[key] = value
    return content


@SETTINGS
@given(changes=st.lists(PLACES, min_size=1, max_size=4))
def test_any_file_loads_or_is_refused(folder, base, changes):
    path = write(folder, changed(base, changes), 'fuzz.json')
    try:
        content = read_coco(path)
        cleaned = clean(content)
    except InputError:
        cleaned = None
    names = [c['name'] for c in cleaned.content['categories']] if cleaned else []
    bare = cleaned is not None and 'instance without a mask' in cleaned.findings
    classes_there = any(name in names for name in CLASSES)
    good = cleaned is not None and not cleaned.fatal and not bare and classes_there
    wrong_size = cleaned is not None and any(
        (image.get('height'), image.get('width')) != SIZE for image in cleaned.content['images']
    )
    try:
        dataset = build(path, folder)
        ap = oracle_ap(dataset, path, truth_of(base))
        _ = [dataset[index] for index in range(len(dataset))]
    except InputError:
        assert not good or wrong_size
        return
    assert good and 0 <= ap['coco/bbox_mAP'] <= 1


@SETTINGS
@given(
    numbers=st.permutations(range(1, 13)),
    shift=st.integers(0, 3),
    crowds=st.sets(st.integers(0, 11), max_size=4),
    order=st.permutations(range(3)),
)
def test_ap_is_that_of_pycocotools_however_ids_and_orders_are(
    folder, base, numbers, shift, crowds, order
):
    """The plain file in mmdet's own data set and metric against a file of another exporter."""
    content = copy.deepcopy(base)
    for index in crowds:
        content['annotations'][index]['iscrowd'] = 1
    plain = write(folder, content, 'plain.json')
    content['categories'] = [content['categories'][i] for i in order]
    for one, number in zip(content['annotations'], numbers):
        one['id'] = number - shift
    other = write(folder, content, 'other.json')
    truth = truth_of(base)
    ours = oracle_ap(build(other, folder), other, truth)
    theirs = oracle_ap(build(plain, folder), plain, truth, kind='mmdet.CocoMetric')
    assert ours == theirs


@SETTINGS
@given(text=st.one_of(st.text(max_size=30), ODD.map(lambda value: json.dumps(value, default=str))))
def test_what_is_no_annotation_file(folder, text):
    path = folder / 'text.json'
    path.write_text(text, encoding='utf-8', errors='surrogatepass')
    with pytest.raises(InputError, match='is not a COCO annotation file'):
        read_coco(path)


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_encodings_of_exporters(folder, encoding):
    """A byte order mark comes from Windows, and the locale has no say."""
    content = dict(images=[], annotations=[], categories=[dict(id=1, name='Zellkern groß')])
    path = folder / 'encoded.json'
    path.write_text(json.dumps(content, ensure_ascii=False), encoding=encoding)
    assert read_coco(path) == content


def test_every_kind_says_what_happens():
    assert all(what is None or what.islower() or ',' in what for what in KINDS.values())
