"""Repeated augmentation: several masks and crops of an image per decoding."""

from collections.abc import Iterator, Sized
from itertools import chain, repeat
from typing import Any

from mmengine.dataset import DefaultSampler
from mmengine.registry import DATA_SAMPLERS

from mmum.errors import InputError


@DATA_SAMPLERS.register_module()
class RepeatSampler(DefaultSampler):
    """mmengine's ``DefaultSampler`` with every image ``repeats`` times in a row.

    Every time the image is cropped, flipped and masked anew. With ``LoadCropResize(reuse=True)`` it
    is decoded once. An epoch is that many times longer: divide the number of epochs by it.

    Args:
        dataset (Sized): The data set.
        repeats (int): Number of times. Defaults to 2.
        **kwargs: Further arguments of ``DefaultSampler``.

    Raises:
        InputError: If ``repeats`` is not positive.
    """

    def __init__(self, dataset: Sized, repeats: int = 2, **kwargs: Any) -> None:
        super().__init__(dataset, **kwargs)
        if repeats < 1:
            raise InputError(f'repeats={repeats} of RepeatSampler should be at least 1')
        self.repeats = repeats

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(repeat(index, self.repeats) for index in super().__iter__())

    def __len__(self) -> int:
        return self.repeats * super().__len__()
