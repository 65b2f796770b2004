"""Images/s of the input pipeline alone, from a folder of JPEGs that it writes."""

import statistics
import tempfile
import time
from pathlib import Path

import cv2
import mmcv
import numpy as np
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import TRANSFORMS
from rich.progress import track
from torch.utils.data import DataLoader, Dataset

from benchmarks.compare import read_result
from benchmarks.report import caption_of, markdown_table
from mmum.errors import InputError

SIZES = {'COCO-sized': (640, 480), '1600 px': (1600, 1200)}
CROP = dict(scale=256, crop_ratio_range=(0.2, 1.0))
PIPELINES = {
    'stock MAE (Pillow)': [
        dict(type='LoadImageFromFile'),
        dict(type='RandomResizedCrop', **CROP, backend='pillow', interpolation='bicubic'),
    ],
    'OpenCV, not antialiased': [
        dict(type='LoadImageFromFile'),
        dict(type='RandomResizedCrop', **CROP, backend='cv2', interpolation='bicubic'),
    ],
    'LoadCropResize': [dict(type='LoadCropResize', **CROP)],
}
TAIL = [dict(type='RandomFlip', prob=0.5), dict(type='PackInputs')]


def write_photographs(folder, number, width, height):
    """JPEGs with the detail of photographs (noise at all scales, edges), quality 90."""
    random = np.random.RandomState(0)
    for i in range(number):
        image = np.zeros((height, width, 3), np.float32)
        for step in (2, 4, 8, 16, 64, 256):  # the shorter the waves the weaker
            noise = random.randn(-(-height // step) + 1, -(-width // step) + 1, 3).astype(
                np.float32
            )
            image += (
                cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC) * 2.5 * step**0.5
            )
        for _ in range(20):
            centre = (random.randint(width), random.randint(height))
            colour = [float(c) for c in random.uniform(-60, 60, 3)]
            cv2.ellipse(
                image,
                centre,
                (random.randint(10, width // 4), random.randint(10, height // 4)),
                random.randint(180),
                0,
                360,
                colour,
                -1,
            )
        mmcv.imwrite(
            np.clip(image + 128, 0, 255).astype(np.uint8),
            str(folder / f'{i:05d}.jpg'),
            [cv2.IMWRITE_JPEG_QUALITY, 90],
        )


class _Files(Dataset):
    def __init__(self, folder, pipeline):
        self.paths = sorted(map(str, folder.glob('*.jpg')))
        self.transforms = [TRANSFORMS.build(dict(transform)) for transform in pipeline]

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        results = dict(img_path=self.paths[index])
        for transform in self.transforms:
            results = transform(results)
        return results['inputs']


def _rate(folder, pipeline, workers):
    """Images/s of a loader, the workers' start left out."""
    loader = DataLoader(
        _Files(folder, pipeline), batch_size=8, num_workers=workers, persistent_workers=True
    )
    for _ in loader:
        pass
    start = time.perf_counter()
    number = sum(len(batch) for batch in loader)
    return number / (time.perf_counter() - start)


def measure(number, repeats, workers, model, report):
    """Time every pipeline on every size.

    Args:
        number (int): Images of each size.
        repeats (int): Interleaved repeats.
        workers (Sequence[int]): Numbers of workers.
        model (str, optional): A result of compare.
        report (Callable): Gets lines of progress.

    Returns:
        dict: ``rates``: images/s by size, pipeline and workers.
    """
    init_default_scope('mmpretrain')
    needed = None
    if model:
        found = read_result(model)
        if 'um_mae' not in found.get('methods', {}):
            raise InputError(
                f'{model} is no result of `compare` with um_mae in it: write one with '
                'tools/benchmark.py compare'
            )
        needed = found['methods']['um_mae']['images_per_second']
    rates = []
    with tempfile.TemporaryDirectory() as place:
        for size, (width, height) in SIZES.items():
            folder = Path(place, size)
            folder.mkdir()
            report(f'{size}: writing {number} JPEGs')
            write_photographs(folder, number, width, height)
            kilobytes = statistics.mean(path.stat().st_size for path in folder.iterdir()) / 1e3
            for count in workers:
                runs = {name: [] for name in PIPELINES}
                for _ in track(range(repeats), f'{size}, {count} worker{"s" * (count > 1)}'):
                    for name, pipeline in PIPELINES.items():
                        runs[name].append(_rate(folder, pipeline + TAIL, count))
                stock = runs['stock MAE (Pillow)']
                for name, run in runs.items():
                    ratios = [a / b for a, b in zip(run, stock)]
                    rates.append(
                        dict(
                            size=size,
                            kilobytes=kilobytes,
                            workers=count,
                            pipeline=name,
                            images_per_second=statistics.median(run),
                            times_stock=statistics.median(ratios),
                            low=min(ratios),
                            high=max(ratios),
                        )
                    )
    return dict(
        settings=dict(images=number, repeats=repeats, threads=torch.get_num_threads()),
        rates=rates,
        model=needed,
    )


def table(result):
    """The result as Markdown, and which is the bottleneck."""
    rows = [
        [
            f'{r["size"]} ({r["kilobytes"]:.0f} kB)',
            r['pipeline'],
            r['workers'],
            f'{r["images_per_second"]:.0f}',
            f'{r["times_stock"]:.1f} ({r["low"]:.1f}-{r["high"]:.1f})',
        ]
        for r in result['rates']
    ]
    caption = (
        f'Load, crop to 256 px, flip. {caption_of(result)} Medians of '
        f'{result["settings"]["repeats"]} interleaved repeats over '
        f'{result["settings"]["images"]} images, ratios by repeat (lowest-highest).'
    )
    text = markdown_table(
        ['images', 'pipeline', 'workers', 'images/s', 'times stock'], rows, caption
    )
    if result['model']:
        for rate in result['rates']:
            if rate['pipeline'] == 'LoadCropResize':
                ahead = rate['images_per_second'] / result['model']
                text += (
                    f'\n{rate["size"]}, {rate["workers"]} worker(s): the '
                    f'{"model" if ahead > 1 else "data"} is the bottleneck '
                    f'({rate["images_per_second"]:.0f} images/s loaded, '
                    f'{result["model"]:.1f} trained).\n'
                )
    return text
