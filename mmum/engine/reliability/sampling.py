"""Seed every random draw from its position in training, so that resuming changes nothing.

The crop and mask of an image depend on the seed of the run, the epoch and the position of the image
in it. They do not depend on the worker that draws them, on the number of workers or ranks, or on
what was drawn before. So a run that was interrupted anywhere resumes with the draws that it would
have made.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.dataset import InfiniteSampler
from torch.utils.data import DataLoader, Dataset

from mmum.errors import InputError


class KeyedIndex(int):
    """An index of a data set with the key of its draw, a tuple of ints, as ``key``."""

    key: tuple[int, ...]

    def __new__(cls, index: int, key: tuple[int, ...]) -> 'KeyedIndex':
        keyed = super().__new__(cls, index)
        keyed.key = key
        return keyed

    def __getnewargs__(self) -> tuple[int, tuple[int, ...]]:  # type: ignore[override]
        return int(self), self.key  # for workers


def seed_all(key: Sequence[int], gpus: bool = True) -> None:
    """Seed the generators of Python, numpy and torch.

    Args:
        key (Sequence[int]): Numbers, none negative. Different keys give independent draws.
        gpus (bool): Whether to seed those of the GPUs too. Defaults to True.
    """
    python, numpy, pytorch = np.random.SeedSequence(key).generate_state(3).tolist()
    random.seed(python)
    np.random.seed(numpy)
    torch.default_generator.manual_seed(pytorch)
    if gpus and torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(pytorch)


@contextmanager
def seeded(key: Sequence[int]) -> Iterator[None]:
    """Seed draws on the CPU inside, and restore the generators afterwards.

    Args:
        key (Sequence[int]): Numbers, none negative.
    """
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    seed_all(key, gpus=False)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


class SeededDataset(Dataset):
    """A data set whose samples are drawn as a :class:`KeyedIndex` says.

    For everything else it stands for the data set inside.

    Args:
        dataset (Dataset): The data set.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: KeyedIndex) -> Any:
        with seeded(index.key):
            return self.dataset[int(index)]

    def __getattr__(self, name: str) -> Any:
        if name == 'dataset' or name.startswith('__'):  # while it is unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)


class ResumableBatchSampler:
    """The batches of another batch sampler from any position on, with keys of their draws.

    What comes before is counted, a million indices a second, but not loaded.

    Args:
        batch_sampler (Iterable[list[int]]): The other one; its ``sampler`` may have ``seed``,
            ``epoch`` and ``set_epoch``.
        endless (bool): Whether to begin again at the end, for training by iterations. Defaults to
            False.
        rank (int): Rank of this process. Defaults to 0.
        ranks (int): Number of ranks. Defaults to 1.
    """

    def __init__(
        self, batch_sampler: Any, endless: bool = False, rank: int = 0, ranks: int = 1
    ) -> None:
        self.batch_sampler, self.endless = batch_sampler, endless
        self.rank, self.ranks = rank, ranks
        self.skip, self.key = 0, (0, 0, 0)

    @property
    def sampler(self) -> Any:
        """Sampler of the wrapped batch sampler."""
        return self.batch_sampler.sampler

    @property
    def batch_size(self) -> int:
        """Batch size of the wrapped batch sampler."""
        return self.batch_sampler.batch_size

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def begin(self, seed: int, rollbacks: int, epoch: int, skip: int) -> None:
        """Set what the next iteration gives.

        Args:
            seed (int): Seed of the run, the same on all ranks; order and draws follow from it.
            rollbacks (int): How often the run was rolled back, which changes the draws.
            epoch (int): Epoch of the training; 0 for training by iterations.
            skip (int): Number of batches to leave out.
        """
        self.key, self.skip = (seed, rollbacks, epoch), skip
        if hasattr(self.sampler, 'seed'):
            self.sampler.seed = seed
        if self.endless and hasattr(self.sampler, 'skip'):
            self.sampler.skip(0)  # mmengine's InfiniteSampler would continue where it is

    def __iter__(self) -> Iterator[list[KeyedIndex]]:
        position = 0
        for number, batch in enumerate(self._batches()):
            if number >= self.skip:
                # Ranks take turns in the order of the images, so the number of an image does not
                # depend on how many ranks there are.
                yield [
                    KeyedIndex(index, (*self.key, (position + i) * self.ranks + self.rank))
                    for i, index in enumerate(batch)
                ]
            position += len(batch)

    def _batches(self) -> Iterable[list[int]]:
        yield from self.batch_sampler
        epoch = 0
        while self.endless:
            epoch += 1
            if hasattr(self.sampler, 'set_epoch'):
                self.sampler.set_epoch(epoch)
            yield from self.batch_sampler


def make_resumable(
    loader: DataLoader, endless: bool = False, rank: int = 0, ranks: int = 1
) -> DataLoader:
    """Make a data loader whose draws are keyed by their position; see the module.

    Args:
        loader (DataLoader): The data loader to take everything else from.
        endless (bool): Whether to begin again at the end. Defaults to False.
        rank (int): Rank of this process. Defaults to 0.
        ranks (int): Number of ranks. Defaults to 1.

    Raises:
        InputError: If there are fewer images than a batch and incomplete batches are left out:
            such a training would never make a step.
    """
    if not len(loader) and not isinstance(loader.sampler, InfiniteSampler):
        per_rank = f' on each of {ranks} ranks' if ranks > 1 else ''
        raise InputError(
            f'{len(loader.dataset)} training images do not fill one batch of {loader.batch_size}'
            f'{per_rank}: pass --cfg-options train_dataloader.batch_size=N with a smaller N, or '
            'add images'
        )
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
        persistent_workers=loader.persistent_workers,
    )
