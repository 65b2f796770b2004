"""Figures of the documentation."""

import cv2
import numpy as np
import torch
from mmdet.apis import DetInferencer
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from pycocotools.coco import COCO

from mmum.checkpoints import read_checkpoint
from mmum.engine import load_config
from mmum.errors import InputError
from mmum.masking import gather_units, sample_mask_map
from mmum.visualization import mask_picture, reconstruct


def method_picture(side=192, seed=5):
    """Draw the idea: an image with its cells, its mask map, and the compact image.

    Args:
        side (int): Side of the image in pixels, a multiple of 64. Defaults to 192.
        seed (int): Of the mask map. Defaults to 5.

    Returns:
        np.ndarray: uint8 RGB.
    """
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    image = np.stack([80 + 150 * x, 210 - 120 * y, 120 + 90 * (x + y) / 2], -1).astype(
        np.uint8
    )  # sky
    cv2.circle(
        image, (int(0.7 * side), int(0.3 * side)), side // 6, (255, 226, 110), -1, cv2.LINE_AA
    )
    hills = (
        np.array([[0, 1], [0, 0.75], [0.25, 0.5], [0.45, 0.72], [0.7, 0.58], [1, 0.8], [1, 1]])
        * side
    )
    cv2.fillPoly(image, [hills.astype(np.int32)], (58, 110, 90), cv2.LINE_AA)

    mask = sample_mask_map((side // 16, side // 16), random=np.random.RandomState(seed))
    sampled = mask_picture(image, mask)
    tensor, where = (
        torch.from_numpy(np.ascontiguousarray(sampled)).permute(2, 0, 1)[None],
        torch.from_numpy(mask)[None],
    )
    compact = gather_units(tensor, where)[0].permute(1, 2, 0).numpy()

    panels = []
    for panel, step in ((image, 32), (sampled, 32), (compact, 16)):
        panel = np.ascontiguousarray(np.pad(panel, ((0, 1), (0, 1), (0, 0)), mode='edge'))
        panel[::step] = panel[:, ::step] = 60  # the borders of cells
        above = (side + 1 - len(panel)) // 2
        panels.append(
            np.pad(
                panel, ((above, side + 1 - len(panel) - above), (0, 0), (0, 0)), constant_values=255
            )
        )
    gap = np.full((side + 1, 32, 3), 255, np.uint8)
    cv2.arrowedLine(
        gap, (6, side // 2), (26, side // 2), (60, 60, 60), 2, cv2.LINE_AA, tipLength=0.4
    )
    row = np.concatenate([panels[0], gap, panels[1], gap, panels[2]], 1)
    return np.pad(row, ((8, 8), (8, 8), (0, 0)), constant_values=255).repeat(2, 0).repeat(2, 1)


def nuclei_picture(data, pretraining, detector, number=4, side=128, scale=2):
    """Draw images of nuclei, their reconstructions and the detections in them.

    Args:
        data (Path): The data set, of ``tools/prepare_data.py nuclei``.
        pretraining (Path): Checkpoint of ``um_mae_swin_nano_nuclei_two_stages``.
        detector (Path): Checkpoint of ``mask-rcnn_um-swin-nano_fpn_nuclei``.
        number (int): Columns: validation images from dark to bright. Defaults to 4.
        side (int): Side of the middle that is shown, in pixels. Defaults to 128.
        scale (int): Enlargement. Defaults to 2.

    Returns:
        np.ndarray: uint8 RGB; rows: masked image, reconstruction, detections of score 0.5, truth.
    """
    folder, coco = data / 'val', COCO(str(data / 'annotations' / 'val_report.json'))
    infos = [i for i in coco.dataset['images'] if min(i['height'], i['width']) >= side]
    infos.sort(key=lambda info: cv2.imread(str(folder / info['file_name'])).mean())
    places = np.linspace(0.3, 0.95, number) * (len(infos) - 1)
    infos = [infos[place] for place in places.round().astype(int)]
    model = load_model('um_mae_swin_nano_nuclei_two_stages', pretraining)
    cfg = load_config('mask-rcnn_um-swin-nano_fpn_nuclei')
    init_default_scope('mmdet')
    inferencer = DetInferencer(cfg, str(detector), device='cpu', show_progress=False)
    columns = []
    for place, info in enumerate(infos):
        path = folder / info['file_name']
        image = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
        found = inferencer(str(path), return_datasamples=True, no_save_vis=True)['predictions'][0]
        kept = found.pred_instances[found.pred_instances.scores >= 0.5]
        masks = [np.asarray(mask, np.uint8) for mask in kept.masks]
        truth = [coco.annToMask(a) for a in coco.imgToAnns[info['id']]]
        top, left = ((s - side) // 2 for s in image.shape[:2])
        crop = image[top : top + side, left : left + side]
        rows = reconstruct_one(model, crop, place)
        rows = [cv2.resize(row, None, fx=scale, fy=scale, interpolation=0) for row in rows]
        for objects in (masks, truth):
            drawn = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            for number_of, mask in enumerate(objects):
                part = mask[top : top + side, left : left + side]
                part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=0)
                outlines, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
                hue = np.uint8([[[number_of * 37 % 180, 255, 255]]])
                colour = cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0].tolist()
                cv2.drawContours(drawn, outlines, -1, colour, 2)
            rows.append(drawn)
        frame = ((3, 3), (3, 3), (0, 0))
        columns.append(np.concatenate([np.pad(r, frame, constant_values=255) for r in rows]))
    return np.concatenate(columns, 1)


def steps_picture(folder, steps, rows=3, scale=1.5):
    """Draw how reconstructions change over the steps of a pre-training.

    Args:
        folder (Path): Pictures that the pre-training wrote, ``WORK_DIR/reconstruction``.
        steps (Sequence[str]): Numbers of steps with a picture there.
        rows (int): Images. Defaults to 3.
        scale (float): Enlargement. Defaults to 1.5.

    Returns:
        np.ndarray: uint8 RGB; columns: masked image, its reconstruction after every number of
        steps, original.

    Raises:
        InputError: If a picture is missing, or none is asked for.
    """
    pictures = [cv2.imread(str(folder / f'iter_{step}.png')) for step in steps]
    if not steps or any(picture is None for picture in pictures):
        raise InputError(
            f'{folder} should have iter_N.png of all steps that are given: {" ".join(steps)}'
        )
    height, width = rows * len(pictures[0]) // 4, pictures[0].shape[1] // 3
    seen, original = (pictures[0][:height, part * width :][:, :width] for part in (0, 2))
    filled = [picture[:height, width : 2 * width] for picture in pictures]
    columns = []
    for name, column in zip(['masked', *steps, 'original'], [seen, *filled, original]):
        column = cv2.resize(column, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
        title = np.full((26, column.shape[1], 3), 255, np.uint8)
        cv2.putText(title, name, (6, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (60, 60, 60), 1, 16)
        columns.append(np.concatenate([title, column]))
    return np.ascontiguousarray(np.concatenate(columns, 1)[..., ::-1])


def load_model(config, checkpoint):
    """A pre-training model with its weights."""
    init_default_scope('mmpretrain')
    cfg = load_config(config)
    model = MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor}).eval()
    weights = read_checkpoint(str(checkpoint))['state_dict']
    model.load_state_dict(weights)
    return model


def reconstruct_one(model, image, seed):
    """Show a model an image under a mask: what it saw, and its reconstruction; uint8 RGB."""
    tensor = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)
    sample = DataSample()
    inputs = model.data_preprocessor(dict(inputs=tensor[None], data_samples=[sample]), False)[
        'inputs'
    ]
    units = tuple(s // 16 for s in image.shape[:2])
    mask = torch.from_numpy(sample_mask_map(units, random=np.random.RandomState(seed)))[None]
    with torch.no_grad():
        pictures = reconstruct(model, inputs, mask)
    mean, std = model.data_preprocessor.mean, model.data_preprocessor.std
    return [(one[0] * std + mean).clamp(0, 255).byte().permute(1, 2, 0).numpy() for one in pictures]
