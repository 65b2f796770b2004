"""Check whether a copy of COCO, ImageNet or ADE20K is complete."""

from pathlib import Path

from mmum.datasets.checks.images import inspect_images
from mmum.datasets.coco.report import inspect_coco
from mmum.datasets.listing import list_class_folders, list_files
from mmum.datasets.segmentation.maps import Labels
from mmum.datasets.segmentation.pairs import inspect_maps, pair_files, spread
from mmum.errors import preview

# Number of images of the original.
COCO = dict(train=118287, val=5000)
IMAGENET = dict(train=1281167, val=50000)
ADE20K = dict(training=20210, validation=2000)

Findings = tuple[list[str], list[str], str]


def inspect_coco_layout(root: Path, workers: int = 0) -> Findings:
    """Inspect layout, counts, annotations and stuff maps of COCO.

    Args:
        root (Path): Folder with annotations/, train2017/, val2017/, and stuffthingmaps/ for HTC.
        workers (int): Number of processes that decode every image; 0 decodes none. Defaults to 0.

    Returns:
        tuple[list[str], list[str], str]: What is missing or wrong; what is there; the options for
        configs.
    """
    wrong, there = [], []
    for split, official in COCO.items():
        folder = root / f'{split}2017'
        file = root / 'annotations' / f'instances_{split}2017.json'
        if not folder.is_dir() or not list_files(folder):
            wrong.append(f'{folder}: no images (COCO has {official})')
        elif not file.is_file():
            wrong.append(f'{file} is missing')
        else:
            split_wrong, split_there = _inspect_coco_split(root, split, official, workers)
            wrong += split_wrong
            there += split_there
    return wrong, there, f'data_root={root}/'


def _inspect_coco_split(
    root: Path, split: str, official: int, workers: int
) -> tuple[list[str], list[str]]:
    folder, maps = root / f'{split}2017', root / 'stuffthingmaps' / f'{split}2017'
    file = root / 'annotations' / f'instances_{split}2017.json'
    report = inspect_coco(file, folder, maps)
    number, annotations = len(report.file_names), len(report.content['annotations'])
    partly = (
        ''
        if number == official
        else (f' (COCO has {official} images: a part of it, or another set)')
    )
    wrong, there = [], [f'{split}: {number} images, {annotations} annotations{partly}']
    if report.absent_images:
        wrong.append(
            f'{folder}: {len(report.absent_images)} images of {file.name} are missing, '
            f'first {preview(report.absent_images, 3)}'
        )
    wrong += [f'{file}: {len(ids)} x {kind}' for kind, ids in report.cleaned.fatal.items()]
    wrong += report.wrong_sizes[:3]
    if len(report.absent_maps) == number:
        there.append(f'{maps}: no stuff maps, which only HTC with the semantic branch needs')
    elif report.absent_maps:
        wrong.append(
            f'{maps}: no stuff maps of {len(report.absent_maps)} images, first '
            f'{preview(report.absent_maps, 3)}'
        )
    else:
        there.append(f'{split}: stuff maps of all images')
    present = sorted(set(report.file_names) - set(report.absent_images))
    return wrong + _unreadable([str(folder / name) for name in present], workers), there


def inspect_imagenet_layout(root: Path, workers: int = 0) -> Findings:
    """Inspect class folders and counts of ImageNet; see :func:`inspect_coco_layout`."""
    wrong, there, classes = [], [], {}
    for split, official in IMAGENET.items():
        folder = root / split
        classes[split] = list_class_folders(folder) if folder.is_dir() else []
        files = {name: list_files(folder / name) for name in classes[split]}
        number = sum(map(len, files.values()))
        if not number:
            loose = len(list_files(folder)) if folder.is_dir() else 0
            hint = (
                (f', but {loose} images: sort them into one folder per class, as train/ has them')
                if loose
                else ''
            )
            wrong.append(f'{folder}: no class folders with images{hint}')
            continue
        empty = [name for name, names in files.items() if not names]
        if empty:
            wrong.append(
                f'{folder}: no images in {len(empty)} class folders, first {preview(empty, 3)}'
            )
        complete = number == official and len(classes[split]) == 1000
        partly = (
            ''
            if complete
            else (f' (ImageNet-1K has {official} in 1000: a part of it, or another set)')
        )
        there.append(f'{split}: {number} images in {len(classes[split])} classes{partly}')
        paths = [str(folder / name / image) for name, names in files.items() for image in names]
        wrong += _unreadable(paths, workers)
    if classes['train'] and classes['val'] and classes['train'] != classes['val']:
        different = sorted(set(classes['train']) ^ set(classes['val']))
        wrong.append(f'train/ and val/ have different classes, first {preview(different, 3)}')
    number = len(classes['train'])
    option = f' num_classes={number}' if number not in (0, 1000) else ''
    return wrong, there, f'data_root={root}{option}'


def inspect_ade20k_layout(root: Path, workers: int = 0) -> Findings:
    """Inspect folders, counts and label maps of ADE20K; see :func:`inspect_coco_layout`.

    Without workers 200 label maps of each split are read.
    """
    wrong, there = [], []
    for split, official in ADE20K.items():
        images, maps = root / 'images' / split, root / 'annotations' / split
        if not images.is_dir() or not list_files(images):
            inner = root / 'ADEChallengeData2016'
            hint = f': give {inner}' if inner.is_dir() else f' (ADE20K has {official})'
            wrong.append(f'{images}: no images{hint}')
            continue
        if not maps.is_dir():
            wrong.append(f'{maps} is missing: the label maps of {images}')
            continue
        pairs = pair_files(images, maps)
        number = len(pairs.images) + len(pairs.without_map)
        partly = (
            ''
            if number == official
            else f' (ADE20K has {official} images: a part of it, or another set)'
        )
        there.append(f'{split}: {number} images, {len(pairs.images)} with label maps{partly}')
        if pairs.without_map:
            wrong.append(
                f'{maps}: no label maps of {len(pairs.without_map)} images, first '
                f'{preview(pairs.without_map, 3)}'
            )
        if pairs.without_image:
            wrong.append(
                f'{images}: no images of {len(pairs.without_image)} label maps, first '
                f'{preview(pairs.without_image, 3)}'
            )
        paths = [(str(images / a), str(maps / b)) for a, b in pairs.images.items()]
        report = inspect_maps(paths if workers else spread(paths), Labels(150, True), workers)
        wrong += list(report.faults.values())[:50]
        wrong += _unreadable([image for image, _ in paths], workers)
    return wrong, there, f'data_root={root}'


def _unreadable(paths: list[str], workers: int) -> list[str]:
    if not workers or not paths:
        return []
    faults, _ = inspect_images(paths, workers)
    return [f'{path}: {fault}' for path, fault in faults.items()]
