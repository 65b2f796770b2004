"""Looks over a copy of COCO or ImageNet that the user has."""
import os
from pathlib import Path

from mmum.datasets.checks.annotations import FAULTS, check_coco, read_coco
from mmum.datasets.checks.images import inspect_all
from mmum.errors import preview

COCO = dict(train=118287, val=5000)
IMAGENET = dict(train=1281167, val=50000)
IMAGES = ('.jpg', '.jpeg', '.png')


def look_over_coco(root, read_with=0):
    """Layout, counts, annotations and stuff maps.

    Args:
        root (Path): With annotations/, train2017/, val2017/, and stuffthingmaps/ for HTC.
        read_with (int): Processes that read every image; 0 reads none. Defaults to 0.

    Returns:
        tuple[list[str], list[str], str]: What is missing or wrong; what is there; the line for configs.
    """
    wrong, there = [], []
    for split, official in COCO.items():
        folder, file = root / f'{split}2017', root / 'annotations' / f'instances_{split}2017.json'
        names = _files(folder)
        if not names:
            wrong.append(f'{folder}: no images (COCO has {official})')
        if not file.is_file():
            wrong.append(f'{file} is missing')
        if not names or not file.is_file():
            continue
        content = read_coco(file)
        listed = [image['file_name'] for image in content['images']]
        absent = sorted(set(listed) - set(names))
        there.append(f'{split}: {len(listed)} images, {len(content["annotations"])} annotations'
                     + ('' if len(listed) == official else f' (COCO has {official} images: a part of it, or another set)'))
        if absent:
            wrong.append(f'{folder}: {len(absent)} images of {file.name} are missing, first {preview(absent, 3)}')
        for kind, ids in check_coco(content).items():
            if FAULTS[kind] is None:
                wrong.append(f'{file}: {len(ids)} x {kind}')
        stuff = root / 'stuffthingmaps' / f'{split}2017'
        maps = {Path(name).stem for name in _files(stuff)}
        without = sorted(name for name in listed if Path(name).stem not in maps)
        if not maps:
            there.append(f'{stuff}: no stuff maps, which only HTC with the semantic branch needs')
        elif without:
            wrong.append(f'{stuff}: no stuff maps of {len(without)} images, first {preview(without, 3)}')
        else:
            there.append(f'{split}: stuff maps of all images')
        wrong += _unreadable([str(folder / name) for name in listed if name not in absent], read_with)
    return wrong, there, f'data_root={root}/'


def look_over_imagenet(root, read_with=0):
    """Class folders and counts, see :func:`look_over_coco`."""
    wrong, there, classes = [], [], {}
    for split, official in IMAGENET.items():
        folder = root / split
        classes[split] = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir()) if folder.is_dir() else []
        files = {name: _files(folder / name) for name in classes[split]}
        number = sum(map(len, files.values()))
        if not number:
            loose = len(_files(folder))
            wrong.append(f'{folder}: no class folders with images' + (
                f', but {loose} images: sort them into one folder a class, as train/ has them' if loose else ''))
            continue
        empty = [name for name, names in files.items() if not names]
        if empty:
            wrong.append(f'{folder}: no images in {len(empty)} class folders, first {preview(empty, 3)}')
        whole = number == official and len(classes[split]) == 1000
        there.append(f'{split}: {number} images in {len(classes[split])} classes'
                     + ('' if whole else f' (ImageNet-1K has {official} in 1000: a part of it, or another set)'))
        wrong += _unreadable([str(folder / name / image) for name, names in files.items() for image in names], read_with)
    if classes['train'] != classes['val'] and classes['train'] and classes['val']:
        different = sorted(set(classes['train']) ^ set(classes['val']))
        wrong.append(f'train/ and val/ have different classes, first {preview(different, 3)}')
    number = len(classes['train'])
    return wrong, there, f'data_root={root}' + (f' num_classes={number}' if number not in (0, 1000) else '')


def _files(folder):
    """Names of the images in a folder."""
    return [entry.name for entry in os.scandir(folder) if entry.name.lower().endswith(IMAGES)] if folder.is_dir() else []


def _unreadable(paths, workers):
    if not workers or not paths:
        return []
    faults, _ = inspect_all(paths, workers)
    return [f'{path}: {fault}' for path, fault in faults.items()]
