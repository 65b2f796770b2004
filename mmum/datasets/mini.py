"""The mini data set: real pixels without a download.

Balls and tiles with handwritten digits (those of scikit-learn) are placed with scale, rotation and
occlusion on crops of photographs that ship inside scikit-image and scikit-learn. As in billiards
every number has its colour, so that a hundred images teach a detector ten classes. The same seed
gives the same bytes. Neither a digit nor a photograph of the validation images occurs in the other
splits.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np

from mmum.datasets.coco.write import annotation_of

PHOTOGRAPHS = dict(
    train=(
        'astronaut.png',
        'brick.png',
        'camera.png',
        'chelsea.png',
        'coins.png',
        'gravel.png',
        'hubble_deep_field.jpg',
        'ihc.png',
        'moon.png',
        'motorcycle_left.png',
        'motorcycle_right.png',
        'retina.jpg',
        'china.jpg',
    ),
    val=('coffee.png', 'grass.png', 'rocket.jpg', 'flower.jpg'),
)
DIGITS = dict(train=slice(0, 1300), val=slice(1300, None))
MIN_VISIBLE = 0.4  # share of a digit's pixels that stays visible under whatever covers it


def write_mini(
    out: str | Path,
    unlabelled: int = 4000,
    train: int = 100,
    val: int = 200,
    size: int = 128,
    seed: int = 0,
    progress: Callable[[Iterable[int], str], Iterable[int]] | None = None,
) -> dict[str, int]:
    """Write the data set.

    Args:
        out (str | Path): Folder to fill: ``unlabelled/``, ``train/``, ``val/``,
            ``annotations/{train,val}.json``, and ``maps/{train,val}/`` with label maps: 0 is
            background, 1 to 10 are the numbers.
        unlabelled (int): Number of images for pre-training. Defaults to 4000.
        train (int): Number of labelled training images. Defaults to 100.
        val (int): Number of labelled validation images. Defaults to 200.
        size (int): Side of the images in pixels. Defaults to 128.
        seed (int): Seed of everything random. Defaults to 0.
        progress (Callable, optional): Wraps an iterable to show progress; called with (iterable,
            name). Defaults to None.

    Returns:
        dict[str, int]: Number of images per split.
    """
    from sklearn.datasets import load_digits

    out = Path(out)
    (out / 'annotations').mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    counts = dict(unlabelled=unlabelled, train=train, val=val)
    for number, (split, count) in enumerate(counts.items()):
        side = 'val' if split == 'val' else 'train'
        photographs = [_read_photograph(name, size) for name in PHOTOGRAPHS[side]]
        images, labels = digits.images[DIGITS[side]], digits.target[DIGITS[side]]
        labelled = split != 'unlabelled'
        (out / split).mkdir(exist_ok=True)
        if labelled:
            (out / 'maps' / split).mkdir(parents=True, exist_ok=True)
        coco: dict[str, Any] = dict(
            info=dict(description=f'mmum mini {split}, seed {seed}'),
            images=[],
            annotations=[],
            categories=[dict(id=i + 1, name=str(i), supercategory='digit') for i in range(10)],
        )
        for index in progress(range(count), split) if progress else range(count):
            # A generator per image: the first n images do not depend on how many follow.
            random = np.random.default_rng((seed, number, index))
            image, instances = compose(random, photographs, images, labels, size)
            name = f'{index:06d}.jpg'
            mmcv.imwrite(image, str(out / split / name), [cv2.IMWRITE_JPEG_QUALITY, 92])
            coco['images'].append(dict(id=index + 1, file_name=name, height=size, width=size))
            if labelled:
                label_map: Any = np.zeros((size, size), np.uint8)
                for label, mask in instances:
                    label_map[mask] = label + 1
                mmcv.imwrite(label_map, str(out / 'maps' / split / f'{index:06d}.png'))
            for label, mask in instances:
                ids = dict(id=len(coco['annotations']) + 1, image_id=index + 1)
                coco['annotations'].append(dict(ids, **annotation_of(mask, int(label) + 1)))
        if labelled:
            (out / 'annotations' / f'{split}.json').write_text(json.dumps(coco))
    return counts


def write_mini_classes(
    out: str | Path,
    train: int = 2000,
    val: int = 500,
    size: int = 128,
    seed: int = 0,
    progress: Callable[[Iterable[int], str], Iterable[int]] | None = None,
) -> dict[str, int]:
    """Write close-ups of balls and tiles, in folders by class: for k-NN and supervised starts.

    Here a number has no colour of its own: only its digit tells.

    Args:
        out (str | Path): Folder to fill: ``{train,val}/{0..9}/``.
        train (int): Number of training images. Defaults to 2000.
        val (int): Number of validation images. Defaults to 500.
        size (int): Side of the images in pixels. Defaults to 128.
        seed (int): Seed of everything random. Defaults to 0.
        progress (Callable, optional): As in :func:`write_mini`. Defaults to None.

    Returns:
        dict[str, int]: Number of images per split.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    counts = dict(train=train, val=val)
    for number, (split, count) in enumerate(counts.items()):
        photographs = [_read_photograph(name, size) for name in PHOTOGRAPHS[split]]
        images, labels = digits.images[DIGITS[split]], digits.target[DIGITS[split]]
        for label in range(10):
            Path(out, split, str(label)).mkdir(parents=True, exist_ok=True)
        for index in progress(range(count), split) if progress else range(count):
            label = index % 10
            random = np.random.default_rng((seed, 3 + number, index))  # 0 to 2: write_mini's
            of_class = images[labels == label], labels[labels == label]
            image, [(_, mask)] = compose(random, photographs, *of_class, size, 1, 0, False)
            image = _close_up(image, mask)
            name = Path(out, split, str(label), f'{index:06d}.jpg')
            mmcv.imwrite(image, str(name), [cv2.IMWRITE_JPEG_QUALITY, 92])
    return counts


