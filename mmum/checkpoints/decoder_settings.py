"""Settings of a decoder that leave no trace in its weights."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from mmum.checkpoints.settings import parse_config
from mmum.models import UMCrossDecoder, UMDecoder

# with another value the same weights predict something else
UNTRACED = dict(visible_positions=str, distance_bias=float, num_heads=int)
DECODERS = dict(UMDecoder=UMDecoder, UMCrossDecoder=UMCrossDecoder)


def decoder_settings(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Read what a decoder was trained with, as far as a checkpoint says.

    Files of the authors and converted ones say it by themselves, all others by the config that
    mmengine saves.

    Args:
        meta (Mapping): What a checkpoint has under ``meta``.

    Returns:
        dict: Values of those of ``UNTRACED`` that are known.
    """
    said = {name: kind(meta[name]) for name, kind in UNTRACED.items() if meta.get(name)}
    neck = parse_config(str(meta.get('cfg') or '')).get('model', {}).get('neck')
    if isinstance(neck, Mapping):  # else there is none, or it is the list of necks of a detector
        decoder = DECODERS.get(str(neck.get('type')).rpartition('.')[2])
        arguments = signature(decoder).parameters if decoder else {}
        defaults = {name: arguments[name].default for name in UNTRACED if name in arguments}
        given = {name: neck[name] for name in defaults if neck.get(name) is not None}
        said = {**defaults, **given, **said}
    return said
