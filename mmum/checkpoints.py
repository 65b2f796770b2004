"""Weights in and out: safe reading, the authors' names, and starting a backbone from a pre-training checkpoint."""
import argparse
import math
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, print_log
from mmengine.registry import WEIGHT_INITIALIZERS

from mmum.errors import InputError
from mmum.models.positions import dense_positions


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
        path (str | Path): A ``.pth`` file of mmengine, mmum or the authors, or ``.safetensors``.

    Returns:
        dict: Its content; weights under ``state_dict`` or ``model``, or the weights themselves. Tensors are on the CPU and
        mapped from the file, so that reading is cheap until they are used.

    Raises:
        InputError: If the file is missing, is no checkpoint, is cut short, or would run code when loaded.
    """
    path = Path(path).expanduser()
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


# ------------------------------------------------------------------ the authors' names

# Authors' name -> ours. Blocks count through in theirs, and within their stage in ours; the merge before a stage belongs to
# its first block in theirs.


def _pairs(names):
    """{theirs: ours} of modules -> the same of their weights and biases."""
    names = names if isinstance(names, dict) else {name: name for name in names}
    return {f'{theirs}.{kind}': f'{ours}.{kind}' for theirs, ours in names.items() for kind in ('weight', 'bias')}


OFFICIAL_TRANSFORMER_BLOCK = _pairs(('norm1', 'attn.qkv', 'attn.proj', 'norm2', 'mlp.fc1', 'mlp.fc2'))
OFFICIAL_EMBEDDING = {'vis_mask_token': 'secondary_token', **_pairs({'patch_embed.proj': 'patch_embed'})}
OFFICIAL_ENCODERS = {
    'Swin': dict(
        embedding={**OFFICIAL_EMBEDDING, **_pairs({'patch_embed.norm': 'patch_norm'})},
        merge=_pairs(('downsample.norm', 'downsample.proj')),
        block={**OFFICIAL_TRANSFORMER_BLOCK, **_pairs({f'attn.posmlp.{i}': f'attn.pos_mlp.{i}' for i in (0, 2)})}),
    'PVT': dict(
        embedding=OFFICIAL_EMBEDDING,
        merge=_pairs(('downsample.proj', )),
        block=_pairs(('norm1', 'attn.q', 'attn.kv', 'attn.sr', 'attn.norm', 'attn.proj', 'norm2', 'mlp.fc1', 'mlp.fc2'))),
    'ViT': dict(
        embedding={**OFFICIAL_EMBEDDING, 'cls_token': 'cls_token'}, merge={}, block=OFFICIAL_TRANSFORMER_BLOCK),
}
OFFICIAL_DECODER = {
    'mask_token': 'mask_token', **_pairs({f'decoder_{name}': name for name in ('embed', 'norm', 'pred')})}
# fixed sin-cos positions, which mmum computes
OFFICIAL_FIXED = {'decoder_pos_embed', 'pos_embed'}


def _numbers(pattern, names):
    """The block numbers that a pattern finds in names, sorted."""
    return sorted({int(match[1]) for match in map(re.compile(pattern).match, names) if match})


def _official_table(names):
    """The whole table of names for a model with these blocks: authors' name -> ours."""
    family = 'ViT' if 'cls_token' in names else 'PVT' if any('.attn.kv.' in name for name in names) else 'Swin'
    encoder = OFFICIAL_ENCODERS[family]
    merges = _numbers(r'blocks\.(\d+)\.downsample\.', names)
    starts = [0, *merges]
    table = {theirs: f'backbone.{ours}' for theirs, ours in encoder['embedding'].items()}
    blocks = 1 + max(_numbers(r'blocks\.(\d+)\.', names), default=-1)
    last = blocks - 1 if family == 'ViT' else len(merges)
    table.update((f'norm.{kind}', f'backbone.norm{last}.{kind}') for kind in ('weight', 'bias'))
    for i in range(blocks):
        stage = sum(start <= i for start in starts) - 1
        ours = 'backbone' if family == 'ViT' else f'backbone.stages.{stage}'
        table.update((f'blocks.{i}.{k}', f'{ours}.blocks.{i - starts[stage]}.{v}') for k, v in encoder['block'].items())
        if i in merges:
            table.update((f'blocks.{i}.{k}', f'{ours}.{v}') for k, v in encoder['merge'].items())
    table.update((theirs, f'neck.{ours}') for theirs, ours in OFFICIAL_DECODER.items())
    for i in range(1 + max(_numbers(r'decoder_blocks\.(\d+)\.', names), default=-1)):
        table.update((f'decoder_blocks.{i}.{k}', f'neck.blocks.{i}.{v}') for k, v in OFFICIAL_TRANSFORMER_BLOCK.items())
    return table