def _read_photograph(name: str, size: int) -> np.ndarray:
    """Read a photograph of the installed packages as BGR, at least as large as our images."""
    import skimage.data
    import sklearn.datasets

    folders = (
        Path(skimage.data.__file__).parent,
        Path(sklearn.datasets.__file__).parent / 'images',
    )
    path = next(folder / name for folder in folders if (folder / name).exists())
    image: Any = cv2.imread(str(path), cv2.IMREAD_COLOR)
    scale = max(1.0, 1.05 * size / min(image.shape[:2]))
    if scale > 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return image


def compose(
    random: np.random.Generator,
    photographs: Sequence[np.ndarray],
    pictures: np.ndarray,
    labels: np.ndarray,
    size: int,
    instances: int | None = None,
    occluders: int | None = None,
    coloured: bool = True,
) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
    """Compose an image: balls and tiles on a crop of a photograph, some behind occluders cut from
    another.

    Args:
        random (np.random.Generator): Source of randomness.
        photographs (list[np.ndarray]): BGR, each side at least ``size``.
        pictures (np.ndarray): Of digits, (n, 8, 8), 0 to 16.
        labels (np.ndarray): (n,).
        size (int): Side of the image in pixels.
        instances (int, optional): Number of balls and tiles. Defaults to None: 2 to 5.
        occluders (int, optional): Number of occluders. Defaults to None: 0 to 2.
        coloured (bool): Every number in its own colour. Defaults to True.

    Returns:
        tuple[np.ndarray, list]: The image, and per ball or tile its label and the bool mask of its
        visible pixels.
    """
    image: np.ndarray = _crop(random, photographs, size).astype(np.float32)
    placed: list[tuple[int, np.ndarray, int]] = []
    for _ in range(random.integers(2, 6) if instances is None else instances):
        index = random.integers(len(pictures))
        for _ in range(10):  # tries to find a place where nothing is hidden too far
            plate, digit = _place(random, pictures[index], size)
            mask = plate > 0.5
            if mask.sum() >= 24 and all(
                (old & ~mask).sum() >= MIN_VISIBLE * area for _, old, area in placed
            ):
                break
        else:
            continue
        placed = [(label, old & ~mask, area) for label, old, area in placed]
        placed.append((labels[index], mask, mask.sum()))
        colour, ink = _paint(random, labels[index] if coloured else int(random.integers(10)), size)
        image += plate[..., None] * (colour - image)
        image += (plate * digit)[..., None] * (ink - image)
    for _ in range(random.integers(0, 3) if occluders is None else occluders):
        alpha = _occluder(random, size)
        hidden = alpha > 0.5
        if all((mask & ~hidden).sum() >= MIN_VISIBLE * area for _, mask, area in placed):
            placed = [(label, mask & ~hidden, area) for label, mask, area in placed]
            image += alpha[..., None] * (_crop(random, photographs, size) - image)
    image += random.normal(0, 4, image.shape)
    return image.clip(0, 255).astype(np.uint8), [(label, mask) for label, mask, _ in placed]


