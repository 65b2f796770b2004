"""Nuclei: real microscopy images with masks, as COCO, from the public download.

The images of stage 1 of the 2018 Data Science Bowl (Broad Bioimage Benchmark Collection, BBBC038,
CC0), whose archive ``stage1_train.zip`` has a folder per image with ``images/ID.png`` and a PNG of
every nucleus in ``masks/``.
"""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np

from mmum.datasets.coco.read import read_coco
from mmum.datasets.coco.write import annotation_of, subset
from mmum.errors import InputError

SUBSETS = (25, 50, 100, 200)
HALVES = ('choose', 'report')
LAYOUT = 'ID/images/ID.png and ID/masks/*.png'

Progress = Callable[[Iterable[Any], str], Iterable[Any]]


def write_nuclei(source: str | Path, out: str | Path, progress: Progress) -> dict[str, int]:
    """Write the data set.

    A quarter of the images of every kind is for validation; which ones, and which are labelled in
    the subsets, follows from hashes of their names. The validation images are halved once more:
    what is chosen on ``val_choose.json`` is reported on ``val_report.json``.

    Args:
        source (str | Path): The archive, its unpacked folder, or a folder that this function wrote.
        out (str | Path): Folder to fill: ``train/``, ``val/``, ``annotations/{train,val}.json``,
            subsets ``train_{25,50,100,200}.json`` as far as there are so many images, and halves
            ``val_{choose,report}.json``.
        progress (Callable): Wraps an iterable to show progress; called with (iterable, name).

    Returns:
        dict[str, int]: Number of images per annotation file.

    Raises:
        InputError: If the source is neither.
    """
    source, out = Path(source), Path(out)
    (out / 'annotations').mkdir(parents=True, exist_ok=True)
    if (source / 'annotations' / 'train.json').is_file():
        files = _copy(source, out, progress)
    else:
        files = _convert(_images(source), out, progress)
    chosen = sorted(files['val']['images'], key=_order)
    for number, half in enumerate(HALVES):
        files[f'val_{half}'] = subset(files['val'], chosen[number::2])
    for name, coco in files.items():
        (out / 'annotations' / f'{name}.json').write_text(json.dumps(coco))
    return {name: len(coco['images']) for name, coco in files.items()}


def _copy(source: Path, out: Path, progress: Progress) -> dict[str, dict[str, Any]]:
    """Copy a folder of the same layout."""
    files = {}
    for name in ('train', *(f'train_{number}' for number in SUBSETS), 'val'):
        path = source / 'annotations' / f'{name}.json'
        if name in ('train', 'val') or path.is_file():
            files[name] = read_coco(path)
    for split in ('train', 'val'):
        (out / split).mkdir()
        for image in progress(files[split]['images'], split):
            path = source / split / image['file_name']
            if not path.is_file():
                raise InputError(f'{path} does not exist, but is in {split}.json')
            shutil.copyfile(path, out / split / image['file_name'])
    return files


def _images(source: Path) -> dict[str, tuple[Any, list[Any]]]:
    """{id: (path of the image, paths of its masks)} of the download, in its archive or unpacked."""
    if source.is_dir():
        root: Any = source
    elif zipfile.is_zipfile(source):
        root = zipfile.Path(zipfile.ZipFile(source))
    else:
        raise InputError(
            f'{source} is no folder and no zip file: give stage1_train.zip, or what is in it'
        )
    inside = root / 'stage1_train'
    found = {}
    for folder in (inside if inside.is_dir() else root).iterdir():
        images, masks = folder / 'images', folder / 'masks'
        if not images.is_dir() or not masks.is_dir():
            continue
        paths = [path for path in images.iterdir() if path.name.endswith('.png')]
        if len(paths) != 1:
            raise InputError(f'{images} holds {len(paths)} PNG files where one is expected')
        found[folder.name] = (paths[0], [p for p in masks.iterdir() if p.name.endswith('.png')])
    if not found:
        raise InputError(f'{source} holds no images: {LAYOUT} are expected')
    return found


def _convert(
    images: dict[str, tuple[Any, list[Any]]], out: Path, progress: Progress
) -> dict[str, dict[str, Any]]:
    """Write images as JPEG and masks as COCO."""
    records: dict[str, list[tuple[dict[str, Any], list[dict[str, Any]]]]] = {}
    for split in ('train', 'val'):
        (out / split).mkdir()
    pictures = out / 'train'  # those of validation move when the kinds are known
    short = len({name[:16] for name in images}) == len(images)  # true of the download's hashes
    for name, (path, masks) in progress(sorted(images.items()), 'nuclei'):
        pixels = _decode(path, cv2.IMREAD_COLOR)
        kind = kind_of(pixels)
        height, width = pixels.shape[:2]
        image = dict(
            file_name=f'{name[:16] if short else name}.jpg', width=width, height=height, kind=kind
        )
        mmcv.imwrite(pixels, str(pictures / image['file_name']), [cv2.IMWRITE_JPEG_QUALITY, 95])
        nuclei = []
        for mask_path in sorted(masks, key=lambda p: p.name):
            mask = _decode(mask_path, cv2.IMREAD_GRAYSCALE) > 127
            if mask.shape != (height, width):
                raise InputError(
                    f'{mask_path} is {mask.shape[1]}x{mask.shape[0]}, its image {width}x{height}'
                )
            if mask.any():
                nuclei.append(annotation_of(mask))
        records.setdefault(kind, []).append((image, nuclei))

    splits: dict[str, list[Any]] = dict(train=[], val=[])
    for group in records.values():
        group.sort(key=lambda record: _order(record[0]))
        number = round(len(group) / 4)
        splits['val'] += group[:number]
        splits['train'] += group[number:]
    for image, _ in splits['val']:
        (pictures / image['file_name']).rename(out / 'val' / image['file_name'])

    files = {}
    for split, group in splits.items():
        group.sort(key=lambda record: record[0]['file_name'])
        coco: dict[str, Any] = dict(
            info=dict(description=f'nuclei {split}: 2018 Data Science Bowl, stage 1, CC0'),
            categories=[dict(id=1, name='nucleus')],
            images=[dict(id=i, **image) for i, (image, _) in enumerate(group, 1)],
            annotations=[],
        )
        for i, (_, nuclei) in enumerate(group, 1):
            coco['annotations'] += [dict(image_id=i, **nucleus) for nucleus in nuclei]
        for i, annotation in enumerate(coco['annotations'], 1):
            annotation['id'] = i
        files[split] = coco
    order = sorted(files['train']['images'], key=_order)
    for number in SUBSETS:
        if number <= len(order):
            files[f'train_{number}'] = subset(files['train'], order[:number])
    return files


def kind_of(pixels: np.ndarray) -> str:
    """Kind of a microscopy image: 'stained' tissue has colour, 'fluorescence' is dark,
    'brightfield' is not.

    Args:
        pixels (np.ndarray): uint8 (H, W, 3).

    Returns:
        str: The kind.
    """
    colour = np.ptp(pixels.astype(np.int16), axis=2).mean()
    if colour > 6:
        return 'stained'
    return 'fluorescence' if pixels.mean() < 110 else 'brightfield'


def _decode(path: Any, flag: int) -> np.ndarray:
    """Read an image, also of an archive."""
    pixels: Any = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flag)
    if pixels is None:
        raise InputError(f'{path} cannot be decoded: is the download complete?')
    return pixels


def _order(image: dict[str, Any]) -> str:
    return hashlib.sha256(image['file_name'].encode()).hexdigest()
