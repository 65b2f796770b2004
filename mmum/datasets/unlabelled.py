"""A folder of images, no labels."""
import logging
from collections import Counter
from pathlib import Path

from mmengine.logging import print_log
from mmengine.registry import DATASETS
from mmpretrain.datasets import CustomDataset

from mmum.datasets.checks.images import EXTENSIONS
from mmum.datasets.shards import images_in_shard, place_of
from mmum.errors import InputError
from mmum.files import warn_on_write_error


@DATASETS.register_module()
class UnlabelledImages(CustomDataset):
    """All images under a folder, at any depth: mmpretrain's ``CustomDataset`` without labels or class folders.

    Images in uncompressed tar files under the folder, or in the list, count too, see :mod:`mmum.datasets.shards`.

    Args:
        data_root (str): The folder.
        extensions (Sequence[str]): Which files are images. Defaults to ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff',
            '.webp', '.ppm', '.pgm').
        bad_images (str, optional): A file. With it an image that cannot be read does not end a training: another one is drawn
            in its place, and path and reason are added to this file, once an image. Defaults to None: it is an error.
        max_bad_share (float): Of the images; if more are bad the folder itself looks wrong, and that is an error. One is
            forgiven in any case. Defaults to 0.01.
        **kwargs: For ``CustomDataset``; ``ann_file`` may list files, one a line, relative to the folder.

    Raises:
        InputError: If the folder does not exist or holds no images, or too many of them are bad.
    """

    def __init__(self,
                 data_root,
                 extensions=EXTENSIONS,
                 bad_images=None,
                 max_bad_share=0.01,
                 **kwargs):
        self.bad_images, self.max_bad_share = bad_images, max_bad_share
        self.image_extensions = extensions
        super().__init__(data_root=data_root, extensions=(*extensions, '.tar'), with_label=False, **kwargs)

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
        images = []
        for data in data_list:
            if data['img_path'].endswith('.tar'):
                images += [dict(img_path=url) for url in images_in_shard(data['img_path'], self.image_extensions)]
            else:
                images.append(data)
        if not images:
            raise InputError(f'the folder {folder} holds no images ({", ".join(sorted(self.extensions))}): set data_root in '
                             'the config to your folder of images, or pass --cfg-options data_root=FOLDER')
        return images

    def prepare_data(self, idx):
        """mmengine's; None for a bad image, for which mmengine draws another one."""
        try:
            return super().prepare_data(idx)
        except InputError as error:
            if self.bad_images is None or self.test_mode:
                raise
            self._note(self.get_data_info(idx)['img_path'], str(error))

    def _note(self, path, reason):
        """Adds to the list, which all workers and ranks share; stops where it grows too long."""
        listed = Path(self.bad_images)
        known = listed.read_text().splitlines() if listed.exists() else []
        bad = {line.split('\t')[0] for line in known}
        if path in bad:
            return
        with warn_on_write_error(f'{path} on {listed}'), open(listed, 'a') as file:  # short lines are appended whole
            file.write(f'{path}\t{" ".join(reason.split())}\n')
        bad.add(path)
        print_log(f'{path} is replaced by another image: see {listed}', 'current', logging.WARNING)
        if len(bad) > max(1, self.max_bad_share * len(self)):
            folder, number = Counter(place_of(one) for one in bad).most_common(1)[0]
            raise InputError(f'{len(bad)} of {len(self)} images cannot be read, {number} of them in {folder} (all: {listed}): '
                             'mend that folder, or raise max_bad_share of train_dataloader.dataset')