def _crop(random: np.random.Generator, photographs: Sequence[np.ndarray], size: int) -> np.ndarray:
    """Take a random crop at a random scale, flipped half of the time."""
    photograph = photographs[int(random.integers(len(photographs)))]
    side = int(random.uniform(size, min(3 * size, min(photograph.shape[:2]))))
    top = random.integers(photograph.shape[0] - side + 1)
    left = random.integers(photograph.shape[1] - side + 1)
    crop = photograph[top : top + side, left : left + side]
    crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
    return crop[:, ::-1] if random.random() < 0.5 else crop


def _close_up(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Cut the square around an instance, with a fifth more, and enlarge it to the image's size."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    side = min(round(1.2 * max(width, height)), len(image))
    left, top = (
        min(max(round(start + length / 2 - side / 2), 0), len(image) - side)
        for start, length in ((x, width), (y, height))
    )
    crop = image[top : top + side, left : left + side]
    return cv2.resize(crop, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)


def _place(
    random: np.random.Generator, digit: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Place a ball or a tile at random: its coverage (0 to 1) of every pixel, and its digit's."""
    side, angle = random.uniform(0.2, 0.45) * size, random.uniform(-25, 25)
    centre = random.uniform(0.4 * side, size - 0.4 * side, 2)
    y, x = np.mgrid[:size, :size] - centre[::-1, None, None]
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    power = random.choice([2, 6])  # a disc, or a square with round corners
    radius = np.abs(x * cos - y * sin) ** power + np.abs(x * sin + y * cos) ** power
    plate = (side / 2 - radius ** (1 / power) + 0.5).clip(0, 1)
    matrix = cv2.getRotationMatrix2D((3.5, 3.5), angle, 0.75 * side / 8)
    matrix[:, 2] += centre - 3.5
    # Enlarged smoothly first: a straight cut through 8x8 pixels looks like steps.
    big = cv2.resize(digit.astype(np.float32) / 16, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
    enlarge = np.array([[1 / 8, 0, -7 / 16], [0, 1 / 8, -7 / 16], [0, 0, 1]])
    alpha = cv2.warpAffine(big, matrix @ enlarge, (size, size), flags=cv2.INTER_LINEAR)
    return plate, ((alpha - 0.3) / 0.4).clip(0, 1)


def _paint(random: np.random.Generator, number: int, size: int) -> tuple[np.ndarray, float]:
    """Choose a colour of the number's hue, with a slight gradient, and black or white for the digit
    on it."""
    hue = (18 * int(number) + random.uniform(-5, 5)) % 180
    hsv = np.array([[[hue, random.uniform(150, 255), random.uniform(110, 255)]]], np.uint8)
    colour = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].astype(np.float32)
    slope = random.uniform(-30, 30, 2)
    y, x = np.mgrid[-0.5 : 0.5 : size * 1j, -0.5 : 0.5 : size * 1j]
    return colour + (slope[0] * y + slope[1] * x)[..., None], 255.0 * (colour.mean() < 140)


def _occluder(random: np.random.Generator, size: int) -> np.ndarray:
    """Draw an ellipse or a bar: its coverage (0 to 1) of every pixel."""
    canvas: Any = np.zeros((size, size), np.float32)
    centre = tuple(int(c) for c in random.integers(0, size, 2))
    if random.random() < 0.5:
        axes = tuple(int(a) for a in random.uniform(0.04, 0.14, 2) * size)
        angle = float(random.uniform(0, 180))
        cv2.ellipse(canvas, centre, axes, angle, 0, 360, 1.0, -1, cv2.LINE_AA)
    else:
        angle = random.uniform(0, np.pi)
        step = np.array([np.cos(angle), np.sin(angle)]) * random.uniform(0.15, 0.5) * size
        ends: Any = [tuple(int(c) for c in centre + sign * step) for sign in (-1, 1)]
        width = int(random.uniform(0.02, 0.06) * size) + 1
        cv2.line(canvas, ends[0], ends[1], 1.0, width, cv2.LINE_AA)
    return canvas
