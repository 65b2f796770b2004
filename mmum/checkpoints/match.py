"""Whether the weights of a checkpoint fit a model."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from mmum.checkpoints.authors_files import KINDS
from mmum.checkpoints.io import weights_of
from mmum.errors import InputError, preview


def check_names(
    model: nn.Module, checkpoint: Mapping[str, Any], source: str, complete: bool = False
) -> None:
    """Compare the names of weights with those of a model.

    mmengine loads what fits, and keeps random weights for the rest with a line in the log.

    Args:
        model (nn.Module): The model.
        checkpoint (dict): What :func:`~mmum.checkpoints.read_checkpoint` returns.
        source (str): The checkpoint in words, for messages.
        complete (bool): Whether all parameters must be there, for a model that will not learn any
            more. Defaults to False.

    Raises:
        InputError: If nothing matches, or if a checkpoint that must be complete lacks parameters.
    """
    weights, meta = weights_of(checkpoint), checkpoint.get('meta') or {}
    wanted = names_of(model)
    if not set(weights) & set(wanted):
        raise InputError(
            f'nothing in {source} matches the model of the config: it has '
            f'{preview(list(weights))}, wanted are {preview(list(wanted))}; give a checkpoint '
            'of this config'
        )
    missing = [name for name in wanted if name not in weights]
    if 'authors' in meta:  # the token of masking is of no use to a fine-tuned model
        missing = [name for name in missing if name != 'backbone.secondary_token']
    if complete and missing:
        raise InputError(
            f'{source}{kind_of(meta)} lacks {len(missing)} parameters of the model of the config '
            f'({preview(missing)}): {_advice(weights, missing)}'
        )


def check_sizes(model: nn.Module, checkpoint: Mapping[str, Any], source: str) -> None:
    """Compare the sizes of weights with those of a model.

    Args:
        model (nn.Module): The model, which FSDP must not shard.
        checkpoint (dict): What :func:`~mmum.checkpoints.read_checkpoint` returns.
        source (str): The checkpoint in words, for messages.

    Raises:
        InputError: If one differs.
    """
    weights = weights_of(checkpoint)
    for name, value in model.state_dict().items():
        # position embeddings are resized while they are loaded
        if name.endswith('pos_embed') or name not in weights or weights[name].shape == value.shape:
            continue
        hint = ' (num_classes=N sets the number of classes)' if 'head.' in name else ''
        raise InputError(
            f'{source} is of another size than the model of the config: {name} is '
            f'{tuple(weights[name].shape)} in it and {tuple(value.shape)} here; give a '
            f'checkpoint of this config{hint}'
        )


def names_of(model: nn.Module) -> list[str]:
    """Names of the parameters in checkpoints, where FSDP adds none of its own."""
    return [name.replace('_fsdp_wrapped_module.', '') for name, _ in model.named_parameters()]


def kind_of(meta: Mapping[str, Any]) -> str:
    """A file of the authors in words, after the name of the file."""
    return f' ({KINDS[meta["authors"]]})' if meta.get('authors') in KINDS else ''


def _advice(weights: Mapping[str, Any], missing: list[str]) -> str:
    """Advise on a checkpoint that lacks parameters."""
    if any(name.startswith('head.fc') for name in missing):
        return (
            'it has no classifier; fine-tune it first (tools/train.py with pretrained=FILE), or '
            'give a fine-tuned checkpoint'
        )
    classifies = any(name.startswith('head.') for name in weights)
    # with the heads of a detector its neck is no decoder
    pretrains = not any('head.' in name for name in missing)
    if any(name.startswith('neck.') for name in missing) and classifies and pretrains:
        return 'it is a fine-tuned classifier without decoder; give a checkpoint of pre-training'
    return 'give a checkpoint that was trained with this config'
