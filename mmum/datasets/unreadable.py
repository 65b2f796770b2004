"""Unreadable images among the images of a training: replaced, and listed."""

import logging
from collections import Counter
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from mmum.datasets.shards import NAMES, place_of
from mmum.errors import InputError, UnreadableImage
from mmum.files import printable, warn_on_write_error


class ReplacesUnreadable:
    """Mixin of data sets: an unreadable image is replaced by another one while training.

    Attributes:
        bad_images (str | None): A file that lists unreadable images, with the reason. None: an
            unreadable image is an error.
        max_bad_share (float): Largest share of unreadable images; more of them mean that the folder
            itself is wrong, which is an error. One is forgiven in any case.
    """

    bad_images: str | None = None
    max_bad_share: float = 0.01

    def prepare_data(self, idx: int) -> Any:
        """Load a sample; return None for an unreadable image, and mmengine draws another one."""
        try:
            return super().prepare_data(idx)  # type: ignore[misc]
        except UnreadableImage as error:
            if self.bad_images is None or self.test_mode:  # type: ignore[attr-defined]
                raise
            path = self.get_data_info(idx)['img_path']  # type: ignore[attr-defined]
            self._note(path, str(error))

    def _note(self, path: str, reason: str) -> None:
        """Add an image to the list that all workers share; stop where it grows too long."""
        listed = Path(str(self.bad_images))
        known = listed.read_text(**NAMES).splitlines() if listed.exists() else []
        bad = {line.split('\t')[0] for line in known}
        if path in bad:
            return
        with (
            warn_on_write_error(f'{path} on {listed}'),
            open(listed, 'a', **NAMES) as file,
        ):
            # short lines are appended atomically
            file.write(f'{path}\t{" ".join(reason.split())}\n')
        bad.add(path)
        print_log(
            f'{printable(path)} is replaced by another image: see {listed}',
            'current',
            logging.WARNING,
        )
        if len(bad) > max(1, self.max_bad_share * len(self)):  # type: ignore[arg-type]
            folder, number = Counter(place_of(image) for image in bad).most_common(1)[0]
            raise InputError(
                f'{len(bad)} of {len(self)} images cannot be read, {number} of them in '  # type: ignore[arg-type]
                f'{printable(folder)} (all: {listed}): mend that folder, or raise max_bad_share of '
                'train_dataloader.dataset'
            )
