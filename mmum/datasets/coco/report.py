"""Findings about an annotation file and its images: for training, check_data, prepare_data."""

import logging
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from PIL import Image

from mmum.datasets.checks.images import ORIENTATION
from mmum.datasets.coco.clean import KINDS, WARNINGS, Cleaned, clean
from mmum.datasets.coco.read import read_coco
from mmum.errors import InputError, preview

MAX_OPENED = 200  # headers of images that training reads before it begins
_said: set[str] = set()  # warnings of this process: a file is read by several
TURNED = (5, 6, 7, 8)  # EXIF orientations that swap the sides


@dataclass
class CocoReport:
    """The content of an annotation file, and what is wrong with it and its images.

    Attributes:
        path (Path): The annotation file.
        cleaned (Cleaned): Its content as it is used, and what was found.
        absent_images (list[str]): File names that are not in the image folder.
        absent_maps (list[str]): Stuff maps that are not in their folder.
        wrong_sizes (list[str]): A sentence for every image of another size than annotated.
    """

    path: Path
    cleaned: Cleaned
    absent_images: list[str] = field(default_factory=list)
    absent_maps: list[str] = field(default_factory=list)
    wrong_sizes: list[str] = field(default_factory=list)

    @property
    def content(self) -> dict[str, Any]:
        """The content as it is used."""
        return self.cleaned.content

    @property
    def file_names(self) -> list[str]:
        """File names of the images."""
        return [image['file_name'] for image in self.content['images']]

    @property
    def categories(self) -> list[str]:
        """Names of the categories, in their order."""
        return [category['name'] for category in self.content['categories']]


def inspect_coco(
    path: str | Path,
    images: str | Path | None = None,
    stuff_maps: str | Path | None = None,
    labelled: bool = True,
    opened: int | None = MAX_OPENED,
) -> CocoReport:
    """Inspect an annotation file, and the files that it names.

    Args:
        path (str | Path): The annotation file.
        images (str | Path, optional): Folder of its images. Defaults to None: not looked at.
        stuff_maps (str | Path, optional): Folder of stuff maps. Defaults to None: not looked at.
        labelled (bool): Whether the file must have annotations; COCO's files of test images have
            none. Defaults to True.
        opened (int, optional): Number of images, evenly spread, whose size is compared. Defaults to
            200; None: all; 0: none.

    Returns:
        CocoReport: What was found.

    Raises:
        InputError: If the file is no annotation file.
    """
    report = CocoReport(Path(path), clean(read_coco(path, labelled)))
    if images is not None:
        report.absent_images = absent_files(images, report.file_names)
        listed = report.content['images']
        apart = 1 if opened is None else max(1, len(listed) // max(1, opened))
        absent = set(report.absent_images)
        for image in listed[::apart] if opened != 0 else ():
            if image['file_name'] not in absent:
                sentence = wrong_size(image, Path(images, image['file_name']))
                report.wrong_sizes += [sentence] if sentence else []
    if stuff_maps is not None:
        maps = [str(Path(name).with_suffix('.png')) for name in report.file_names]
        report.absent_maps = absent_files(stuff_maps, maps)
    return report


def wrong_size(image: dict[str, Any], path: Path) -> str | None:
    """Compare the size of an image in the annotations with that of its pixels.

    Masks are drawn in the annotated size: another one makes every comparison of masks wrong.

    Args:
        image (dict): Its entry.
        path (Path): The file.

    Returns:
        str | None: The sentence, or None where they agree or where the file cannot be read.
    """
    annotated = (image.get('width'), image.get('height'))
    try:
        with Image.open(path) as file:
            stored, turn = file.size, file.getexif().get(ORIENTATION)
    except Exception:  # decoders raise many kinds; the image check names such a file
        return None
    shown = stored[::-1] if turn in TURNED else stored
    if annotated == shown or None in annotated:
        return None
    if turn in TURNED and annotated == stored:
        why = (
            f', because its EXIF orientation {turn} turns it: annotate the turned image, or save '
            'the pixels turned and without orientation'
        )
    elif annotated == shown[::-1]:
        why = ': width and height are swapped'
    else:
        why = ': annotate the file that is there'
    return (
        f'{path} is {annotated[0]}x{annotated[1]} in the annotations and {shown[0]}x{shown[1]} as '
        f'it is read{why}'
    )


def absent_files(folder: str | Path, names: Sequence[str]) -> list[str]:
    """List the names that are no files in a folder.

    Every sub-folder is listed once, which is fast on network disks too.
    """
    wanted = defaultdict(list)
    for name in names:
        wanted[Path(folder, name).parent].append(name)
    absent = []
    for parent, group in wanted.items():
        present = set(os.listdir(parent)) if parent.is_dir() else set()
        absent += [name for name in group if os.path.basename(name) not in present]
    return sorted(absent)


def describe(report: CocoReport) -> Iterator[str]:
    """Say what is wrong with annotations, a line per kind of finding."""
    for kind, ids in report.cleaned.findings.items():
        what = KINDS[kind] or 'BAD: to be mended'
        yield f'{len(ids)} x {kind} ({what}): id {preview(ids, 5)}'
    if report.wrong_sizes:
        number = len(report.wrong_sizes)
        yield f'{number} x image of another size (BAD: to be mended): {report.wrong_sizes[0]}'


def refuse_or_warn(source: str, cleaned: Cleaned, masks: bool) -> None:
    """Refuse an ambiguous file; warn of what was left out or looks odd.

    Raises:
        InputError: If anything is fatal, or masks are needed and absent.
    """
    for kind, ids in cleaned.fatal.items():
        raise InputError(
            f'{source}: {len(ids)} x {kind} (id {preview(ids, 3)}): mend the file, '
            'tools/check_data.py lists all'
        )
    bare = cleaned.findings.get('instance without a mask')
    if masks and bare:
        raise InputError(
            f'{source}: {len(bare)} x instance without a mask (id {preview(bare, 3)}), and the '
            'detector learns or is tested on masks: mend the file, or take a detector of boxes '
            "alone (model.roi_head.mask_head=None, with_mask=False, metric='bbox')"
        )
    for kind in WARNINGS:
        if kind in cleaned.findings:
            ids = cleaned.findings[kind]
            say_once(f'{source}: {len(ids)} x {kind} (id {preview(ids, 3)}), {KINDS[kind]}')


def unknown_classes(source: str, absent: Sequence[str], names: Sequence[str]) -> str:
    """The sentence for classes that a file does not have."""
    return (
        f'the class {preview(absent, 3)} of the config is not among the categories of {source} '
        f'({preview(names, 10)}): pass --cfg-options classes=... with their names, which sets '
        'metainfo of all data sets and the heads'
    )


def say_once(line: str) -> None:
    """Warn once in a process."""
    if line not in _said:
        _said.add(line)
        print_log(line, 'current', logging.WARNING)
