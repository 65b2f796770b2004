"""A folder of images in class folders."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from mmengine.registry import DATASETS
from mmpretrain.datasets import CustomDataset

from mmum.datasets.listing import EXTENSIONS, list_class_folders, list_files, read_list
from mmum.datasets.unreadable import ReplacesUnreadable
from mmum.errors import InputError, preview


@DATASETS.register_module()
class LabelledImages(ReplacesUnreadable, CustomDataset):
    """Images in one folder per class, as in ImageNet.

    mmpretrain's ``CustomDataset`` with a sentence for what is amiss.

    Labels number the class folders of ``numbering``, so that training, validation and the bank of
    k-NN agree where one of them lacks a class. Images and folders are listed as everywhere in mmum:
    links are followed, hidden ones skipped.

    Args:
        data_root (str): The folder of the data set. Defaults to ''.
        data_prefix (str): The folder of this split in it, for example 'train'. Defaults to ''.
        numbering (str, optional): A folder whose class folders give the numbers of the classes,
            that of the training images. Runs set it where it is None. Defaults to None: this one.
        extensions (Sequence[str]): Suffixes of images. Defaults to those of
            :class:`UnlabelledImages`.
        bad_images (str, optional): As for :class:`UnlabelledImages`. Defaults to None.
        max_bad_share (float): The same. Defaults to 0.01.
        **kwargs: Further arguments of ``CustomDataset``; ``ann_file`` may name a list of
            ``FILE LABEL`` lines instead of class folders.

    Raises:
        InputError: If the folder does not exist, has no class folders with images, or has one that
            is not among those of ``numbering``.
    """

    def __init__(
        self,
        *args: Any,
        numbering: str | None = None,
        extensions: Sequence[str] = EXTENSIONS,
        bad_images: str | None = None,
        max_bad_share: float = 0.01,
        **kwargs: Any,
    ) -> None:
        self.numbering = numbering
        self.bad_images, self.max_bad_share = bad_images, max_bad_share
        super().__init__(*args, extensions=extensions, **kwargs)

    def _find_samples(self) -> list[tuple[str, int]]:
        folder = self.img_prefix
        if '://' in folder:
            return super()._find_samples()
        present = list_class_folders(folder)
        reference = self.numbering or folder
        names = list(self.CLASSES or list_class_folders(reference))
        unknown = [name for name in present if name not in names]
        if unknown:
            whose = 'the classes of the config' if self.CLASSES else reference
            raise InputError(
                f'{folder} has the class folders {preview(unknown, 3)}, which are not among '
                f'{whose} ({preview(names, 3)}): rename them, or remove them from one of both'
            )
        self._metainfo['classes'] = tuple(names)
        self.folder_to_idx = {name: i for i, name in enumerate(names)}
        samples, empty = [], []
        for name in present:
            files = list_files(Path(folder, name), tuple(self.extensions))
            samples += [(f'{name}/{file}', self.folder_to_idx[name]) for file in files]
            empty += [] if files else [name]
        if not samples:
            raise RuntimeError('Found 0 files')
        if empty:
            text = f'no images in the class folders {preview(empty, 3)} of {folder}'
            print_log(text, 'current', logging.WARNING)
        return samples

    def load_data_list(self) -> list[dict[str, Any]]:
        """List the images with their labels."""
        folder = self.img_prefix
        remedy = (
            'set data_root in the config, or pass --cfg-options data_root=FOLDER (with '
            'train/CLASS/ and val/CLASS/ in it)'
        )
        if '://' not in folder and not Path(folder).is_dir():
            raise InputError(f'the image folder {folder} does not exist: {remedy}')
        if self.ann_file:
            return [
                dict(img_path=os.path.join(folder, name), gt_label=label)
                for name, label in read_list(self.ann_file, folder, labels=True)
            ]
        try:
            return super().load_data_list()
        except RuntimeError as error:
            if 'Found 0 files' not in str(error):
                raise
            raise InputError(
                f'the folder {folder} holds no class folders with images: {remedy}'
            ) from error
