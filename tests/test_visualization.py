"""Pictures: what is drawn where."""

import numpy as np
from benchmarks.figures import method_picture

from mmum.masking import REMOVED, SECONDARY, VISIBLE
from mmum.visualization import mask_picture, side_by_side
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


def test_the_picture_of_the_method_is_current():
    drawn = method_picture().astype(int)
    kept = read_rgb(ROOT / 'docs' / 'images' / 'method.png').astype(int)
    assert drawn.shape == kept.shape
    assert np.abs(drawn - kept).mean() < 0.5, 'stale: python tools/benchmark.py figures'
