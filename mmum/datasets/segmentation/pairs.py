"""Pair images with label maps, and find what is wrong with them."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.progress import track

from mmum.datasets.checks.images import ORIENTATION
from mmum.datasets.coco.report import TURNED
from mmum.datasets.listing import list_files
from mmum.datasets.segmentation.maps import IGNORED, Labels, read_label_map
from mmum.errors import InputError, preview
from mmum.workers import end_with_parent

MAX_OPENED = 200  # maps that training reads before it begins


@dataclass
class Pairs:
    """The files of two folders, paired by their names without suffix.

    Attributes:
        images (dict[str, str]): Name of an image -> that of its map, both relative to their folder.
        without_map (list[str]): Names of images.
        without_image (list[str]): Names of maps.
    """

    images: dict[str, str]
    without_map: list[str]
    without_image: list[str]


def pair_files(
    images: str | Path,
    maps: str | Path | None,
    image_suffix: str | None = None,
    map_suffix: str = '.png',
    listed: Sequence[str] | None = None,
) -> Pairs:
    """Pair the images of a folder with the label maps of another, at any depth.

    Args:
        images (str | Path): Folder of the images.
        maps (str | Path | None): Folder of the maps; None for images alone.
        image_suffix (str, optional): End of image names that is no part of the name of the map.
            Defaults to None: the suffix of any image format.
        map_suffix (str): What takes its place. Defaults to '.png'.
        listed (Sequence[str], optional): The images to take, without suffix. Defaults to None: all.

    Raises:
        InputError: If a listed image is not in the folder, or if two images would have one map.
    """
    found = list_files(images, (image_suffix.lower(),)) if image_suffix else list_files(images)
    length = len(image_suffix) if image_suffix else None
    stems: dict[str, str] = {}
    for name in found:
        if image_suffix and not name.endswith(image_suffix):
            continue
        stem = name[:-length] if length else os.path.splitext(name)[0]
        if maps is None and stem in stems:
            stem = name  # there is no map to share
        other = stems.setdefault(stem, name)
        if other != name and (listed is None or stem in listed):
            raise InputError(
                f'{other} and {name} in {images} would have one label map, {stem}{map_suffix}: if '
                'one is the map, set img_suffix of the data set to the end of image names, and '
                'otherwise rename one'
            )
    there = set(list_files(maps, (map_suffix.lower(),)) if maps else ())
    if listed is not None:
        absent = [stem for stem in listed if stem not in stems]
        if absent:
            raise InputError(
                f'{len(absent)} listed images are not in {images}, first {preview(absent, 3)}: '
                'complete the folder, or mend the list (names without suffix, one per line)'
            )
        stems = {stem: stems[stem] for stem in listed}
    pairs = {name: f'{stem}{map_suffix}' for stem, name in stems.items()}
    used = set(pairs.values())
    return Pairs(
        images={name: label for name, label in pairs.items() if label in there},
        without_map=[name for name, label in pairs.items() if label not in there],
        without_image=sorted(there - used) if listed is None else [],
    )


def pair_dataset(dataset: Any) -> Pairs:
    """Pair the files of a data set of mmseg, by its folders, suffixes and list.

    Args:
        dataset (BaseSegDataset): The data set, whose files need not have been listed.

    Raises:
        InputError: If there are no images, a listed one is missing, or one has no label map.
    """
    images, maps = (dataset.data_prefix.get(key) for key in ('img_path', 'seg_map_path'))
    listed = None
    if dataset.ann_file and not os.path.isdir(dataset.ann_file):
        if not os.path.isfile(dataset.ann_file):
            raise InputError(f'the list {dataset.ann_file} does not exist: mend ann_file')
        lines = Path(dataset.ann_file).read_text(encoding='utf-8-sig').splitlines()
        listed = [line.strip() for line in lines if line.strip()]
    suffixes = dataset.img_suffix, dataset.seg_map_suffix
    pairs = pair_files(images, maps or None, *suffixes, listed)
    if not pairs.images and not pairs.without_map:
        raise InputError(
            f'the folder {images} holds no images: mend data_prefix, or img_suffix of the data set'
        )
    if maps and pairs.without_map:
        raise InputError(
            f'{len(pairs.without_map)} images of {images} have no label map in {maps}, first '
            f'{preview(pairs.without_map, 3)}: a map has the name of its image and the suffix '
            f'{dataset.seg_map_suffix}'
        )
    return pairs


@dataclass
class MapReport:
    """Contents of label maps.

    Attributes:
        opened (int): Number of maps that were read.
        pixels (np.ndarray): (256,) Number of pixels of every value.
        maps (np.ndarray): (256,) Number of maps in which a value occurs.
        faults (dict[str, str]): Sentence on every map that training would refuse, by its path.
    """

    opened: int = 0
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    maps: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    faults: dict[str, str] = field(default_factory=dict)


def inspect_map(
    pair: tuple[str, str], labels: Labels | None
) -> tuple[np.ndarray | None, str | None]:
    """Read a label map and compare it with its image.

    Args:
        pair (tuple[str, str]): Path of the image, of which the header is read, and of the map.
        labels (Labels, optional): The meaning of the values; None: any are right.

    Returns:
        tuple: Number of pixels of every value (256,), or None; and the fault, or None.
    """
    image, path = pair
    try:
        values = read_label_map(path)
        try:
            with Image.open(image) as header:
                width, height = header.size
                if header.getexif().get(ORIENTATION) in TURNED:  # loaders turn it
                    width, height = height, width
        except Exception:  # the images' own check says so
            width, height = values.shape[::-1]
        check_same_size(path, values.shape, image, (height, width))
        counts = np.bincount(values.ravel(), minlength=256)
        if labels is not None:
            labels.check(np.flatnonzero(counts), path)
    except InputError as error:
        return None, str(error)
    return counts, None


def check_same_size(
    path: str, shape: Sequence[int], image: str, image_shape: Sequence[int]
) -> None:
    """Raise InputError where a label map has not the size of its image; shapes are (H, W)."""
    if tuple(shape) != tuple(image_shape):
        raise InputError(
            f'{path} is {shape[1]}x{shape[0]} px and its image {image} '
            f'{image_shape[1]}x{image_shape[0]}: a label map has a value for every pixel of the '
            'image; write it anew, or mend the pairing of names'
        )


def inspect_maps(
    pairs: Iterable[tuple[str, str]], labels: Labels | None = None, workers: int = 0
) -> MapReport:
    """Read label maps, and count what they hold.

    Args:
        pairs (Iterable[tuple[str, str]]): Paths of image and map.
        labels (Labels, optional): The meaning of the values. Defaults to None: any are right.
        workers (int): Number of processes, with a progress bar; 0: this one, without. Defaults to
            0.
    """
    chosen = list(pairs)
    inspect = partial(inspect_map, labels=labels)
    if workers:
        with ProcessPoolExecutor(workers, initializer=end_with_parent) as pool:
            found = list(
                track(pool.map(inspect, chosen, chunksize=16), 'label maps', total=len(chosen))
            )
    else:
        found = [inspect(pair) for pair in chosen]
    report = MapReport(len(chosen))
    for (_, path), (counts, fault) in zip(chosen, found):
        if counts is None:
            report.faults[path] = str(fault)
        else:
            report.pixels += counts
            report.maps += counts > 0
    return report


def suspicion(report: MapReport, labels: Labels) -> str | None:
    """Tell from all maps together that their values mean something else than the data set says.

    Returns:
        str | None: A sentence, or None where there is no reason to think so.
    """
    occurring = set(np.flatnonzero(report.pixels).tolist())
    if occurring and occurring <= {0, IGNORED} and IGNORED in occurring:
        return (
            'all label maps hold 0 and 255 alone, and 255 is ignored: write the object as 1, and '
            'name two classes'
        )
    if labels.from_one and labels.last not in occurring:
        below = set(range(labels.number))
        if below <= occurring:
            return (
                f'label maps hold 0 to {labels.number - 1}, which with {labels.number} classes and '
                'reduce_zero_label=True leaves the first out and the last empty: set '
                'reduce_zero_label=False of the data set, or leave out the class that does not '
                'occur'
            )
    classes = occurring - {IGNORED} - ({0} if labels.from_one else set())
    if not classes and report.opened > len(report.faults):
        return 'label maps hold no pixel of any class: there is nothing to learn'
    return None


def spread(pairs: Sequence[tuple[str, str]], number: int = MAX_OPENED) -> list[tuple[str, str]]:
    """Choose a number of pairs, evenly spread over all."""
    places = np.linspace(0, len(pairs) - 1, min(number, len(pairs))).round().astype(int)
    return [pairs[place] for place in places]
