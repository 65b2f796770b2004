"""tools/check_data.py as a user calls it."""

import json

import pytest
from PIL import Image

from mmum.datasets import LoadImageStrict
from mmum.datasets.coco.clean import KINDS, clean
from mmum.errors import InputError
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
        annotations=[dict(box, id=i) for i in range(1, 6)],
    )


def spoil(**changes):
    return lambda c: c['annotations'][3].update(**changes)


def spoil_all(change):
    return lambda c: [change(one) for one in c['annotations']]


SPOILT = {
    'image id given twice': lambda c: c['images'].append(c['images'][0]),
    'category id given twice': lambda c: c['categories'].append(dict(id=1, name='dog')),
    'category name given twice': lambda c: c['categories'].append(dict(id=2, name='cat')),
    'image without height and width': lambda c: c['images'][0].pop('width'),
    'annotation of an unknown image': spoil(image_id=9),
    'annotation of an unknown category': spoil(category_id=9),
    'box that is not four finite numbers': spoil(bbox=[1, 2, 3, float('nan')]),
    'iscrowd that is neither 0 nor 1': spoil(iscrowd=2),
    'segmentation that is neither polygons nor run lengths': spoil(segmentation=7),
    'polygon of an odd number of coordinates': spoil(segmentation=[[1, 1, 6, 1, 6, 6, 1]]),
    'mask of another size than its image': spoil(segmentation=dict(size=[9, 9], counts=[81])),
    'boxes that seem to be x1, y1, x2, y2 in place of x, y, width, height': lambda c: c[
        'annotations'
    ].extend(dict(c['annotations'][0], id=9 + i, bbox=[6, 6, 9, 9]) for i in range(20)),
    'boxes that seem to be shares of the image in place of pixels': spoil_all(
        lambda one: one.update(bbox=[0.1, 0.1, 0.5, 0.5])
    ),
    'boxes of which most leave their image': lambda c: c['annotations'].extend(
        dict(c['annotations'][0], id=9 + i, bbox=[8, 1, 5, 5]) for i in range(20)
    ),
    'nothing but crowds, so there is no object to learn or to compare with': spoil_all(
        lambda one: one.update(iscrowd=1)
    ),
    'annotation id that is no number above 0, or given twice': spoil(id=0),
    'file name with backslashes': lambda c: c['images'][0].update(file_name='a\\b.jpg'),
    'category name that is no text': lambda c: c['categories'][0].update(name=3),
    'number written as text': spoil(iscrowd='0'),
    'polygon that is not in a list of polygons': spoil(segmentation=[1, 1, 6, 1, 6, 6]),
    'iscrowd absent': lambda c: c['annotations'][3].pop('iscrowd'),
    'area absent or not above 0': spoil(area=None),
    'box absent': lambda c: c['annotations'][3].pop('bbox'),
    'polygon of fewer than three points': spoil(segmentation=[[1, 1, 6, 1]]),
    'mask without a pixel': spoil(segmentation=[[1, 1, 1, 1, 1, 1]]),
    'box without area': spoil(bbox=[1, 1, 0, 5]),
    'box of less than a pixel': spoil(bbox=[1, 1, 0.5, 5]),
    'box outside its image': spoil(bbox=[11, 1, 5, 5]),
    'box that reaches over the edge': spoil(bbox=[8, 1, 5, 5]),
    'instance without a mask': spoil(segmentation=[]),
    'crowd': spoil(iscrowd=1),
    'image without annotations': lambda c: c['images'].append(dict(c['images'][0], id=2)),
    'category without annotations': lambda c: c['categories'].append(dict(id=2, name='dog')),
}


@pytest.mark.parametrize('kind', KINDS)
def test_every_finding_in_annotations(kind, tmp_path):
    good = content()
    assert clean(good).findings == {}
    before = json.dumps(good)
    clean(good)
    assert json.dumps(good) == before  # what is given is left alone
    SPOILT[kind](good)
    found = clean(good).findings
    assert kind in found
    if len(found[kind]) == 1 and kind.startswith(('box', 'annotation of', 'crowd', 'polygon')):
        assert found[kind] == [4]
    (tmp_path / 'a.json').write_text(json.dumps(good))
    code, output = call_tool('tools/check_data.py', tmp_path / 'a.json')
    assert f'x {kind} (' in output and code == (
        1 if any(KINDS[one] is None for one in found) else 0
    )


@pytest.mark.parametrize(
    'size, turn, sentence',
    [
        ((40, 20), None, 'is 20x40 in the annotations and 40x20 as it is read: width and height'),
        ((20, 40), 6, 'as it is read, because its EXIF orientation 6 turns it'),
        ((30, 30), None, 'as it is read: annotate the file that is there'),
        ((40, 20), 6, None),  # turned, and annotated as it is shown
        ((20, 40), None, None),
    ],
)
def test_sizes_are_those_of_the_pixels(size, turn, sentence, tmp_path):
    image = Image.new('RGB', size, 'grey')
    exif = Image.Exif()
    if turn:
        exif[0x0112] = turn
    image.save(tmp_path / 'a.jpg', exif=exif)
    good = content()
    good['images'][0].update(width=20, height=40)
    (tmp_path / 'a.json').write_text(json.dumps(good))
    code, output = call_tool('tools/check_data.py', tmp_path / 'a.json', '--images', tmp_path)
    assert code == (1 if sentence else 0), output
    assert sentence is None or sentence in output
    loader = LoadImageStrict()
    loaded = dict(img_path=str(tmp_path / 'a.jpg'), height=40, width=20)
    if sentence is None:
        assert loader.transform(loaded)['ori_shape'] == (40, 20)
    else:
        with pytest.raises(InputError, match='in the annotations'):
            loader.transform(loaded)
