"""Weights in and out: safe reading, writing, and starting a backbone from a checkpoint."""
import argparse
import math
import pickle
import re
import zipfile
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.dist import barrier, is_main_process
from mmengine.logging import HistoryBuffer, print_log
from mmengine.registry import WEIGHT_INITIALIZERS
from mmpretrain.models import SwinTransformer

from mmum.errors import InputError, preview
from mmum.files import atomic_path
from mmum.models.embedding import dense_positions
from mmum.checkpoints.authors_keys import from_authors, is_authors
from mmum.checkpoints.swin_keys import BUFFERS, detect_dialect, from_dialect, resize_table, window_of

DEEPSPEED_WEIGHTS = 'mp_rank_00_model_states.pt'  # in the folder that is its checkpoint


def _allowed_classes():
    """The harmless classes that occur in mmengine's checkpoints and the authors', beyond tensors and containers."""
    reconstruct = np.array(0).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    dtypes = {type(np.dtype(name)) for name in ('f2', 'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1', 'u4', 'u8', '?')}
    return [argparse.Namespace, HistoryBuffer, np.ndarray, np.dtype, reconstruct, scalar, *dtypes,
            (_history_buffer_method, 'builtins.getattr'), (_history_buffer_method, '__builtin__.getattr')]


def _history_buffer_method(owner, name):
    """What a checkpoint gets for ``getattr``: mmengine saves the statistics of its history buffers by it, nothing else."""
    if owner is HistoryBuffer and name in ('min', 'max', 'current', 'mean'):
        return getattr(owner, name)
    raise pickle.UnpicklingError(f'GLOBAL getattr({owner!r}, {name!r})')


def read_checkpoint(path):
    """Reads a checkpoint without executing anything in it.

    Args:
        path (str | Path): A ``.pth`` file of mmengine, mmum or the authors, ``.safetensors``, or the folder that DeepSpeed's
            ZeRO-1 and 2 write; a URL is downloaded once, to torch's hub folder.

    Returns:
        dict: Its content; weights under ``state_dict`` or ``model``, or the weights themselves. Tensors are on the CPU and
        mapped from the file, so that reading is cheap until they are used.

    Raises:
        InputError: If the file is missing, is no checkpoint, is cut short, or would run code when loaded.
    """
    path = _downloaded(path) if str(path).startswith(('http://', 'https://')) else Path(path).expanduser()
    if (path / DEEPSPEED_WEIGHTS).is_file():
        content = read_checkpoint(path / DEEPSPEED_WEIGHTS)
        return dict(content, state_dict=content.get('module'))
    if not path.is_file():
        raise InputError(f'the checkpoint {path} does not exist: give the path of a .pth or .safetensors file')
    if path.suffix == '.safetensors':
        from safetensors import SafetensorError
        from safetensors.torch import load_file
        try:
            return load_file(path)
        except SafetensorError as error:
            raise InputError(f'{path} is not a whole safetensors file ({error}): copy or download it again') from error
    whole_archive = zipfile.is_zipfile(path)  # else torch's old format, or no checkpoint
    if not whole_archive and _starts_as_archive(path):
        raise InputError(f'the checkpoint {path} is cut short: copy it again, or give an earlier one')
    try:
        with torch.serialization.safe_globals(_allowed_classes()):
            return torch.load(path, map_location='cpu', weights_only=True, mmap=whole_archive)
    except pickle.UnpicklingError as error:
        blocked = re.search(r'(?:GLOBAL|global) (\S+)', str(error))
        if blocked:
            raise InputError(f'{path} was refused because loading it would call {blocked[1]}: a checkpoint should hold '
                             'tensors and plain containers only, get it from a source that saves those') from error
        raise InputError(f'{path} is not a checkpoint: give a .pth file of torch.save or .safetensors') from error
    except Exception as error:  # torch raises many kinds for a file that is damaged or something else
        raise InputError(f'{path} is not a checkpoint, or a damaged one ({type(error).__name__}): give a .pth file of '
                         'torch.save or .safetensors') from error


def _downloaded(url):
    """The file of a URL; the first rank downloads it, others where they do not see it then."""
    path = Path(torch.hub.get_dir(), 'checkpoints', Path(urlparse(url).path).name)
    for turn in (is_main_process(), True):
        try:
            if turn and not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                torch.hub.download_url_to_file(url, str(path))  # whole or not at all
        except OSError as error:
            raise InputError(f'{url} cannot be downloaded to {path} ({error}): download it yourself, and give the path of '
                             'the file') from error
        barrier()
    return path


def _starts_as_archive(path):
    with open(path, 'rb') as file:
        return file.read(2) == b'PK'


def weights_of(checkpoint, path='the checkpoint'):
    """The weights in a checkpoint's content: dict of name -> tensor, ``module.`` prefixes of DDP removed.

    Raises:
        InputError: If there are none.
    """
    for key in ('state_dict', 'model'):
        if isinstance(checkpoint, dict) and isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
    weights = {}
    if isinstance(checkpoint, dict):
        weights = {str(k).removeprefix('module.'): v for k, v in checkpoint.items() if isinstance(v, torch.Tensor)}
    if not weights:
        raise InputError(f'{path} holds no weights: expected a state_dict, or a dict with one under "state_dict" or "model"')
    return weights


# ------------------------------------------------------------------ starting a backbone

