"""UniformMask and the folder of images."""

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS, TRANSFORMS
from PIL import Image

from mmum.errors import InputError


def build(**options):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return TRANSFORMS.build(dict(type='UniformMask', **options))


@pytest.mark.parametrize('input_size, grid', [(256, (16, 16)), ((128, 192), (8, 12))])
def test_adds_the_mask_map_and_reads_nothing(input_size, grid):
    results = build(input_size=input_size, unit=16, secondary_ratio=0.25)({})
    assert set(results) == {'mask'}
    assert results['mask'].shape == grid and results['mask'].dtype == np.uint8
    assert set(np.unique(results['mask'])) == {0, 1, 2}


def test_random_mask():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        transform = TRANSFORMS.build(
            dict(type='RandomMask', input_size=(128, 192), mask_ratio=0.75)
        )
    masks = np.stack([transform({})['mask'] for _ in range(400)])
    assert masks.shape == (400, 8, 12) and masks.dtype == np.uint8
    assert (masks.sum((1, 2)) == 72).all() and set(np.unique(masks)) == {0, 1}
    assert np.abs(masks.mean(0) - 0.75).max() < 0.1  # every unit alike
    with (
        pytest.raises(InputError, match='mask_ratio=2'),
        DefaultScope.overwrite_default_scope('mmpretrain'),
    ):
        TRANSFORMS.build(dict(type='RandomMask', mask_ratio=2))


def test_same_seed_same_masks():
    transform = build(input_size=128)
    draws = []
    for seed in (3, 3, 4):
        np.random.seed(seed)
        draws.append([transform({})['mask'] for _ in range(3)])
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    assert not np.array_equal(draws[0][0], draws[0][1])


@pytest.mark.parametrize(
    'options, named',
    [
        (dict(input_size=100), '100x100'),
        (dict(input_size=(128, 130)), '128x130'),
        (dict(input_size=0), '0x0'),
        (dict(secondary_ratio=1.5), 'secondary_ratio=1.5'),
        (dict(input_size=(64, 64, 64)), 'input_size'),
    ],
)
def test_bad_options_are_named(options, named):
    with pytest.raises(InputError, match=named.replace('(', r'\(')):
        build(**options)


class Masks(torch.utils.data.Dataset):
    """One mask map an item."""

    def __init__(self):
        self.transform = build(input_size=128)

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return self.transform({})['mask']


def test_workers_and_ranks_differ():
    """Seeded as mmengine seeds them."""
    from functools import partial

    from mmengine.dataset import worker_init_fn

    def masks(rank):
        init = partial(worker_init_fn, num_workers=2, rank=rank, seed=5)
        loader = torch.utils.data.DataLoader(
            Masks(), batch_size=1, num_workers=2, worker_init_fn=init
        )
        return [mask.numpy().tobytes() for mask in loader]

    first, again, other = masks(0), masks(0), masks(1)
    assert first == again
    assert len(set(first)) == 8  # within and between workers
    assert not set(first) & set(other)


def dataset(root, **options):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        pipeline = [dict(type='LoadImageStrict')]
        return DATASETS.build(
            dict(type='UnlabelledImages', data_root=str(root), pipeline=pipeline, **options)
        )


def test_a_folder_of_any_depth(tmp_path):
    for name in ('a.jpg', 'b/c.PNG', 'b/d/e f.jpeg', 'g.txt'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith('txt'):
            (tmp_path / name).write_text('no image')
        else:
            Image.new('RGB', (8, 8)).save(tmp_path / name)
    images = dataset(tmp_path)
    assert len(images) == 3
    assert all(images[i]['img'].shape == (8, 8, 3) for i in range(3))


def test_folders_that_do_not_serve(tmp_path):
    with pytest.raises(InputError, match='nowhere.* does not exist'):
        dataset(tmp_path / 'nowhere')
    (tmp_path / 'sub').mkdir()
    with pytest.raises(InputError, match='holds no images'):
        dataset(tmp_path)


def test_an_image_that_is_cut_short_is_named(tmp_path):
    Image.fromarray(np.random.randint(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / 'whole.jpg')
    data = (tmp_path / 'whole.jpg').read_bytes()
    (tmp_path / 'whole.jpg').unlink()
    for name, content in (
        ('cut.jpg', data[: len(data) // 2]),
        ('empty.jpg', b''),
        ('text.jpg', b'hello'),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f'{name} cannot be read as an image'):
            dataset(tmp_path)[0]
        (tmp_path / name).unlink()
