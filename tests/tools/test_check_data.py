"""tools/check_data.py as a user calls it."""

import json

import pytest

from mmum.datasets.checks.annotations import FAULTS, check_coco
from tests.helpers import call_tool, write_odd_images


def test_a_folder(tmp_path):
    (tmp_path / 'images').mkdir()
    bad = write_odd_images(tmp_path / 'images')
    code, output = call_tool(
        'tools/check_data.py',
        tmp_path / 'images',
        '--workers',
        2,
        '--out',
        tmp_path / 'report.json',
    )
    assert code == 1 and f'{len(bad)} images: {sum(bad.values())} bad' in output
    assert 'more than 1 % are bad' in output and '1 x is a PNG by its content' in output
    report = json.loads((tmp_path / 'report.json').read_text())
    assert {path.rpartition('/')[2] for path in report['bad_images']} == {
        name for name in bad if bad[name]
    }


def test_what_is_in_order(mini):
    code, output = call_tool(
        'tools/check_data.py',
        mini / 'annotations' / 'val.json',
        '--images',
        mini / 'val',
        '--workers',
        1,
    )
    assert (
        code == 0 and '4 images: 0 bad' in output and output.rstrip().endswith('no problems found')
    )


def content():
    box = dict(
        bbox=[1, 1, 5, 5],
        area=25,
        segmentation=[[1, 1, 6, 1, 6, 6]],
        iscrowd=0,
        image_id=1,
        category_id=1,
    )
    return dict(
        images=[dict(id=1, file_name='a.jpg', width=10, height=10)],
        categories=[dict(id=1, name='cat')],
        annotations=[dict(box, id=i) for i in range(5)],
    )


SPOILT = {
    'image id given twice': lambda c: c['images'].append(c['images'][0]),
    'annotation id given twice': lambda c: c['annotations'].append(c['annotations'][0]),
    'category id given twice': lambda c: c['categories'].append(dict(id=1, name='dog')),
    'category name given twice': lambda c: c['categories'].append(dict(id=2, name='cat')),
    'annotation of an unknown image': lambda c: c['annotations'][3].update(image_id=9),
    'annotation of an unknown category': lambda c: c['annotations'][3].update(category_id=9),
    'box that is not four finite numbers': lambda c: c['annotations'][3].update(
        bbox=[1, 2, 3, float('nan')]
    ),
    'image without height and width': lambda c: c['images'][0].pop('width'),
    'box outside its image': lambda c: c['annotations'][3].update(bbox=[11, 1, 5, 5]),
    'box without area': lambda c: c['annotations'][3].update(bbox=[1, 1, 0, 5]),
    'box that reaches over the edge': lambda c: c['annotations'][3].update(bbox=[8, 1, 5, 5]),
    'instance without a mask': lambda c: c['annotations'][3].update(segmentation=[]),
    'polygon of fewer than three points': lambda c: c['annotations'][3].update(
        segmentation=[[1, 1, 6, 1]]
    ),
    'crowd': lambda c: c['annotations'][3].update(iscrowd=1),
    'image without annotations': lambda c: c['images'].append(dict(c['images'][0], id=2)),
    'category without annotations': lambda c: c['categories'].append(dict(id=2, name='dog')),
}


@pytest.mark.parametrize('kind', FAULTS)
def test_every_fault_of_annotations_is_found(kind, tmp_path):
    good = content()
    assert check_coco(good) == {}
    SPOILT[kind](good)
    found = check_coco(good)
    assert kind in found
    if '3' in str(good['annotations'][3]['id']) and kind.startswith(
        ('box', 'annotation of', 'crowd', 'polygon', 'instance')
    ):
        assert found[kind] == [3]
    (tmp_path / 'a.json').write_text(json.dumps(good))
    code, output = call_tool('tools/check_data.py', tmp_path / 'a.json')
    assert f'x {kind} (' in output and code == (
        1 if any(FAULTS[one] is None for one in found) else 0
    )
