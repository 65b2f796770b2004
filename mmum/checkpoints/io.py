"""Read checkpoints without running code in them, and write them atomically."""

import argparse
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmum.checkpoints.download import download, is_url
from mmum.errors import InputError, preview
from mmum.files import atomic_path

# In the folder that is a checkpoint of DeepSpeed's ZeRO-1 and ZeRO-2.
DEEPSPEED_WEIGHTS = 'mp_rank_00_model_states.pt'

# Keys under which files keep weights; the first two come first where there are several.
PLACES = ('state_dict', 'model', 'teacher', 'student', 'model_ema', 'state_dict_ema', 'ema')
HALVES = (torch.float16, torch.bfloat16)
# What wrappers put before all names.
WRAPPINGS = ('module.', 'model.')


def _allowed_classes() -> list[Any]:
    """Harmless classes in checkpoints, beside tensors and containers."""
    reconstruct: Any = np.array(0).__reduce__()[0]
    scalar: Any = np.float64(0).__reduce__()[0]
    # numpy 1 and 2 have these two in modules of different names, whichever wrote the file
    modules = ('numpy.core.multiarray', 'numpy._core.multiarray')
    names = ('f2', 'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1', 'u4', 'u8', '?')
    dtypes: set[Any] = {type(np.dtype(name)) for name in names}
    return [
        argparse.Namespace,
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        *((reconstruct, f'{module}._reconstruct') for module in modules),
        *((scalar, f'{module}.scalar') for module in modules),
        *dtypes,
        # the settings in Microsoft's training files, which nobody reads
        (OrderedDict, 'yacs.config.CfgNode'),
        (_history_buffer_method, 'builtins.getattr'),
        (_history_buffer_method, '__builtin__.getattr'),
    ]


