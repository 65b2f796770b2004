"""Pictures for people: what was masked and reconstructed, what was detected."""
import contextlib
import io
import json
from pathlib import Path

import cv2
import numpy as np
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmum.masking import REMOVED, SECONDARY, gather_units, sample_mask_map


def reconstruction_picture(model, inputs, mask, border=4):
    """Rows of masked input, reconstruction and original.

    Args:
        model (UMMAE): The model.
        inputs (Tensor): Preprocessed images (N, C, H, W), at most a few.
        mask (Tensor): Mask map (N, H/16, W/16).
        border (int): White pixels around the images. Defaults to 4.

    Returns:
        np.ndarray: uint8 RGB.
    """
    was_training = model.training
    model.eval()
    seen, filled = model.reconstruct(inputs, mask)
    model.train(was_training)
    preprocessor = model.data_preprocessor
    mean, std = (getattr(preprocessor, name, default) for name, default in (('mean', 0.), ('std', 1.)))
    columns = []
    for images in (seen, filled, inputs):
        pixels = (images * std + mean).clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
        pixels = pixels[..., :3] if pixels.shape[3] >= 3 else pixels[..., :1].repeat(3, 3)
        frame = ((0, 0), (border, border), (border, border), (0, 0))
        columns.append(np.concatenate(np.pad(pixels, frame, constant_values=255), 0))
    return np.concatenate(columns, 1)


