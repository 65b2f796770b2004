"""Lists of images, as people write them."""

import cv2
import numpy as np
import pytest

from mmum.datasets import LabelledImages, UnlabelledImages
from mmum.datasets.listing import read_list
from mmum.errors import InputError


@pytest.fixture
def folder(tmp_path):
    for name in ('a.png', 'sub/b c.png', 'd 3.png'):
        (tmp_path / 'images' / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / 'images' / name), np.zeros((32, 32, 3), np.uint8))
    return tmp_path / 'images'


@pytest.mark.parametrize(
    'text',
    [
        'a.png\nsub/b c.png\nd 3.png\n',
        '\ufeffa.png\r\nsub/b c.png\r\n\r\nd 3.png',
        '  a.png  \n\n\tsub\\b c.png \nd 3.png\n\n',
        'a.png 0\nsub/b c.png 12\nd 3.png 1\n',
    ],
)
def test_as_people_write_them(text, folder, tmp_path):
    """Byte order marks, blank lines and blanks, backslashes, labels that nobody needs."""
    (tmp_path / 'list.txt').write_text(text, encoding='utf-8')
    dataset = UnlabelledImages(str(folder), ann_file=str(tmp_path / 'list.txt'))
    names = [info['img_path'].removeprefix(f'{folder}/') for info in dataset.load_data_list()]
    assert names == ['a.png', 'sub/b c.png', 'd 3.png']


def test_labels(folder, tmp_path):
    (tmp_path / 'list.txt').write_text('\ufeffa.png 4\n\nsub\\b c.png  -1 \nd 3.png 0')
    assert read_list(tmp_path / 'list.txt', str(folder), labels=True) == [
        ('a.png', 4),
        ('sub/b c.png', -1),
        ('d 3.png', 0),
    ]
    dataset = LabelledImages(str(folder), ann_file=str(tmp_path / 'list.txt'))
    assert [info['gt_label'] for info in dataset.load_data_list()] == [4, -1, 0]


@pytest.mark.parametrize(
    'text, labels, sentence',
    [
        ('', False, 'the list .*list.txt is empty'),
        (' \n\n', False, 'the list .*list.txt is empty'),
        ('a.png\nb.png\n', False, 'line 2 of .*list.txt names b.png, which is not in .*images'),
        ('a.png 1\na.png\n', True, 'line 2 of .*list.txt should be FILE LABEL .* and is "a.png"'),
        ('a.png cat\n', True, 'line 1 of .*list.txt should be FILE LABEL .* and is "a.png cat"'),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text, labels, sentence, folder, tmp_path):
    (tmp_path / 'list.txt').write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_list(tmp_path / 'list.txt', str(folder), labels)


def test_an_absent_list(folder, tmp_path):
    with pytest.raises(InputError, match='the list .*absent.txt does not exist'):
        UnlabelledImages(str(folder), ann_file=str(tmp_path / 'absent.txt'))


def test_a_long_list_is_looked_over(folder, tmp_path):
    """Its names are checked throughout the list, and read alike where they are not."""
    (tmp_path / 'list.txt').write_text('a.png 7\n' * 100001)
    names = {name for name, _ in read_list(tmp_path / 'list.txt', str(folder))}
    assert names == {'a.png'}
