"""A folder of images without labels."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.registry import DATASETS
from mmpretrain.datasets import CustomDataset

from mmum.datasets.listing import EXTENSIONS, list_files, read_list
from mmum.datasets.shards import images_in_shard
from mmum.datasets.unreadable import ReplacesUnreadable
from mmum.errors import InputError

REMEDY = (
    'set data_root in the config to your folder of images, or pass --cfg-options data_root=FOLDER'
)


@DATASETS.register_module()
class UnlabelledImages(ReplacesUnreadable, CustomDataset):
    """All images under a folder, at any depth.

    mmpretrain's ``CustomDataset`` without labels or class folders. Images in uncompressed tar files
    under the folder, or in the list, count too; see :mod:`mmum.datasets.shards`.

    Args:
        data_root (str): The folder.
        extensions (Sequence[str]): Suffixes of images. Defaults to ('.jpg', '.jpeg', '.png',
            '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm').
        bad_images (str, optional): A file that lists unreadable images. With it, an unreadable
            image does not end training: another one is drawn in its place, and path and reason are
            added to the file, once per image. Defaults to None: an unreadable image is an error.
        max_bad_share (float): Largest share of unreadable images; more of them mean that the
            folder itself is wrong, which is an error. One is forgiven in any case. Defaults to
            0.01.
        **kwargs: Further arguments of ``CustomDataset``; ``ann_file`` may list files, one per line,
            relative to the folder.

    Raises:
        InputError: If the folder does not exist, holds no images, or too many unreadable ones.
    """

    def __init__(
        self,
        data_root: str,
        extensions: Sequence[str] = EXTENSIONS,
        bad_images: str | None = None,
        max_bad_share: float = 0.01,
        **kwargs: Any,
    ) -> None:
        self.bad_images, self.max_bad_share = bad_images, max_bad_share
        self.image_extensions = tuple(extensions)
        super().__init__(
            data_root=data_root, extensions=(*extensions, '.tar'), with_label=False, **kwargs
        )

    def load_data_list(self) -> list[dict[str, Any]]:
        """List the images, those in shards included."""
        folder = self.img_prefix
        if '://' not in folder and not Path(folder).is_dir():
            raise InputError(f'the image folder {folder} does not exist: {REMEDY}')
        if self.ann_file:
            names = [name for name, _ in read_list(self.ann_file, folder)]
            listed = [dict(img_path=os.path.join(folder, name)) for name in names]
        else:
            listed = super().load_data_list()
        images: list[dict[str, Any]] = []
        for data in listed:
            if data['img_path'].endswith('.tar'):
                urls = images_in_shard(data['img_path'], self.image_extensions)
                images += [dict(img_path=url) for url in urls]
            else:
                images.append(data)
        if not images:
            raise InputError(
                f'the folder {folder} holds no images '
                f'({", ".join(self.image_extensions)}): {REMEDY}'
            )
        return images

    def _find_samples(self) -> list[str]:
        if '://' not in self.img_prefix:
            return list_files(self.img_prefix, tuple(self.extensions))
        try:
            return super()._find_samples()
        except RuntimeError as error:
            if 'Found 0 files' not in str(error):
                raise
            return []