def _history_buffer_method(owner: Any, name: str) -> Any:
    """Stand in for ``getattr``, by which mmengine saves the statistics of its history buffers."""
    if owner is HistoryBuffer and name in ('min', 'max', 'current', 'mean'):
        return getattr(owner, name)
    raise pickle.UnpicklingError(f'GLOBAL getattr({owner!r}, {name!r})')


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint without executing anything in it.

    Args:
        path (str | Path): A ``.pth`` file of mmengine, mmum or the authors, ``.safetensors``, or
            the folder that DeepSpeed's ZeRO-1 and ZeRO-2 write, or a URL, which is downloaded once.

    Returns:
        dict: Its content: weights under ``state_dict`` or ``model``, or the weights themselves; of
        a safetensors file also its header, under ``meta``.
        Tensors are on the CPU and mapped from the file, so reading is cheap until they are used.

    Raises:
        InputError: If the file is missing, no checkpoint or truncated, or if loading it would run
            code.
    """
    if is_url(path):
        path = download(str(path))
    path = Path(path).expanduser()
    if (path / DEEPSPEED_WEIGHTS).is_file():
        content = read_checkpoint(path / DEEPSPEED_WEIGHTS)
        return dict(content, state_dict=content.get('module'))
    if not path.is_file():
        raise InputError(
            f'the checkpoint {path} does not exist: give the path of a .pth or .safetensors file'
        )
    if path.suffix == '.safetensors':
        try:
            weights = load_file(path)
            with safe_open(path, 'pt') as file:
                meta = file.metadata() or {}
            return dict(state_dict=weights, meta=meta) if set(meta) - {'format'} else weights
        except SafetensorError as error:
            raise InputError(
                f'{path} is truncated or no safetensors file ({error}): copy or download it again'
            ) from error
    is_archive = zipfile.is_zipfile(path)  # otherwise torch's old format, or no checkpoint
    if not is_archive and _starts_as_archive(path):
        raise InputError(
            f'the checkpoint {path} is truncated: copy it again, or give an earlier one'
        )
    try:
        with torch.serialization.safe_globals(_allowed_classes()):
            return torch.load(path, map_location='cpu', weights_only=True, mmap=is_archive)
    except pickle.UnpicklingError as error:
        blocked = re.search(r'(?:GLOBAL|global) (\S+)', str(error))
        if blocked:
            raise InputError(
                f'{path} was refused because loading it would call {blocked[1]}: a checkpoint '
                'should hold tensors and plain containers only, get it from a source that saves '
                'those'
            ) from error
        raise InputError(
            f'{path} is not a checkpoint: give a .pth file of torch.save or .safetensors'
        ) from error
    except Exception as error:  # torch raises many kinds for a file that is damaged or else
        raise InputError(
            f'{path} is not a checkpoint, or a damaged one ({type(error).__name__}): '
            'give a .pth file of torch.save or .safetensors'
        ) from error


def _starts_as_archive(path: Path) -> bool:
    with open(path, 'rb') as file:
        return file.read(2) == b'PK'


def weights_of(
    checkpoint: Any, path: str | Path = 'the checkpoint', key: str | None = None
) -> dict[str, Tensor]:
    """Extract the weights from the content of a checkpoint.

    Args:
        checkpoint (dict): Content of :func:`read_checkpoint`.
        path (str | Path): Named in errors. Defaults to 'the checkpoint'.
        key (str, optional): Where the weights are, for example 'teacher' in a file of DINO.
            Defaults to None: found, where there is one place.

    Returns:
        dict[str, Tensor]: Name -> tensor, without what DDP (``module.``), ``torch.compile``
        (``_orig_mod.``) and Lightning (``model.``) put before the names; float32 for float16 and
        bfloat16.

    Raises:
        InputError: If there are no weights, or several sets of them.
    """
    if isinstance(checkpoint, dict) and key is not None:
        if not isinstance(checkpoint.get(key), dict):
            raise InputError(
                f"{path} has no weights under '{key}': it has {preview(list(checkpoint))}"
            )
        checkpoint = checkpoint[key]
    while isinstance(checkpoint, dict):
        places = [k for k in PLACES if isinstance(checkpoint.get(k), dict)]
        first = next((k for k in PLACES[:2] if k in places), None)
        if first is None and len(places) > 1:
            raise InputError(
                f'{path} holds weights under {" and ".join(places)}: choose one, with --key in '
                'mmum convert or key=... of BackboneCheckpoint and mmum.load_backbone'
            )
        if not places:
            break
        checkpoint = checkpoint[first or places[0]]
    weights = {}
    if isinstance(checkpoint, dict):
        weights = {
            str(k).replace('_orig_mod.', ''): v
            for k, v in checkpoint.items()
            if isinstance(v, Tensor)
        }
    if not weights:
        raise InputError(
            f'{path} holds no weights: expected a state_dict, or a dict with one '
            'under "state_dict" or "model"'
        )
    while prefix := next((p for p in WRAPPINGS if all(k.startswith(p) for k in weights)), None):
        weights = {k.removeprefix(prefix): v for k, v in weights.items()}
    return {
        k.removeprefix('module.'): v.float() if v.dtype in HALVES else v for k, v in weights.items()
    }


def write_checkpoint(path: str | Path, weights: Mapping[str, Any], **meta: str) -> None:
    """Write a checkpoint atomically.

    Args:
        path (str | Path): ``.safetensors`` for bare weights, otherwise a ``.pth`` file.
        weights (dict): Content of the file; for safetensors a dictionary of tensors.
        **meta: Strings for the header of a safetensors file.

    Raises:
        InputError: If the file cannot be written.
    """
    try:
        with atomic_path(path) as partial:
            if Path(path).suffix == '.safetensors':
                tensors = {key: value.contiguous() for key, value in weights.items()}
                partial.touch()
                mode = partial.stat().st_mode
                save_file(tensors, partial, metadata=dict(format='pt', **meta))
                partial.chmod(mode)  # safetensors lets the owner alone read it
            else:
                with open(partial, 'wb') as file:  # given a name, torch would not say what failed
                    torch.save(weights, file)
    except OSError as error:
        raise InputError(
            f'{path} cannot be written ({error.strerror or error}): give a place with '
            'room that you may write to'
        ) from error
