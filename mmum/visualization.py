"""Pictures for people: what was masked and reconstructed, what was detected."""

import contextlib
import io
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from torch import Tensor

from mmum.errors import InputError
from mmum.masking import REMOVED, SECONDARY


def reconstruction_picture(model: Any, inputs: Tensor, mask: Tensor, border: int = 4) -> np.ndarray:
    """Draw rows of masked input, reconstruction and original.

    Args:
        model (UMMAE | SimMIM): The model.
        inputs (Tensor): Preprocessed images (N, C, H, W), at most a few.
        mask (Tensor): Mask map (N, H/16, W/16), or the mask of mmpretrain's SimMIM.
        border (int): White pixels around the images. Defaults to 4.

    Returns:
        np.ndarray: uint8 RGB.
    """
    was_training = model.training
    model.eval()
    seen, filled = reconstruct(model, inputs, mask)
    model.train(was_training)
    mean = getattr(model.data_preprocessor, 'mean', None)
    std = getattr(model.data_preprocessor, 'std', None)
    if mean is None or std is None:  # normalised while loading: from the darkest to the brightest
        mean = inputs.amin((0, 2, 3), keepdim=True)
        std = (inputs.amax((0, 2, 3), keepdim=True) - mean).clamp(min=1e-6) / 255
        mean, std = -mean / std, 1 / std
    columns = []
    for images in (seen, filled, inputs):
        pixels = (images * std + mean).clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
        pixels = pixels[..., :3] if pixels.shape[3] >= 3 else pixels[..., :1].repeat(3, 3)
        frame = ((0, 0), (border, border), (border, border), (0, 0))
        columns.append(np.concatenate(np.pad(pixels, frame, constant_values=255), 0))
    return np.concatenate(columns, 1)


