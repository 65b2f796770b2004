"""A folder of images in class folders."""

from pathlib import Path
from typing import Any

from mmengine.registry import DATASETS
from mmpretrain.datasets import CustomDataset

from mmum.errors import InputError


@DATASETS.register_module()
class LabelledImages(CustomDataset):
    """Images in one folder per class, as in ImageNet.

    mmpretrain's ``CustomDataset`` with a sentence for what is amiss.

    Args:
        data_root (str): The folder of the data set. Defaults to ''.
        data_prefix (str): The folder of this split in it, for example 'train'. Defaults to ''.
        **kwargs: Further arguments of ``CustomDataset``; ``ann_file`` may name a list of
            ``FILE LABEL`` lines instead of class folders.

    Raises:
        InputError: If the folder does not exist or has no class folders with images.
    """

    def load_data_list(self) -> list[dict[str, Any]]:
        """List the images with their labels."""
        folder = self.img_prefix
        remedy = (
            'set data_root in the config, or pass --cfg-options data_root=FOLDER (with '
            'train/CLASS/ and val/CLASS/ in it)'
        )
        if '://' not in folder and not Path(folder).is_dir():
            raise InputError(f'the image folder {folder} does not exist: {remedy}')
        try:
            return super().load_data_list()
        except RuntimeError as error:
            if 'Found 0 files' not in str(error):
                raise
            raise InputError(
                f'the folder {folder} holds no class folders with images: {remedy}'
            ) from error
