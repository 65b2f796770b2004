"""A folder of images, no labels."""
from pathlib import Path

from mmengine.registry import DATASETS
from mmpretrain.datasets import CustomDataset

from mmum.errors import InputError


@DATASETS.register_module()
class UnlabelledImages(CustomDataset):
    """All images under a folder, at any depth: mmpretrain's ``CustomDataset`` without labels or class folders.

    Args:
        data_root (str): The folder.
        extensions (Sequence[str]): Which files are images. Defaults to ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff',
            '.webp', '.ppm', '.pgm').
        **kwargs: For ``CustomDataset``; ``ann_file`` may list files, one a line, relative to the folder.

    Raises:
        InputError: If the folder does not exist or holds no images.
    """

    def __init__(self,
                 data_root,
                 extensions=('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm'),
                 **kwargs):
        super().__init__(data_root=data_root, extensions=extensions, with_label=False, **kwargs)

    def load_data_list(self):
        folder = self.img_prefix
        if '://' not in folder and not Path(folder).is_dir():
            raise InputError(f'the image folder {folder} does not exist: set data_root in the config to your folder of '
                             'images, or pass --cfg-options data_root=FOLDER')
        try:
            data_list = super().load_data_list()
        except RuntimeError as error:
            if 'Found 0 files' not in str(error):
                raise
            data_list = []
        if not data_list:
            raise InputError(f'the folder {folder} holds no images ({", ".join(sorted(self.extensions))}): set data_root in '
                             'the config to your folder of images, or pass --cfg-options data_root=FOLDER')
        return data_list