def reconstruct(model: Any, inputs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Show a model images under a mask, and fill what it did not see with its predictions.

    Args:
        model (UMMAE | SimMIM): The model.
        inputs (Tensor): Preprocessed images (N, C, H, W).
        mask (Tensor): Mask map, or any mask of SimMIM: not 0 where an image is masked.

    Returns:
        tuple[Tensor, Tensor]: What the model saw (0, the mean colour, elsewhere), and the images
        with predictions; both (N, C, H, W).
    """
    if hasattr(model, 'reconstruct'):
        return model.reconstruct(inputs, mask)
    predicted = model.neck(model.backbone(inputs, mask)[0])
    unit = inputs.shape[2] // mask.shape[1]
    hidden = (mask != 0)[:, None].repeat_interleave(unit, 2).repeat_interleave(unit, 3)
    return inputs * ~hidden, torch.where(hidden, predicted.to(inputs.dtype), inputs)


def detection_picture(
    folder: str | Path,
    annotation_file: str | Path,
    results: Mapping[str, str | Path],
    num_images: int = 6,
    scale: int = 2,
) -> np.ndarray:
    """Draw columns of images; rows: the truth, then the detections of several detectors.

    Of the detections of an image the best are drawn, as many as there are objects, one per place: a
    threshold would show little of a detector whose scores are low.

    Args:
        folder (str | Path): Folder of the images.
        annotation_file (str | Path): COCO annotations.
        results (dict[str, Path]): Name of every detector, and its COCO results file with masks
            (``*.segm.json``).
        num_images (int): Number of columns. Defaults to 6.
        scale (int): Enlargement. Defaults to 2.

    Returns:
        np.ndarray: uint8 RGB.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(annotation_file))
    names = {category['id']: category['name'] for category in coco.dataset['categories']}
    infos = coco.dataset['images'][:num_images]
    truth = {
        info['id']: [dict(o, score=None) for o in coco.imgToAnns[info['id']]] for info in infos
    }
    rows = {'truth': truth}
    for name, path in results.items():
        found = json.loads(Path(path).read_text())
        rows[f'{name}: its best detections, as many as there are objects (score in per cent)'] = {
            image: _best([o for o in found if o['image_id'] == image], len(objects))
            for image, objects in truth.items()
        }
    picture = []
    for title, objects in rows.items():
        images = [_draw(folder, info, objects[info['id']], names, scale) for info in infos]
        row = np.concatenate(images, 1)
        label = np.full((24, row.shape[1], 3), 255, np.uint8)
        cv2.putText(label, title, (4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        picture += [label, row]
    return np.concatenate(picture, 0)


def _best(found: Sequence[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    """Choose the detections with the highest scores, only one where masks overlap by half."""
    kept: list[dict[str, Any]] = []
    for candidate in sorted(found, key=lambda o: -o['score']):
        others = [o['segmentation'] for o in kept]
        crowd = [0] * len(others)
        if not others or coco_mask.iou([candidate['segmentation']], others, crowd).max() < 0.5:
            kept.append(candidate)
        if len(kept) == number:
            break
    return kept


def _draw(
    folder: str | Path,
    info: Mapping[str, Any],
    objects: Sequence[dict[str, Any]],
    names: Mapping[int, str],
    scale: int,
) -> np.ndarray:
    """Draw an image with outlines, class names and scores: RGB."""
    image: Any = cv2.imread(str(Path(folder) / info['file_name']))
    image = image[..., ::-1]
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    image = np.ascontiguousarray(image)
    for instance in sorted(objects, key=lambda o: o['score'] or 0):
        hue = instance['category_id'] * 37 % 180
        rgb = cv2.cvtColor(np.uint8([[[hue, 255, 255]]]), cv2.COLOR_HSV2RGB)[0, 0]
        colour = tuple(int(c) for c in rgb)
        mask = coco_mask.decode(instance['segmentation'])
        mask = cv2.resize(mask, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
        outlines, _ = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, outlines, -1, colour, 2)
        score = '' if instance['score'] is None else f' {100 * instance["score"]:.0f}'
        left, top = (int(side * scale) for side in instance['bbox'][:2])
        for thickness, shade in ((3, (0, 0, 0)), (1, colour)):
            cv2.putText(
                image,
                names[instance['category_id']] + score,
                (left, max(12, top - 3)),
                cv2.FONT_HERSHEY_SIMPLEX,
                0.45,
                shade,
                thickness,
                cv2.LINE_AA,
            )
    return image


def mask_picture(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Cover an image with its mask map: secondary units hatched, removed ones white.

    Args:
        rgb (np.ndarray): uint8 (H, W, 3).
        mask (np.ndarray): Mask map (H / unit, W / unit).

    Returns:
        np.ndarray: uint8 (H, W, 3).
    """
    unit = len(rgb) // len(mask)
    cover = np.kron(mask, np.ones((unit, unit), np.uint8))[..., None]
    diagonals = np.add.outer(np.arange(rgb.shape[0]), np.arange(rgb.shape[1])) % 8 < 2
    hatched = np.where(diagonals[..., None], 110, 200)
    shown = np.where(cover == SECONDARY, hatched, rgb)
    return np.where(cover == REMOVED, 255, shown).astype(np.uint8)


def side_by_side(panels: Sequence[np.ndarray], border: int = 4) -> np.ndarray:
    """Put RGB images of any sizes in a row, with white around them."""
    height = max(len(panel) for panel in panels)
    return np.concatenate(
        [
            np.pad(
                panel,
                ((border, height - len(panel) + border), (border, border), (0, 0)),
                constant_values=255,
            )
            for panel in panels
        ],
        1,
    )


def write_picture(path: str | Path, rgb: np.ndarray) -> None:
    """Write an RGB array, and make its folder."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # OpenCV itself dies of names that are no UTF-8
    path.write_bytes(cv2.imencode(path.suffix, rgb[..., ::-1])[1].tobytes())


def picture_paths(
    images: Sequence[str], folder: str | Path, option: str, root: str | Path | None = None
) -> list[Path]:
    """Paths of the pictures of images: JPEGs in the subfolders that the images have.

    Images whose names differ by their suffix alone keep it: ``a.png.jpg`` and ``a.tif.jpg``.

    Args:
        images (Sequence[str]): Paths of the images.
        folder (str | Path): Folder of the pictures.
        option (str): The option that names it, for the error.
        root (str | Path, optional): Folder of the images, for their subfolders. Defaults to None:
            the innermost that has all of them.

    Returns:
        list[Path]: One per image.

    Raises:
        InputError: If pictures would lie beside images, which they could replace.
    """
    folders = {os.path.dirname(os.path.abspath(image)) for image in images}
    root = root or os.path.commonpath(folders)
    names = [os.path.relpath(image, root) for image in images]
    stems = Counter(os.path.splitext(name)[0] for name in set(names))
    paths = []
    for name in names:
        stem = os.path.splitext(name)[0]
        paths.append(Path(folder, f'{name if stems[stem] > 1 else stem}.jpg'))
    taken = {os.path.realpath(path.parent) for path in paths}
    shared = taken & {os.path.realpath(path) for path in folders}
    if shared:
        raise InputError(
            f'{option} would put pictures into {min(shared)}, a folder of the images, and could '
            'replace them: give another'
        )
    return paths


def first_three(image: np.ndarray) -> np.ndarray:
    """Make an image of any number of bands fit to look at: its first three, stretched.

    Args:
        image (np.ndarray): (H, W, C).

    Returns:
        np.ndarray: uint8 (H, W, 3).
    """
    bands = image[..., :3] if image.shape[2] >= 3 else image[..., :1].repeat(3, 2)
    if bands.dtype == np.uint8:
        return bands
    low, high = bands.min((0, 1)), bands.max((0, 1))
    return ((bands - low) * (255 / np.maximum(high - low, 1e-6))).round().astype(np.uint8)