@WEIGHT_INITIALIZERS.register_module()
class BackboneCheckpoint:
    """Initialises a backbone from a checkpoint, for ``init_cfg=dict(type='BackboneCheckpoint', checkpoint=...)``.

    Takes pre-training checkpoints of mmum (weights under ``backbone.``), bare backbones, the authors' files, and for
    ``UMStockSwin`` public Swin weights in the names of mmpretrain, mmdet, timm and Microsoft, of any window. Prints what was
    loaded, resized, new and unused.

    Args:
        checkpoint (str | None): The file; None starts from scratch, and says so.

    Raises:
        InputError: If it is no checkpoint, nothing in it matches, or shapes do not fit.
    """

    def __init__(self, checkpoint):
        self.checkpoint = checkpoint

    def __call__(self, module):
        name = type(module).__name__
        if self.checkpoint is None:
            print_log(f'{name}: from scratch, no pre-trained checkpoint was given (pretrained=None)', 'current')
            return
        report = load_backbone(module, weights_of(read_checkpoint(self.checkpoint), self.checkpoint), self.checkpoint)
        print_log(f'{name}: from {self.checkpoint}\n{report}', 'current')


def load_backbone(module, weights, source='the checkpoint'):
    """Loads weights into a backbone and reports on them.

    Args:
        module (nn.Module): The backbone.
        weights (dict[str, Tensor]): Of a whole model (the backbone's under ``backbone.``), of a backbone, or the authors'.
        source (str): Named in errors. Defaults to 'the checkpoint'.

    Returns:
        str: What was loaded, resized, new (kept as initialised) and unused.
    """
    own, other = backbone_weights(weights, isinstance(module, SwinTransformer), source)
    # fixed by the sizes: never compared
    target = {key: value for key, value in module.state_dict().items() if not BUFFERS.search(key)}
    loaded = [key for key in target if key in own]
    if not loaded:
        raise InputError(f'nothing in {source} matches {type(module).__name__}: it has {preview(list(own))}, wanted are '
                         f'{preview(list(target))}; give a checkpoint of this kind of backbone')
    resized = _resize_positions(module, own, target)
    wrong = [key for key in loaded if own[key].shape != target[key].shape]
    if wrong:
        raise InputError(f'{source} is of another size than the {type(module).__name__} of the config: {wrong[0]} is '
                         f'{tuple(own[wrong[0]].shape)} in it and {tuple(target[wrong[0]].shape)} here'
                         f'{f" (and {len(wrong) - 1} more)" if wrong[1:] else ""}; set arch (and pos_mlp_dims) to those '
                         'it was trained with')
    # Output norms are new, and a position embedding may be: anything else says that it is another backbone.
    lacking = [key for key in target if key not in own and not re.match(r'norm\d|pos_embed|secondary_token', key)]
    left = [key for key in own if key not in target and key.startswith(('stages.', 'blocks.'))]
    if lacking or left:
        raise InputError(f'{source} is of another backbone than the {type(module).__name__} of the config: '
                         + '; '.join(f'{what} {preview(keys)}' for what, keys in (('it lacks', lacking), ('it also has', left))
                                     if keys) + '; set type and arch (depths) to those it was trained with')
    module.load_state_dict({key: own[key] for key in loaded}, strict=False)
    return report_text(loaded=loaded, resized=resized, new=[key for key in target if key not in own],
                       unused=[key for key in own if key not in target] + other)


def report_text(**lists):
    """A load report: a line for each kind, with its number and the first names."""
    return '\n'.join(f'  {kind}: {len(keys)}{f" ({preview(keys)})" if keys else ""}' for kind, keys in lists.items())


def backbone_weights(weights, stock_swin=False, source='the checkpoint'):
    """The backbone's weights in a checkpoint, without prefix, and the names of the others.

    Args:
        weights (dict[str, Tensor]): The checkpoint's.
        stock_swin (bool): They are for a stock Swin: understand all its dialects. Defaults to False.
        source (str): Named in errors. Defaults to 'the checkpoint'.
    """
    if is_authors(weights):
        weights = from_authors(weights, fine_tuned='decoder_embed.weight' not in weights)
    if stock_swin and detect_dialect(weights):
        own, report = from_dialect(weights, detect_dialect(weights), source)
        return own, report['dropped']
    if not any(key.startswith('backbone.') for key in weights):
        return dict(weights), []
    own = {key.removeprefix('backbone.'): value for key, value in weights.items() if key.startswith('backbone.')}
    return own, [key for key in weights if not key.startswith('backbone.')]


def _resize_positions(module, own, target):
    """Fits position embeddings and bias tables to the module's: the names of those that were."""
    resized = []
    for key in own.keys() & target.keys():
        if len(own[key]) == len(target[key]):
            continue
        if key.endswith('relative_position_bias_table'):
            own[key] = resize_table(own[key], window_of(target[key]))
        elif key == 'pos_embed' and math.isqrt(len(own[key]))**2 == len(own[key]):  # bicubically, of a square grid
            side = math.isqrt(len(own[key]))
            own[key] = dense_positions(own[key].float(), (side, side), module.grid).flatten(0, 1)
        else:
            continue
        resized.append(key)
    return sorted(resized)


def write_checkpoint(path, weights, **meta):
    """Writes weights, whole or not at all: under another name first.

    Args:
        path (str | Path): ``.safetensors`` for the bare weights, else a ``.pth`` file.
        weights (dict): The file's content, for safetensors a dictionary of tensors.
        **meta: Strings, kept in the header of a safetensors file.
    """
    try:
        with atomic_path(path) as partial:
            if partial.name.endswith('.safetensors.partial'):
                from safetensors.torch import save_file
                save_file({key: value.contiguous() for key, value in weights.items()}, partial,
                          metadata=dict(format='pt', **meta))
            else:
                with open(partial, 'wb') as file:  # by its name torch would not say why
                    torch.save(weights, file)
    except OSError as error:
        raise InputError(f'{path} cannot be written ({error.strerror or error}): give a place with room that you may write to'
                         ) from error
