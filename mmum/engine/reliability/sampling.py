"""Every random draw of a training follows from its place in it.

The crop and mask of an image depend on the seed of the run, the epoch and the image's position in it; not on the worker that
draws them, on how many workers or ranks there are, or on what was drawn before. So a training that was interrupted anywhere
goes on with the draws that it would have made.
"""
import random
from contextlib import contextmanager

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset


class KeyedIndex(int):
    """An index of a data set that also says which draw of the training it is for: ``key``, a tuple of ints."""

    def __new__(cls, index, key):
        draw = super().__new__(cls, index)
        draw.key = key
        return draw

    def __getnewargs__(self):  # for workers
        return int(self), self.key


def seed_all(key, gpus=True):
    """Seeds Python's, numpy's and torch's generators.

    Args:
        key (tuple[int]): Not negative. Different keys give independent draws.
        gpus (bool): Those of the GPUs too. Defaults to True.
    """
    python, numpy, pytorch = np.random.SeedSequence(key).generate_state(3).tolist()
    random.seed(python)
    np.random.seed(numpy)
    torch.default_generator.manual_seed(pytorch)
    if gpus and torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(pytorch)


@contextmanager
def seeded(key):
    """Draws on the CPU inside follow from the key, those after it from what was before."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    seed_all(key, gpus=False)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


class SeededDataset(Dataset):
    """A data set whose samples are drawn as a :class:`Draw` says; for everything else it is the one inside."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, draw):
        with seeded(draw.key):
            return self.dataset[int(draw)]

    def __getattr__(self, name):
        if name == 'dataset' or name.startswith('__'):  # while it is unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)


class ResumableBatchSampler:
    """The batches of another batch sampler from any of them on, with draws instead of indices.

    What comes before is counted, not loaded: a million indices a second.

    Args:
        batch_sampler (Iterable[list[int]]): The other one; its ``sampler`` may have a ``seed``, an ``epoch`` and ``set_epoch``.
        endless (bool): Begin again at the end, for training by iterations. Defaults to False.
        rank (int): Of this process. Defaults to 0.
        ranks (int): How many there are. Defaults to 1.
    """

    def __init__(self, batch_sampler, endless=False, rank=0, ranks=1):
        self.batch_sampler, self.endless, self.rank, self.ranks = batch_sampler, endless, rank, ranks
        self.skip, self.key = 0, (0, )

    @property
    def sampler(self):
        return self.batch_sampler.sampler

    @property
    def batch_size(self):
        return self.batch_sampler.batch_size

    def __len__(self):
        return len(self.batch_sampler)

    def begin(self, seed, rollbacks, epoch, skip):
        """Sets what the next iteration gives.

        Args:
            seed (int): Of the run, the same on all ranks: order and draws follow from it.
            rollbacks (int): How often the run was rolled back: other draws.
            epoch (int): Of the training, 0 for one by iterations.
            skip (int): Batches to leave out.
        """
        self.key, self.skip = (seed, rollbacks, epoch), skip
        if hasattr(self.sampler, 'seed'):
            self.sampler.seed = seed
        if self.endless and hasattr(self.sampler, 'skip'):
            self.sampler.skip(0)  # mmengine's InfiniteSampler would go on where it is

    def __iter__(self):
        position = 0
        for number, batch in enumerate(self._batches()):
            if number >= self.skip:
                # ranks take turns in the order of the images, so that the number of one does not depend on how many there are
                yield [KeyedIndex(index, (*self.key, (position + i) * self.ranks + self.rank)) for i, index in enumerate(batch)]
            position += len(batch)

    def _batches(self):
        yield from self.batch_sampler
        epoch = 0
        while self.endless:
            epoch += 1
            if hasattr(self.sampler, 'set_epoch'):
                self.sampler.set_epoch(epoch)
            yield from self.batch_sampler


def make_resumable(loader, endless=False, rank=0, ranks=1):
    """The same data loader with numbered draws."""
    return DataLoader(
        SeededDataset(loader.dataset),
        batch_sampler=ResumableBatchSampler(loader.batch_sampler, endless, rank, ranks),
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        prefetch_factor=loader.prefetch_factor,
        persistent_workers=loader.persistent_workers)
