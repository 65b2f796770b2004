"""The one check of COCO annotations and their images: for training, check_data and prepare_data."""

import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmum.errors import InputError, preview

# Kind of fault -> what happens to such an annotation. None: training or evaluation would stop or be
# wrong.
FAULTS: dict[str, str | None] = {
    'image id given twice': None,
    'annotation id given twice': None,
    'category id given twice': None,
    'category name given twice': None,
    'annotation of an unknown image': None,
    'annotation of an unknown category': None,
    'box that is not four finite numbers': None,
    'image without height and width': None,
    'box outside its image': 'left out of training',
    'box without area': 'left out of training',
    'box that reaches over the edge': 'used as it is',
    'instance without a mask': 'left out of the training of masks',
    'polygon of fewer than three points': 'left out of training',
    'crowd': 'ignored in training, as COCO means it in testing',
    'image without annotations': 'left out of training',
    'category without annotations': 'never learned',
}


@dataclass
class CocoReport:
    """The content of an annotation file, and what is wrong with it and its images.

    Attributes:
        path (Path): The annotation file.
        content (dict): Its content.
        faults (dict[str, list]): For every kind of ``FAULTS`` that occurs, the ids concerned.
        absent_images (list[str]): File names that are not in the image folder.
        absent_maps (list[str]): Stuff maps that are not in their folder.
    """

    path: Path
    content: dict[str, Any]
    faults: dict[str, list[Any]]
    absent_images: list[str] = field(default_factory=list)
    absent_maps: list[str] = field(default_factory=list)

    @property
    def file_names(self) -> list[str]:
        """File names of the images."""
        return [image['file_name'] for image in self.content['images']]

    @property
    def categories(self) -> list[str]:
        """Names of the categories, in their order."""
        return [category['name'] for category in self.content['categories']]

    @property
    def fatal(self) -> dict[str, list[Any]]:
        """The faults that would stop a training or an evaluation, or make it wrong."""
        return {kind: ids for kind, ids in self.faults.items() if FAULTS[kind] is None}


def inspect_coco(
    path: str | Path,
    images: str | Path | None = None,
    stuff_maps: str | Path | None = None,
    labelled: bool = True,
) -> CocoReport:
    """Inspect an annotation file, and whether the files that it names are there.

    Args:
        path (str | Path): The annotation file.
        images (str | Path, optional): Folder of its images. Defaults to None: not looked at.
        stuff_maps (str | Path, optional): Folder of stuff maps. Defaults to None: not looked at.
        labelled (bool): Whether the file must have annotations; COCO's files of test images have
            none. Defaults to True.

    Returns:
        CocoReport: What was found.

    Raises:
        InputError: If the file is no annotation file.
    """
    content = read_coco(path, labelled)
    report = CocoReport(Path(path), content, check_coco(content))
    if images is not None:
        report.absent_images = absent_files(images, report.file_names)
    if stuff_maps is not None:
        maps = [str(Path(name).with_suffix('.png')) for name in report.file_names]
        report.absent_maps = absent_files(stuff_maps, maps)
    return report


def read_coco(path: str | Path, labelled: bool = True) -> dict[str, Any]:
    """Read an annotation file.

    Args:
        path (str | Path): The file.
        labelled (bool): Whether ``annotations`` must be there; otherwise they may be absent and are
            empty then. Defaults to True.

    Raises:
        InputError: If the file is no annotation file.
    """
    try:
        content = json.loads(Path(path).read_text())
        if not labelled:
            content.setdefault('annotations', [])
        keys = ('images', 'annotations', 'categories')
        wrong = [key for key in keys if not isinstance(content[key], list)]
        _ = [image['file_name'] for image in content['images']]
        _ = [category['name'] for category in content['categories']]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f'{path} is not a COCO annotation file ({type(error).__name__}: {error}): '
            'it should be JSON with images, annotations and categories'
        ) from error
    if wrong:
        raise InputError(f'{path} is not a COCO annotation file: {wrong[0]} should be a list')
    return content


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


def check_coco(content: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Check every annotation.

    Args:
        content (dict): Content of an annotation file; see :func:`read_coco`.

    Returns:
        dict[str, list]: For every kind of ``FAULTS`` that occurs, the ids concerned.
    """
    found = defaultdict(list)
    for kind, items, key in (
        ('image id', 'images', 'id'),
        ('annotation id', 'annotations', 'id'),
        ('category id', 'categories', 'id'),
        ('category name', 'categories', 'name'),
    ):
        counts = Counter(item.get(key) for item in content[items])
        found[f'{kind} given twice'] = [value for value, number in counts.items() if number > 1]
    images = {image.get('id'): image for image in content['images']}
    categories = {category.get('id') for category in content['categories']}
    seen_images, seen_categories = set(), set()
    for image in content['images']:
        if not (image.get('height') and image.get('width')):
            found['image without height and width'].append(image.get('id'))
    for annotation in content['annotations']:
        seen_images.add(annotation.get('image_id'))
        seen_categories.add(annotation.get('category_id'))
        image = images.get(annotation.get('image_id'))
        for kind in _faults(annotation, image, categories):
            found[kind].append(annotation.get('id'))
    found['image without annotations'] = [id for id in images if id not in seen_images]
    found['category without annotations'] = [id for id in categories if id not in seen_categories]
    return {kind: found[kind] for kind in FAULTS if found[kind]}


def _faults(
    annotation: Mapping[str, Any], image: Mapping[str, Any] | None, categories: set[Any]
) -> Iterator[str]:
    if image is None:
        yield 'annotation of an unknown image'
    if annotation.get('category_id') not in categories:
        yield 'annotation of an unknown category'
    if annotation.get('iscrowd'):
        yield 'crowd'
    box = annotation.get('bbox')
    if not (
        isinstance(box, list)
        and len(box) == 4
        and all(isinstance(side, (int, float)) and math.isfinite(side) for side in box)
    ):
        yield 'box that is not four finite numbers'
        return
    left, top, width, height = box
    if width < 1 or height < 1 or annotation.get('area', 1) <= 0:  # mmdet's rule
        yield 'box without area'
    elif image and image.get('width') and image.get('height'):
        right, bottom = left + width, top + height
        if left >= image['width'] or top >= image['height'] or right <= 0 or bottom <= 0:
            yield 'box outside its image'
        elif (
            left < -1 or top < -1 or right > image['width'] + 1 or bottom > image['height'] + 1
        ):  # a pixel for rounding
            yield 'box that reaches over the edge'
    mask = annotation.get('segmentation')
    if not mask:
        yield 'instance without a mask'
    elif isinstance(mask, list) and any(len(polygon) < 6 or len(polygon) % 2 for polygon in mask):
        yield 'polygon of fewer than three points'


def describe(report: CocoReport) -> Iterator[str]:
    """Say what is wrong with annotations, a line per kind of fault."""
    for kind, ids in report.faults.items():
        yield (f'{len(ids)} x {kind} ({FAULTS[kind] or "BAD: to be mended"}): id {preview(ids, 5)}')
