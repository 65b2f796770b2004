"""Write the backbone of a checkpoint to a file of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mmum.checkpoints.convert import Conversion, convert
from mmum.checkpoints.decoder_settings import decoder_settings
from mmum.checkpoints.identify import identify
from mmum.checkpoints.io import read_checkpoint, weights_of, write_checkpoint
from mmum.checkpoints.settings import settings_of
from mmum.checkpoints.swin_keys import DIALECTS
from mmum.checkpoints.verify import verify
from mmum.errors import InputError

DTYPES = dict(float32=torch.float32, float16=torch.float16, bfloat16=torch.bfloat16)
BACKBONE_FILE = 'backbone.safetensors'


def export(
    checkpoint: str | Path,
    file: str | Path,
    to: str = 'mmum',
    window_size: int | None = None,
    origin: str | None = None,
    whole: bool = False,
    partial: bool = False,
    check: bool = False,
    key: str | None = None,
    dtype: str = 'float32',
) -> Conversion:
    """Convert the backbone of a checkpoint to the names of another code base, in a new file.

    Args:
        checkpoint (str | Path): The checkpoint, ``.pth`` or ``.safetensors``.
        file (str | Path): The file to write, ``.pth`` or ``.safetensors``.
        to (str): Names to write: 'mmum', 'mmdet', 'mmpretrain', 'timm' or 'microsoft'. Defaults to
            'mmum'.
        window_size (int, optional): Window of the position bias tables. Defaults to None: that of
            the checkpoint.
        origin (str, optional): Names of the checkpoint. Defaults to None: detected.
        whole (bool): Whether to keep decoder or head too (to 'mmum' alone). Defaults to False.
        partial (bool): Whether to write a UMSwin for a stock Swin without its merges. Defaults to
            False.
        check (bool): Whether to run source and target side by side, and note the difference.
            Defaults to False.
        key (str, optional): Where in the checkpoint the weights are, for example 'teacher'.
            Defaults to None: found.
        dtype (str): 'float32', or 'float16' or 'bfloat16' for half of the bytes; what loads the
            file computes in float32. Defaults to 'float32'.

    Returns:
        Conversion: What was written, with a report and notes.

    Raises:
        InputError: If the checkpoint cannot be converted so, or the file exists or cannot be
            written.
    """
    path, destination = str(checkpoint), Path(file)
    if to not in DIALECTS:
        raise InputError(f"to='{to}' names no code base: choose one of {', '.join(DIALECTS)}")
    if dtype not in DTYPES:
        raise InputError(f"dtype='{dtype}' should be one of {', '.join(DTYPES)}")
    if destination.suffix not in ('.pth', '.safetensors'):
        raise InputError(f'{destination} should end in .pth or .safetensors')
    if destination.exists():
        raise InputError(f'{destination} exists: give another name, or remove it first')
    if not destination.parent.is_dir():
        raise InputError(f'the folder {destination.parent} does not exist: make it first')
    content = read_checkpoint(path)
    weights = weights_of(content, path, key)
    result = convert(weights, to, origin, window_size, whole, partial, path)
    if check:
        differences = ', '.join(f'{value:.1e}' for value in verify(weights, result, to))
        result.notes.append(f'largest difference over largest value, by stage: {differences}')
        if result.report['resized']:
            result.notes.append('(both at the new window)')
    if dtype != 'float32':
        result.weights = {
            name: weight.to(DTYPES[dtype]) if weight.is_floating_point() else weight
            for name, weight in result.weights.items()
        }
    if whole:
        known = decoder_settings(content.get('meta') or {})
        result.meta = {**{name: str(value) for name, value in known.items()}, **result.meta}
    header = dict(source=path, names=to, **_version(), **result.meta)
    if to == 'mmum' and window_size is None:
        header.update(_settings(content, result, path))
    wrap = DIALECTS[to].wrap
    wrapped = wrap and destination.suffix == '.pth'
    body = {wrap: result.weights, **({'meta': result.meta} if result.meta else {})}
    write_checkpoint(destination, body if wrapped else result.weights, **header)
    return result


def write_backbone(checkpoint: str | Path, file: str | Path) -> None:
    """Write the backbone of a checkpoint of mmum alone, with its settings in the header.

    Args:
        checkpoint (str | Path): The checkpoint.
        file (str | Path): The ``.safetensors`` file; replaced if it is there.

    Raises:
        InputError: If the checkpoint has no backbone, or the file cannot be written.
    """
    path = str(checkpoint)
    content = read_checkpoint(path)
    identified = identify(weights_of(content, path), path)
    settings = settings_of(content, identified, path)
    weights = {f'backbone.{key}': value for key, value in identified.backbone.items()}
    header = dict(source=path, names='mmum', settings=settings.header(), **_version())
    write_checkpoint(file, weights, **header)


def _version() -> dict[str, str]:
    from mmum import __version__  # set after all modules are imported

    return dict(mmum=__version__)


def _settings(content: Mapping[str, Any], result: Conversion, path: str) -> dict[str, str]:
    """Settings for the header of a file in our names, as far as they are known."""
    try:
        return dict(settings=settings_of(content, result.identified, path).header())
    except InputError:
        return {}
