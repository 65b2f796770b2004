"""Backbones and features in a few lines of Python."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.logging import print_log
from mmengine.registry import MODELS, TRANSFORMS, DefaultScope
from rich.progress import track
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mmum.checkpoints import identify, read_checkpoint, weights_of
from mmum.checkpoints import load_backbone as load_weights
from mmum.checkpoints.identify import check_known
from mmum.checkpoints.settings import Settings, settings_of
from mmum.datasets.listing import list_images
from mmum.environment import default_device
from mmum.errors import InputError
from mmum.workers import shield_workers


def load_backbone(
    file: str | Path,
    out_indices: int | Sequence[int] | None = None,
    window_size: int | None = None,
    device: str = 'cpu',
    key: str | None = None,
    **settings: Any,
) -> nn.Module:
    """Load the backbone of a checkpoint, dense, in evaluation mode, with its weights in it.

    Arch, channels and positions are read from the file. Logs a line about what was loaded.

    Args:
        file (str | Path): A checkpoint of mmum (``.pth`` or ``backbone.safetensors``), of the
            authors, or a public Swin, which becomes a ``UMStockSwin``.
        out_indices (int | Sequence[int], optional): Stages (ViT: blocks) to return; -1 is the last.
            Defaults to None: the last.
        window_size (int, optional): Side of the attention windows in tokens. Defaults to None: the
            dense window of the file, 16 in the paper.
        device (str): Device of the weights. Defaults to 'cpu'.
        key (str, optional): Where in the file the weights are, for example 'teacher'. Defaults to
            None: found.
        **settings: Further arguments of the backbone, in place of those of the file.

    Returns:
        nn.Module: Maps images (N, C, H, W), normalised as in training, to a tuple of feature maps
        (N, C_i, H_i, W_i).

    Raises:
        InputError: If the file is no checkpoint, its backbone unknown, or an argument does not fit.
    """
    return load_with_settings(file, out_indices, window_size, device, key, **settings)[0]


def load_with_settings(
    file: str | Path,
    out_indices: int | Sequence[int] | None = None,
    window_size: int | None = None,
    device: str = 'cpu',
    key: str | None = None,
    **settings: Any,
) -> tuple[nn.Module, Settings]:
    """As :func:`load_backbone`; returns also what images the backbone was trained on."""
    path = str(file)
    content = read_checkpoint(path)
    weights = weights_of(content, path, key)
    identified = identify(weights, path)
    check_known(identified, path)
    found = settings_of(content, identified, path, settings.get('arch'))
    given = dict(out_indices=out_indices, window_size=window_size)
    cfg = {**found.backbone, **{k: v for k, v in given.items() if v is not None}, **settings}
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        try:
            model = MODELS.build(cfg)
        except TypeError as error:
            if 'unexpected keyword' not in str(error):
                raise
            raise InputError(
                f'{cfg["type"]}, the backbone of {path}, does not take '
                f'{str(error).rpartition("argument ")[2]}: leave it out'
            ) from error
    model.init_weights()  # what the file lacks, such as norms of further stages
    report = load_weights(model, weights, path)
    counts = ', '.join(line.split(' (')[0].strip() for line in report.splitlines())
    print_log(f'{cfg["type"]} from {path} ({counts})', 'current')
    return model.to(device).eval(), found


class _Images(Dataset):
    """Images of a folder, resized and cropped to one size; None for an unreadable one."""

    def __init__(self, files: Sequence[str], size: int) -> None:
        resize = dict(scale=size, edge='short', backend='pillow', interpolation='bicubic')
        steps = [
            dict(type='LoadImageStrict'),
            dict(type='mmpretrain.ResizeEdge', **resize),
            dict(type='mmpretrain.CenterCrop', crop_size=size),
        ]
        self.files, self.pipeline = files, Compose([TRANSFORMS.build(step) for step in steps])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[int, Any]:
        try:
            image = self.pipeline(dict(img_path=self.files[index]))['img']
        except InputError as error:
            return index, str(error)
        return index, torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def embed(
    folder: str | Path,
    checkpoint: str | Path,
    batch_size: int = 32,
    size: int | None = None,
    workers: int = 2,
    device: str | None = None,
    **settings: Any,
) -> tuple[np.ndarray, list[str]]:
    """Make one vector of every image of a folder: the mean of the last feature map.

    Shows a progress bar. Unreadable images are named in the log and left out.

    Args:
        folder (str | Path): A folder of images at any depth, or one image.
        checkpoint (str | Path): As for :func:`load_backbone`.
        batch_size (int): Images at a time. Defaults to 32.
        size (int, optional): Side in pixels: the short side is resized, the centre cropped.
            Defaults to None: that of the training.
        workers (int): Processes that load images. Defaults to 2.
        device (str, optional): Defaults to None: a GPU where there is one.
        **settings: As for :func:`load_backbone`.

    Returns:
        tuple[np.ndarray, list[str]]: float32 (N, C), and the N file names relative to the folder.

    Raises:
        InputError: If there are no images, or none can be read.
    """
    root = Path(folder)
    files = [str(root)] if root.is_file() else list_images(root)
    if batch_size < 1 or workers < 0:
        raise InputError(
            f'batch_size={batch_size} should be positive, workers={workers} not negative'
        )
    device = device or default_device()
    model, found = load_with_settings(checkpoint, device=device, **settings)
    images = _Images(files, size or found.image_size)
    loader = DataLoader(images, batch_size, num_workers=workers, collate_fn=list)
    shield_workers(loader)
    mean, std = (torch.tensor(v, device=device).view(-1, 1, 1) for v in (found.mean, found.std))
    vectors: list[np.ndarray] = []
    names: list[str] = []
    for batch in track(loader, 'embedding'):
        for _, fault in batch:
            if isinstance(fault, str):
                print_log(f'left out: {fault}', 'current')
        readable = [(i, image) for i, image in batch if not isinstance(image, str)]
        if not readable:
            continue
        inputs = torch.stack([image for _, image in readable]).to(device).float()
        inputs = inputs.flip(1) if found.to_rgb else inputs  # OpenCV's order is BGR
        with torch.no_grad():
            vectors.append(model((inputs - mean) / std)[-1].mean((2, 3)).float().cpu().numpy())
        names += [_name(files[i], root) for i, _ in readable]
    if not names:
        raise InputError(f'none of the {len(files)} images of {folder} can be read')
    return np.concatenate(vectors), names


def _name(file: str, root: Path) -> str:
    if '://' in file:  # in a shard
        return file
    return Path(file).name if root.is_file() else str(Path(file).relative_to(root))
