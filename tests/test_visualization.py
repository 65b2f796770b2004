"""Pictures: what is drawn where."""

import numpy as np
import pytest
from benchmarks.figures import method_picture

from mmum.errors import InputError
from mmum.masking import REMOVED, SECONDARY, VISIBLE
from mmum.visualization import mask_picture, picture_paths, side_by_side
from tests.helpers import ROOT, read_rgb


def test_a_mask_map_covers_an_image():
    rgb = np.full((32, 32, 3), 7, np.uint8)
    mask = np.array([[VISIBLE, SECONDARY], [REMOVED, REMOVED]], np.uint8)
    covered = mask_picture(rgb, mask)
    assert (covered[:16, :16] == 7).all() and (covered[16:] == 255).all()
    assert set(np.unique(covered[:16, 16:])) == {110, 200}


def test_side_by_side_takes_any_sizes():
    row = side_by_side([np.zeros((4, 6, 3), np.uint8), np.zeros((8, 2, 3), np.uint8)], border=1)
    assert row.shape == (10, 12, 3)
    assert (row[6:, 1:7] == 255).all() and (row[1:9, 9:11] == 0).all()


def test_every_image_has_a_picture_of_its_own(tmp_path):
    names = ['a/1.png', 'b/1.png', 'b/2.jpg', 'b/2.tif', 'b/3.v1.tiff']
    paths = picture_paths([f'/images/{name}' for name in names], tmp_path, '--out')
    wanted = ['a/1.jpg', 'b/1.jpg', 'b/2.jpg.jpg', 'b/2.tif.jpg', 'b/3.v1.jpg']
    assert paths == [tmp_path / name for name in wanted]
    # subfolders begin behind the folder that has all images, or behind the one that is given
    assert picture_paths(['/x/a/1.png'], tmp_path, '--out') == [tmp_path / '1.jpg']
    assert picture_paths(['/x/a/1.png'], tmp_path, '--out', '/x') == [tmp_path / 'a' / '1.jpg']


@pytest.mark.parametrize('out', ['images', 'images/../images', 'link'])
def test_no_picture_replaces_an_image(out, tmp_path):
    (tmp_path / 'images').mkdir()
    (tmp_path / 'link').symlink_to(tmp_path / 'images')
    images = [str(tmp_path / 'images' / '1.jpg')]
    with pytest.raises(InputError, match='--out X would put pictures into .*images, a folder of'):
        picture_paths(images, tmp_path / out, '--out X')
    assert picture_paths(images, tmp_path / 'images' / 'drawn', '--out X')


def test_the_picture_of_the_method_is_current():
    drawn = method_picture().astype(int)
    kept = read_rgb(ROOT / 'docs' / 'images' / 'method.png').astype(int)
    assert drawn.shape == kept.shape
    assert np.abs(drawn - kept).mean() < 0.5, 'stale: python tools/benchmark.py figures'