def from_official(state_dict, fine_tuned=False):
    """Maps the authors' names to those of :class:`UMMAE`.

    A dictionary of gradients with the same names maps the same way.

    Args:
        state_dict (dict[str, Tensor]): The authors' parameters.
        fine_tuned (bool): They are of a fine-tuned model: encoder names alone (``backbone.*``) are mapped, with the learned
            position embedding of a PVT; there is no decoder and no final norm, and ``fc_norm`` and ``head`` are left out.
            Defaults to False: of pre-training.

    Returns:
        dict[str, Tensor]: Ours, with names for ``UMMAE.load_state_dict(strict=True)``.

    Raises:
        InputError: Naming the first keys that are unknown or missing.
    """
    table = _official_table(state_dict)
    ignored = OFFICIAL_FIXED
    if fine_tuned:
        optional = {'vis_mask_token', 'norm.weight', 'norm.bias', 'pos_embed'}
        table = {theirs: ours for theirs, ours in {**table, 'pos_embed': 'backbone.pos_embed'}.items()
                 if ours.startswith('backbone.') and (theirs in state_dict or theirs not in optional)}
        ignored = {name for name in state_dict if name.startswith(('fc_norm.', 'head.'))}
    unknown = [name for name in state_dict if name not in table and name not in ignored]
    missing = [name for name in table if name not in state_dict]
    if unknown or missing:
        faults = [f'{kind} {", ".join(sorted(names)[:5])}{" ..." if len(names) > 5 else ""}'
                  for kind, names in (('unknown', unknown), ('missing', missing)) if names]
        kind = 'fine-tuned' if fine_tuned else 'pre-training'
        raise InputError(f"these are not the weights of the authors' {kind} model: {'; '.join(faults)} (expected all names "
                         f"of their UM-MAE Swin, PVT or ViT{', encoder and decoder' if not fine_tuned else ''})")
    return {ours: _official_shape(theirs, state_dict[theirs]) for theirs, ours in table.items()}


def _official_shape(name, tensor):
    """The authors keep tokens as (1, 1, C), and position MLPs and PVT's reduction as 1x1 convolutions."""
    if name.endswith(('mask_token', 'cls_token')):
        return tensor.flatten()
    if name == 'pos_embed':
        return tensor[0]
    return tensor.flatten(1) if ('posmlp' in name or '.attn.sr.' in name) and tensor.dim() == 4 else tensor


# ------------------------------------------------------------------ starting a backbone

@WEIGHT_INITIALIZERS.register_module()
class BackboneCheckpoint:
    """Initialises a backbone from a checkpoint, for ``init_cfg=dict(type='BackboneCheckpoint', checkpoint=...)``.

    Takes pre-training checkpoints of mmum (weights under ``backbone.``), bare backbones, and the authors' files. Prints
    what was loaded, resized, new and unused.

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
    if {'patch_embed.proj.weight', 'blocks.0.norm1.weight'} <= set(weights):  # the authors'
        weights = from_official(weights, fine_tuned='decoder_embed.weight' not in weights)
    if any(key.startswith('backbone.') for key in weights):
        own = {key.removeprefix('backbone.'): value for key, value in weights.items() if key.startswith('backbone.')}
        other = [key for key in weights if not key.startswith('backbone.')]
    else:
        own, other = dict(weights), []
    target = module.state_dict()
    loaded = [key for key in target if key in own]
    if not loaded:
        raise InputError(f'nothing in {source} matches {type(module).__name__}: it has {some(list(own))}, wanted are '
                         f'{some(list(target))}; give a checkpoint of this kind of backbone')
    resized = _resize_positions(module, own, target)
    wrong = [key for key in loaded if own[key].shape != target[key].shape]
    if wrong:
        raise InputError(f'{source} is of another size than the {type(module).__name__} of the config: {wrong[0]} is '
                         f'{tuple(own[wrong[0]].shape)} in it and {tuple(target[wrong[0]].shape)} here'
                         f'{f" (and {len(wrong) - 1} more)" if wrong[1:] else ""}; set arch and pos_mlp_dims to those it '
                         'was trained with')
    # Output norms are new, and a position embedding may be: anything else says that it is another backbone.
    lacking = [key for key in target if key not in own and not re.match(r'norm\d|pos_embed|secondary_token', key)]
    left = [key for key in own if key not in target and key.startswith(('stages.', 'blocks.'))]
    if lacking or left:
        raise InputError(f'{source} is of another backbone than the {type(module).__name__} of the config: '
                         + '; '.join(f'{what} {some(keys)}' for what, keys in (('it lacks', lacking), ('it also has', left))
                                     if keys) + '; set type and arch (depths) to those it was trained with')
    module.load_state_dict({key: own[key] for key in loaded}, strict=False)
    lists = dict(loaded=loaded, resized=resized, new=[key for key in target if key not in own],
                 unused=[key for key in own if key not in target] + other)
    return '\n'.join(f'  {kind}: {len(keys)}{f" ({some(keys)})" if keys else ""}' for kind, keys in lists.items())


def _resize_positions(module, own, target):
    """Fits a learned position embedding of a square grid to that of the module, bicubically; the names of what was."""
    have, want = own.get('pos_embed'), target.get('pos_embed')
    if have is None or want is None or len(have) == len(want) or math.isqrt(len(have))**2 != len(have):
        return []
    side = math.isqrt(len(have))
    own['pos_embed'] = dense_positions(have.float(), (side, side), module.grid).flatten(0, 1)
    return ['pos_embed']


def some(keys, number=4):
    """The first few of a list, for a sentence."""
    return ', '.join(keys[:number]) + (f' and {len(keys) - number} more' if len(keys) > number else '')