def detection_picture(folder, annotation_file, results, num_images=6, scale=2):
    """Columns of images; rows: the truth, then what each of several detectors found.

    Of the detections of an image the best are drawn, as many as there are objects, one at a place: a threshold would show
    little of a detector whose scores are low.

    Args:
        folder (Path): The images.
        annotation_file (Path): COCO annotations.
        results (dict[str, Path]): Name of each detector, and its COCO results file with masks (``*.segm.json``).
        num_images (int): Columns. Defaults to 6.
        scale (int): Enlargement. Defaults to 2.

    Returns:
        np.ndarray: uint8 RGB.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(annotation_file))
    names = {category['id']: category['name'] for category in coco.dataset['categories']}
    infos = coco.dataset['images'][:num_images]
    truth = {info['id']: [dict(o, score=None) for o in coco.imgToAnns[info['id']]] for info in infos}
    rows = {'truth': truth}
    for name, path in results.items():
        found = json.loads(Path(path).read_text())
        rows[f'{name}: its best detections, as many as there are objects (score in per cent)'] = {
            image: _best([o for o in found if o['image_id'] == image], len(objects)) for image, objects in truth.items()}
    picture = []
    for title, objects in rows.items():
        row = np.concatenate([_draw(folder, info, objects[info['id']], names, scale) for info in infos], 1)
        label = np.full((24, row.shape[1], 3), 255, np.uint8)
        cv2.putText(label, title, (4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        picture += [label, row]
    return np.concatenate(picture, 0)


def _best(found, number):
    """The detections with the highest scores, but one where masks overlap by half."""
    kept = []
    for candidate in sorted(found, key=lambda o: -o['score']):
        others = [o['segmentation'] for o in kept]
        if not others or coco_mask.iou([candidate['segmentation']], others, [0] * len(others)).max() < 0.5:
            kept.append(candidate)
        if len(kept) == number:
            break
    return kept


def _draw(folder, info, objects, names, scale):
    """One image with outlines, class names and scores: RGB."""
    image = cv2.imread(str(Path(folder) / info['file_name']))[..., ::-1]
    image = np.ascontiguousarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC))
    for found in sorted(objects, key=lambda o: o['score'] or 0):
        colour = tuple(int(c) for c in cv2.cvtColor(
            np.uint8([[[found['category_id'] * 37 % 180, 255, 255]]]), cv2.COLOR_HSV2RGB)[0, 0])
        mask = cv2.resize(coco_mask.decode(found['segmentation']), None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
        outlines, _ = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, outlines, -1, colour, 2)
        text = names[found['category_id']] + ('' if found['score'] is None else f' {100 * found["score"]:.0f}')
        place = (int(found['bbox'][0] * scale), max(12, int(found['bbox'][1] * scale) - 3))
        for thickness, shade in ((3, (0, 0, 0)), (1, colour)):
            cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, shade, thickness, cv2.LINE_AA)
    return image


def mask_picture(rgb, mask):
    """An image under its mask map: secondary units hatched, removed ones white.

    Args:
        rgb (np.ndarray): uint8 (H, W, 3).
        mask (np.ndarray): Mask map (H / unit, W / unit).

    Returns:
        np.ndarray: uint8 (H, W, 3).
    """
    unit = len(rgb) // len(mask)
    cover = np.kron(mask, np.ones((unit, unit), np.uint8))[..., None]
    hatched = np.where((np.add.outer(np.arange(rgb.shape[0]), np.arange(rgb.shape[1])) % 8 < 2)[..., None], 110, 200)
    return np.where(cover == REMOVED, 255, np.where(cover == SECONDARY, hatched, rgb)).astype(np.uint8)


def side_by_side(panels, border=4):
    """RGB images of any sizes in a row, at the height of the highest, with white between them."""
    height = max(len(panel) for panel in panels)
    return np.concatenate([
        np.pad(panel, ((border, height - len(panel) + border), (border, border), (0, 0)), constant_values=255)
        for panel in panels], 1)


def method_picture(side=192, seed=5):
    """The idea in three panels: an image with its cells, what is sampled and masked again, the compact image.

    Args:
        side (int): Side of the image in pixels, a multiple of 64. Defaults to 192.
        seed (int): Of the mask map. Defaults to 5.

    Returns:
        np.ndarray: uint8 RGB.
    """
    y, x = np.mgrid[0:1:side * 1j, 0:1:side * 1j]
    image = np.stack([80 + 150 * x, 210 - 120 * y, 120 + 90 * (x + y) / 2], -1).astype(np.uint8)  # sky
    cv2.circle(image, (int(0.7 * side), int(0.3 * side)), side // 6, (255, 226, 110), -1, cv2.LINE_AA)
    hills = np.array([[0, 1], [0, .75], [.25, .5], [.45, .72], [.7, .58], [1, .8], [1, 1]]) * side
    cv2.fillPoly(image, [hills.astype(np.int32)], (58, 110, 90), cv2.LINE_AA)

    mask = sample_mask_map((side // 16, side // 16), random=np.random.RandomState(seed))
    sampled = mask_picture(image, mask)
    tensor, where = torch.from_numpy(np.ascontiguousarray(sampled)).permute(2, 0, 1)[None], torch.from_numpy(mask)[None]
    compact = gather_units(tensor, where)[0].permute(1, 2, 0).numpy()

    panels = []
    for panel, step in ((image, 32), (sampled, 32), (compact, 16)):
        panel = np.ascontiguousarray(np.pad(panel, ((0, 1), (0, 1), (0, 0)), mode='edge'))
        panel[::step] = panel[:, ::step] = 60  # the borders of cells
        above = (side + 1 - len(panel)) // 2
        panels.append(np.pad(panel, ((above, side + 1 - len(panel) - above), (0, 0), (0, 0)), constant_values=255))
    gap = np.full((side + 1, 32, 3), 255, np.uint8)
    cv2.arrowedLine(gap, (6, side // 2), (26, side // 2), (60, 60, 60), 2, cv2.LINE_AA, tipLength=0.4)
    row = np.concatenate([panels[0], gap, panels[1], gap, panels[2]], 1)
    return np.pad(row, ((8, 8), (8, 8), (0, 0)), constant_values=255).repeat(2, 0).repeat(2, 1)


def write_picture(path, rgb):
    """Writes an RGB array; makes the folder."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), rgb[..., ::-1])
