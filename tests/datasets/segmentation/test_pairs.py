"""Images and their label maps."""

import numpy as np
import pytest
from PIL import Image

from mmum.datasets.segmentation import CheckedADE20KDataset, CheckedSegDataset
from mmum.datasets.segmentation.maps import Labels
from mmum.datasets.segmentation.pairs import inspect_maps, pair_files, spread, suspicion
from mmum.errors import InputError, UnreadableImage


def write(root, images, maps=None):
    """Files of these names: images of one colour, maps of 0 and 1."""
    for folder, names in (('images', images), ('maps', images if maps is None else maps)):
        for name in names:
            path = root / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if folder == 'maps':
                array = np.indices((32, 48)).sum(0).astype(np.uint8) % 2
                path = path.with_suffix('.png')
            else:
                array = np.full((32, 48, 3), 90, np.uint8)
            Image.fromarray(array).save(path)
    return root


def data_set(root, kind=CheckedSegDataset, **kwargs):
    kwargs.setdefault('metainfo', dict(classes=('a', 'b')))
    return kind(
        data_root=str(root), data_prefix=dict(img_path='images', seg_map_path='maps'), **kwargs
    )


def test_files_are_paired_by_name_at_any_depth(tmp_path):
    names = ['b.png', 'x/a.jpg', 'x/c.jpeg']
    found = data_set(write(tmp_path, names))
    pairs = [(found[i]['img_path'], found[i]['seg_map_path']) for i in range(len(found))]
    assert pairs == [
        (str(tmp_path / 'images' / name), str((tmp_path / 'maps' / name).with_suffix('.png')))
        for name in names
    ]
    listed = tmp_path / 'list.txt'
    listed.write_text('\ufeffx/a\n\nb \n', encoding='utf-8')
    assert len(data_set(tmp_path, ann_file=str(listed))) == 2
    listed.write_text('x/q\n')
    with pytest.raises(InputError, match=r'1 listed images are not in .*images, first x/q'):
        data_set(tmp_path, ann_file=str(listed))


def test_suffixes_of_mmseg(tmp_path):
    write(tmp_path, ['a_leftImg8bit.png', 'other.png'], ['a_gt.png'])
    suffixes = dict(img_suffix='_leftImg8bit.png', seg_map_suffix='_gt.png')
    assert len(data_set(tmp_path, **suffixes)) == 1


def test_two_images_of_one_map(tmp_path):
    """Also where one of them is the map: a model would see its answers."""
    write(tmp_path, ['a.jpg', 'b.jpg', 'b.tif'])
    sentence = r'b.jpg and b.tif in .*images would have one label map, b.png: .* set img_suffix'
    with pytest.raises(InputError, match=sentence):
        data_set(tmp_path)
    with pytest.raises(InputError, match=sentence):
        pair_files(tmp_path / 'images', tmp_path / 'maps')
    assert len(data_set(tmp_path, img_suffix='.jpg')) == 2
    alone = dict(data_prefix=dict(img_path='images'), metainfo=dict(classes=('a', 'b')))
    assert len(CheckedSegDataset(data_root=str(tmp_path), **alone)) == 3
    together = tmp_path / 'together'
    write(together / 'x', ['a.jpg'])
    (together / 'x' / 'maps' / 'a.png').rename(together / 'x' / 'images' / 'a.png')
    prefix = dict(img_path='x/images', seg_map_path='x/images')
    kwargs = dict(data_root=str(together), data_prefix=prefix, metainfo=alone['metainfo'])
    with pytest.raises(
        InputError, match=r'a.jpg and a.png in .* if one is the map, set img_suffix'
    ):
        CheckedSegDataset(**kwargs)
    item = CheckedSegDataset(img_suffix='.jpg', **kwargs)[0]
    assert item['img_path'].endswith('a.jpg') and item['seg_map_path'].endswith('a.png')


def test_images_without_map(tmp_path):
    write(tmp_path, ['a.jpg', 'b.jpg'], ['a.png', 'q.png'])
    with pytest.raises(InputError, match=r'1 images of .*images have no label map in .*first b'):
        data_set(tmp_path)
    pairs = pair_files(tmp_path / 'images', tmp_path / 'maps')
    assert (pairs.without_map, pairs.without_image) == (['b.jpg'], ['q.png'])
    alone = CheckedSegDataset(
        data_root=str(tmp_path),
        data_prefix=dict(img_path='images'),
        metainfo=dict(classes=('a', 'b')),
    )
    assert len(alone) == 2 and 'seg_map_path' not in alone[0]


