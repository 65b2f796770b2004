"""Unreadable images among the images of a training: replaced, and listed."""

import errno
import logging
from collections import Counter
from pathlib import Path
from time import sleep
from typing import Any

from mmengine.logging import print_log

from mmum.datasets.shards import NAMES, place_of
from mmum.errors import InputError, UnreadableImage
from mmum.files import printable, warn_on_write_error

# faults of the storage, not of a file
STORAGE_ERRORS = {
    errno.EIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ENOTCONN,
    errno.ECONNRESET,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
}
WAITS = (1, 4, 15, 60)  # seconds until an image is tried again


class ReplacesUnreadable:
    """Mixin of data sets: an unreadable image is replaced by another one while training.

    Where the storage fails, or the whole folder is gone, the image is tried again for 80 seconds: a
    network file system that comes back changes no draw. Only of a data set that has read an image
    before, so that a wrong path is an error at once.

    Attributes:
        bad_images (str | None): A file that lists unreadable images, with the reason. None: an
            unreadable image is an error.
        max_bad_share (float): Largest share of unreadable images; more of them mean that the folder
            itself is wrong, which is an error. One is forgiven in any case.
    """

    bad_images: str | None = None
    max_bad_share: float = 0.01
    _has_read = False

    def prepare_data(self, idx: int) -> Any:
        """Load a sample; return None for an unreadable image, and mmengine draws another one."""
        waits = list(WAITS)
        while True:
            try:
                sample = super().prepare_data(idx)  # type: ignore[misc]
                self._has_read = True
                return sample
            except UnreadableImage as error:
                path = self.get_data_info(idx)['img_path']  # type: ignore[attr-defined]
                if waits and self._has_read and self._storage_fails(path, error.__cause__):
                    _wait(waits.pop(0), path, error)
                    continue
                if self.bad_images is None or self.test_mode:  # type: ignore[attr-defined]
                    raise
                self._note(path, str(error))
                return None

    def _storage_fails(self, path: str, cause: BaseException | None) -> bool:
        """Whether an image may be readable again soon; no image is waited for twice."""
        if not isinstance(cause, OSError) or path in self._listed():
            return False
        gone = cause.errno == errno.ENOENT and not Path(place_of(path)).exists()
        return cause.errno in STORAGE_ERRORS or gone

    def _listed(self) -> set[str]:
        """The images in the list so far."""
        if self.bad_images is None or not Path(self.bad_images).exists():
            return set()
        lines = Path(self.bad_images).read_text(**NAMES).splitlines()
        return {line.split('\t')[0] for line in lines}

    def _note(self, path: str, reason: str) -> None:
        """Add an image to the list that all workers share; stop where it grows too long."""
        listed = Path(str(self.bad_images))
        bad = self._listed()
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


def _wait(seconds: float, path: str, error: UnreadableImage) -> None:
    """Wait until an image is tried again."""
    print_log(
        f'{printable(path)}: {error.__cause__}; trying it again in {seconds:g} s',
        'current',
        logging.WARNING,
    )
    sleep(seconds)
