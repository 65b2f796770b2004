"""Drawn nuclei: what a microscope would show, without a download.

Grey images of blurred, textured cells in clusters on a cloudy background, with debris, shadows and
noise; a quarter of them is bright where the others are dark. Contrast, size and number differ from
image to image, as they do between laboratories. The layout is that of nuclei, so that their
configs and studies run on them. The same seed gives the same bytes.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np

from mmum.datasets.coco.write import annotation_of, subset
from mmum.datasets.nuclei import HALVES, SUBSETS

MAX_HIDDEN = 0.3  # share of the smaller of two nuclei that the other may cover
MIN_PIXELS = 20


def write_drawn_nuclei(
    out: str | Path,
    train: int = 1000,
    val: int = 200,
    size: int = 128,
    seed: int = 0,
    progress: Callable[[Iterable[int], str], Iterable[int]] | None = None,
) -> dict[str, int]:
    """Write the data set.

    Args:
        out (str | Path): Folder to fill: ``train/``, ``val/``, ``annotations/{train,val}.json``,
            subsets ``train_{25,50,100,200}.json`` as far as there are so many images, and halves
            ``val_{choose,report}.json``.
        train (int): Number of training images. Defaults to 1000.
        val (int): Number of validation images. Defaults to 200.
        size (int): Side of the images in pixels. Defaults to 128.
        seed (int): Seed of everything random. Defaults to 0.
        progress (Callable, optional): Wraps an iterable to show progress; called with (iterable,
            name). Defaults to None.

    Returns:
        dict[str, int]: Number of images per annotation file.
    """
    out = Path(out)
    (out / 'annotations').mkdir(parents=True, exist_ok=True)
    files = {}
    for number, (split, count) in enumerate(dict(train=train, val=val).items()):
        (out / split).mkdir(exist_ok=True)
        coco: dict[str, Any] = dict(
            info=dict(description=f'mmum drawn nuclei {split}, seed {seed}'),
            images=[],
            annotations=[],
            categories=[dict(id=1, name='nucleus')],
        )
        for index in progress(range(count), split) if progress else range(count):
            # A generator per image: the first n images do not depend on how many follow.
            image, masks = draw(np.random.default_rng((seed, number, index)), size)
            name = f'{index:06d}.png'
            mmcv.imwrite(image, str(out / split / name))
            coco['images'].append(dict(id=index + 1, file_name=name, height=size, width=size))
            for mask in masks:
                ids = dict(id=len(coco['annotations']) + 1, image_id=index + 1)
                coco['annotations'].append(dict(ids, **annotation_of(mask)))
        files[split] = coco
    images = files['train']['images']
    for number in SUBSETS:
        if number <= len(images):
            files[f'train_{number}'] = subset(files['train'], images[:number])
    for number, half in enumerate(HALVES):
        files[f'val_{half}'] = subset(files['val'], files['val']['images'][number::2])
    for name, coco in files.items():
        (out / 'annotations' / f'{name}.json').write_text(json.dumps(coco))
    return {name: len(coco['images']) for name, coco in files.items()}


def draw(random: np.random.Generator, size: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw an image.

    Args:
        random (np.random.Generator): Source of randomness.
        size (int): Its side in pixels.

    Returns:
        tuple[np.ndarray, list[np.ndarray]]: The image, uint8 (size, size), and per nucleus the bool
        mask of its visible pixels.
    """
    y, x = np.mgrid[:size, :size].astype(np.float32)
    slope = random.uniform(-15, 15, 2) / size
    image = random.uniform(8, 60) + slope[0] * x + slope[1] * y
    image += _cloud(random, 0, random.uniform(2, 10), 8, size)
    contrast, radius = random.uniform(12, 110), random.uniform(4, 11)
    masks: list[np.ndarray] = []
    for centre in _centres(random, radius, size):
        distance = _distance(random, x - centre[0], y - centre[1], radius)
        mask = distance < 1
        pixels = mask.sum()
        if pixels < MIN_PIXELS or any(
            (mask & other).sum() > MAX_HIDDEN * min(pixels, other.sum()) for other in masks
        ):
            continue
        masks = [*(other & ~mask for other in masks), mask]
        cover = 0.5 - 0.5 * np.tanh((distance - 1) * random.uniform(3, 7))
        image += contrast * random.uniform(0.5, 1.2) * cover * _cloud(random, 1, 0.18, 32, size)
    for _ in range(random.integers(0, 10)):  # debris
        centre, spread = random.uniform(0, size, 2), random.uniform(0.7, 2.5)
        squared = (x - centre[0]) ** 2 + (y - centre[1]) ** 2
        image += random.uniform(0.2, 1) * contrast * np.exp(-squared / (2 * spread**2))
    image = cv2.GaussianBlur(image, (0, 0), random.uniform(0.4, 1.4))  # the focus
    image += random.normal(0, random.uniform(1, 6), image.shape)
    if random.random() < 0.25:  # bright field
        image = 255 - image
    return image.clip(0, 255).astype(np.uint8), [m for m in masks if m.sum() >= MIN_PIXELS]


def _centres(random: np.random.Generator, radius: float, size: int) -> np.ndarray:
    """Choose places (n, 2) of 8 to 35 nuclei, everywhere or in one to three clusters."""
    number = random.integers(8, 36)
    if random.random() < 0.5:
        return random.uniform(0, size, (number, 2))
    clusters = random.uniform(0, size, (random.integers(1, 4), 2))
    near = random.normal(0, 2.2 * radius, (number, 2))
    return clusters[random.integers(len(clusters), size=number)] + near


def _distance(
    random: np.random.Generator, x: np.ndarray, y: np.ndarray, radius: float
) -> np.ndarray:
    """Distance of every pixel from a centre, 1 on the outline of a random, uneven ellipse."""
    long = radius * random.uniform(0.7, 1.4)
    short, turn = long * random.uniform(0.6, 1), random.uniform(0, np.pi)
    u = x * np.cos(turn) + y * np.sin(turn)
    v = y * np.cos(turn) - x * np.sin(turn)
    angle = np.arctan2(v, u)
    outline = 1.0
    for waves, height in ((2, 0.15), (3, 0.1)):
        outline += random.uniform(0, height) * np.cos(waves * angle + random.uniform(0, 2 * np.pi))
    return np.sqrt((u / long) ** 2 + (v / short) ** 2) / outline


def _cloud(
    random: np.random.Generator, mean: float, spread: float, cells: int, size: int
) -> np.ndarray:
    """Smooth noise: a grid of ``cells`` x ``cells`` normal numbers, enlarged."""
    noise = random.normal(mean, spread, (cells, cells)).astype(np.float32)
    return cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