def test_an_empty_folder(tmp_path):
    (tmp_path / 'images').mkdir()
    (tmp_path / 'maps').mkdir()
    with pytest.raises(InputError, match='holds no images'):
        data_set(tmp_path)


def test_an_unreadable_pair_is_replaced_and_a_wrong_one_is_not(tmp_path):
    write(tmp_path, ['a.jpg', 'b.jpg', 'c.jpg'])
    pipeline = [dict(type='LoadImageStrict'), dict(type='LoadSegMapStrict')]
    listed = str(tmp_path / 'bad_images.txt')
    found = data_set(tmp_path, pipeline=pipeline, bad_images=listed)
    (tmp_path / 'maps' / 'b.png').write_bytes(b'no image')
    assert found.prepare_data(1) is None and found[1]['img'].shape == (32, 48, 3)
    assert 'b.jpg\t' in (tmp_path / 'bad_images.txt').read_text()
    with pytest.raises(UnreadableImage):
        data_set(tmp_path, pipeline=pipeline).prepare_data(1)
    Image.fromarray(np.full((32, 48), 7, np.uint8)).save(tmp_path / 'maps' / 'b.png')
    with pytest.raises(InputError, match='has the label 7'):
        found.prepare_data(1)


def test_fewer_classes_than_files_have(tmp_path):
    """Files of ADE20K hold all 150; two of them are learned."""
    write(tmp_path, ['a.jpg'])
    Image.fromarray(np.array([[0, 1, 2, 150, 255]], np.uint8)).save(tmp_path / 'maps' / 'a.png')
    Image.fromarray(np.zeros((1, 5, 3), np.uint8)).resize((5, 1)).save(
        tmp_path / 'images' / 'a.jpg'
    )
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadSegMapStrict')]
    found = data_set(
        tmp_path,
        CheckedADE20KDataset,
        metainfo=dict(classes=('flag', 'building')),
        pipeline=pipeline,
    )
    assert found[0]['gt_seg_map'].tolist() == [[255, 255, 1, 0, 255]]


@pytest.mark.parametrize(
    'values, number, from_one, sentence',
    [
        ([0, 255], 2, False, 'hold 0 and 255 alone'),
        ([0, 1, 2], 3, True, 'reduce_zero_label=False'),
        ([0, 1, 3], 3, True, None),
        ([0, 1, 2], 3, False, None),
        ([1, 255], 3, False, None),
        ([255], 3, False, 'hold 0 and 255 alone'),
        ([0], 3, True, 'no pixel of any class'),
    ],
)
def test_suspicions(values, number, from_one, sentence, tmp_path):
    write(tmp_path, ['a.jpg'])
    array = np.resize(np.array(values, np.uint8), (32, 48))
    Image.fromarray(array).save(tmp_path / 'maps' / 'a.png')
    labels = Labels(number, from_one)
    report = inspect_maps(
        [(str(tmp_path / 'images' / 'a.jpg'), str(tmp_path / 'maps' / 'a.png'))], labels
    )
    assert report.pixels.sum() == 32 * 48 and set(np.flatnonzero(report.maps)) == set(values)
    found = suspicion(report, labels)
    assert found is None if sentence is None else sentence in found


def test_maps_are_chosen_evenly():
    pairs = [(str(i), str(i)) for i in range(1000)]
    assert spread(pairs, 3) == [pairs[0], pairs[500], pairs[999]] and len(spread(pairs)) == 200
    assert spread(pairs[:4]) == pairs[:4]


def test_classes_of_another_data_set(tmp_path):
    write(tmp_path, ['a.jpg'])
    with pytest.raises(InputError, match=r'nucleus are no classes of CheckedADE20KDataset.*150'):
        data_set(tmp_path, CheckedADE20KDataset, metainfo=dict(classes=('nucleus', 'wall')))


def test_a_photograph_that_exif_turns(tmp_path):
    """Its label map has the size of the turned image, which is what loaders give."""
    write(tmp_path, ['a.jpg'])
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / 'images' / 'a.jpg'
    Image.fromarray(np.zeros((48, 32, 3), np.uint8)).save(path, exif=exif)
    pair = (str(path), str(tmp_path / 'maps' / 'a.png'))
    assert not inspect_maps([pair]).faults
    pipeline = [dict(type='LoadImageStrict'), dict(type='LoadSegMapStrict')]
    loaded = data_set(tmp_path, pipeline=pipeline)[0]
    assert loaded['img'].shape[:2] == loaded['gt_seg_map'].shape == (32, 48)
    Image.fromarray(np.zeros((32, 48, 3), np.uint8)).save(path, exif=exif)
    assert list(inspect_maps([pair]).faults) == [pair[1]]
