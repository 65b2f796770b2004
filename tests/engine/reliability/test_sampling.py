"""Draws that follow from their place in a training."""

import random

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import BatchSampler, DataLoader, Dataset

from mmum.engine.reliability.sampling import make_resumable, seeded
from mmum.errors import InputError


class Images(Dataset):
    """As a data set of images: what is drawn for one depends on all three generators."""

    metainfo = dict(classes=('a',))

    def __len__(self):
        return 24

    def __getitem__(self, index):
        assert type(index) is int
        return index, random.random(), np.random.rand(), torch.rand(()).item()


def batches(
    sampler, workers=0, skip=0, epoch=0, rollbacks=0, endless=False, rank=0, ranks=1, n=None
):
    data = Images()
    sampler = sampler(data, shuffle=True, seed=5)
    sampler.rank, sampler.world_size = rank, ranks
    if isinstance(sampler, DefaultSampler):
        sampler.num_samples = len(data) // ranks
    loader = make_resumable(
        DataLoader(
            data,
            batch_sampler=BatchSampler(sampler, 4 // ranks, True),
            num_workers=workers,
            collate_fn=list,
        ),
        endless,
        rank,
        ranks,
    )
    assert loader.dataset.metainfo == data.metainfo and len(loader.dataset) == 24
    loader.batch_sampler.begin(7, rollbacks, epoch, skip)
    found = []
    for batch in loader:
        found.append(batch)
        if len(found) == n:
            break
    return found


@pytest.mark.parametrize('workers', [1, 2, 3])
def test_workers_do_not_matter(workers):
    assert batches(DefaultSampler, workers) == batches(DefaultSampler)


def test_skipping_goes_on_where_the_others_ended():
    for skip in range(7):
        assert batches(DefaultSampler, skip=skip) == batches(DefaultSampler)[skip:]


@pytest.mark.parametrize('sampler', [DefaultSampler, InfiniteSampler])
def test_endless_goes_on_anywhere_too(sampler):
    whole = batches(sampler, endless=True, n=20)  # three passes and more
    order = [[image[0] for batch in whole[i : i + 6] for image in batch] for i in (0, 6, 12)]
    assert all(sorted(one) == list(range(24)) for one in order) and order[0] != order[1] != order[2]
    for skip in (1, 6, 13):
        assert batches(sampler, endless=True, skip=skip, n=20 - skip) == whole[skip:]


def test_two_ranks_draw_what_one_would():
    one = {image for batch in batches(DefaultSampler) for image in batch}
    two = {
        image
        for rank in (0, 1)
        for batch in batches(DefaultSampler, rank=rank, ranks=2)
        for image in batch
    }
    assert one == two


def test_epochs_redraws_and_places_differ():
    draws = [
        image[1]
        for options in (dict(), dict(epoch=1), dict(rollbacks=1))
        for batch in batches(DefaultSampler, **options)
        for image in batch
    ]
    assert len(set(draws)) == 3 * 24


def test_nothing_outside_is_touched():
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    with seeded((1, 2)):
        random.random(), np.random.rand(), torch.rand(1)
    assert states == (
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_rng_state().tolist(),
    )


@pytest.mark.parametrize('endless', [False, True])
def test_fewer_images_than_a_batch(endless):
    """No step would ever be made: by iteration, a loop without end."""
    data = Images()
    loader = DataLoader(data, batch_size=25, sampler=DefaultSampler(data), drop_last=True)
    with pytest.raises(InputError, match='24 training images do not fill one batch of 25'):
        make_resumable(loader, endless)
    infinite = DataLoader(data, batch_size=25, sampler=InfiniteSampler(data), drop_last=True)
    assert len(next(iter(make_resumable(infinite, True)))[0]) == 25
