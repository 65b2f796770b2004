"""Repeated augmentation: several masks and crops of an image for one decoding."""
from itertools import chain, repeat

from mmengine.dataset import DefaultSampler
from mmengine.registry import DATA_SAMPLERS

from mmum.errors import InputError


@DATA_SAMPLERS.register_module()
class RepeatSampler(DefaultSampler):
    """mmengine's ``DefaultSampler``, every image ``repeats`` times in a row.

    Each time it is cropped, flipped and masked anew. With ``LoadCropResize(reuse=True)`` it is decoded once. An epoch is so
    many times longer: divide the number of epochs by it.

    Args:
        dataset (Sized): The data set.
        repeats (int): Times. Defaults to 2.
        **kwargs: Of ``DefaultSampler``.
    """

    def __init__(self, dataset, repeats=2, **kwargs):
        super().__init__(dataset, **kwargs)
        if repeats < 1:
            raise InputError(f'repeats={repeats} of RepeatSampler should be at least 1')
        self.repeats = repeats

    def __iter__(self):
        return chain.from_iterable(repeat(index, self.repeats) for index in super().__iter__())

    def __len__(self):
        return self.repeats * super().__len__()
