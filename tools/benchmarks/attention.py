"""Attention of a decoder: shares of removed units to sampled ones, by their distance."""

import statistics
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from benchmarks.report import caption_of, markdown_table
from mmum.checkpoints import read_checkpoint
from mmum.datasets.listing import list_images
from mmum.engine import load_config
from mmum.errors import InputError
from mmum.masking import removed_units, sample_mask_map, sampled_units

SIDE = 128  # of the crops, in pixels
NEAR = 3  # distances from here on are one


def measure(checkpoints, folder, number, report):
    """Measure the first block of decoders on crops of images.

    Args:
        checkpoints (Sequence[str]): Of pre-trainings of UM-MAE with ``UMDecoder``.
        folder (str): Images; crops of 128 px from their middle.
        number (int): Images, the first ones by name.
        report (Callable): Gets a line per checkpoint.

    Returns:
        dict: ``settings``; ``uniform``, the share of sampled units at distance 1, 2, and 3 or more
        among all units; ``rows``, for each checkpoint its ``steps`` and by head the ``shares`` of
        attention that these get.

    Raises:
        InputError: If there are too few images, or a checkpoint is of another kind.
    """
    images = read_crops(Path(folder), number)
    random = np.random.RandomState(0)
    grid = (SIDE // 16, SIDE // 16)
    mask = torch.from_numpy(np.stack([sample_mask_map(grid, random=random) for _ in images]))
    sampled = sampled_units(mask)
    keys, queries = torch.cat([sampled, removed_units(mask)], 1), removed_units(mask)
    apart = [part(queries)[:, :, None] - part(keys)[:, None] for part in (row_of, column_of)]
    distance = torch.stack(apart).abs().amax(0).clamp(max=NEAR)
    at = [(distance == d) & (torch.arange(keys.shape[1]) < sampled.shape[1]) for d in (1, 2, NEAR)]
    rows = []
    for path in checkpoints:
        model, steps = read_model(path)
        attention = first_attention(model, images, mask)
        shares = [
            [float((attention[:, head] * units).sum(-1).mean()) for units in at]
            for head in range(attention.shape[1])
        ]
        rows.append(dict(checkpoint=str(path), steps=steps, shares=shares))
        report(
            f'{path}: {100 * statistics.fmean(share[0] for share in shares):.0f} % to units next'
        )
    settings = dict(folder=str(folder), images=len(images), side=SIDE)
    return dict(settings=settings, uniform=[float(u.float().mean()) for u in at], rows=rows)


def row_of(units):
    return units // (SIDE // 16)


def column_of(units):
    return units % (SIDE // 16)


def read_crops(folder, number):
    """Middle crops of the first images that are large enough: uint8 BGR (number, 3, SIDE, SIDE)."""
    crops = []
    for path in sorted(map(str, list_images(folder))):
        image = cv2.imread(path)
        if image is None or min(image.shape[:2]) < SIDE:
            continue
        top, left = ((side - SIDE) // 2 for side in image.shape[:2])
        crop = image[top : top + SIDE, left : left + SIDE]
        crops.append(torch.from_numpy(crop.copy()).permute(2, 0, 1))
        if len(crops) == number:
            return torch.stack(crops)
    raise InputError(
        f'{folder} has {len(crops)} images of at least {SIDE}x{SIDE} px: --images {number} needs '
        'that many'
    )


def read_model(path):
    """The model of a checkpoint, by the config that its training wrote beside it, and its steps."""
    configs = sorted(Path(path).parent.glob('*.py'))
    cfg = load_config(str(configs[0])) if len(configs) == 1 else {}
    neck = cfg.get('model', {}).get('neck') or {}
    if neck.get('type') != 'UMDecoder' or neck.get('stride', 32) != 32:
        raise InputError(
            f'{path} has no config beside it of a pre-training with UMDecoder behind a pyramid: '
            'give an iter_N.pth or epoch_N.pth in the work directory of one'
        )
    checkpoint = read_checkpoint(str(path))
    init_default_scope('mmpretrain')
    model = MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor}).eval()
    model.load_state_dict(checkpoint['state_dict'])
    return model, checkpoint['meta']['iter']


@torch.no_grad()
def first_attention(model, images, mask):
    """Attention of removed units in the first block: (N, heads, removed, sampled + removed)."""
    block, found = model.neck.blocks[0], []

    def look(module, arguments):
        x, (tokens, index), _, bias = arguments
        attn = block.attn
        common = attn.project(tokens, block.norm1)[0][index]
        q, k, _ = attn.split_heads(torch.cat([attn.project(x, block.norm1), common], 1))
        logits = q @ k.transpose(2, 3) * q.shape[-1] ** -0.5
        found.append((logits if bias is None else logits + bias).softmax(-1))

    handle = block.register_forward_pre_hook(look)
    batch = dict(inputs=images, data_samples=[DataSample() for _ in images])
    inputs = model.data_preprocessor(batch)['inputs']
    model.predict_removed(inputs, mask)
    handle.remove()
    return found[0][:, :, -removed_units(mask).shape[1] :]


def table(result):
    """The result as Markdown."""
    s = result['settings']
    uniform = ', '.join(f'{100 * share:.0f}' for share in result['uniform'])
    caption = (
        f'{caption_of(result)} First block of the decoder, {s["images"]} crops of {s["side"]} px '
        f'of {s["folder"]}: attention of removed units to sampled ones in per cent, the mean of '
        'the heads and the highest, by their distance in units. Equal attention to all units '
        f'would be {uniform}.'
    )
    lines = []
    for row in result['rows']:
        columns = list(zip(*row['shares']))
        cells = [f'{100 * statistics.fmean(c):.0f} ({100 * max(c):.0f})' for c in columns]
        lines.append([Path(row['checkpoint']).parent.name, row['steps'], *cells])
    head = ['pre-training', 'steps', 'distance 1', 'distance 2', f'{NEAR} or more']
    return markdown_table(head, lines, caption)
