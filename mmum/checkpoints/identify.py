"""Identify the source of a checkpoint, for loading and converting alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from mmum.checkpoints.authors_keys import authors_kind, from_authors, is_authors
from mmum.checkpoints.swin_keys import DIALECTS, detect_dialect, from_dialect
from mmum.checkpoints.transformers_keys import is_transformers, to_microsoft
from mmum.errors import InputError, preview

# A parameter that only this backbone has.
MARKS = dict(
    UMSwin='stages.0.blocks.0.attn.pos_mlp.0.weight',
    UMPVT='stages.0.blocks.0.attn.kv.weight',
    UMViT='blocks.0.attn.qkv.weight',
)


@dataclass
class Identified:
    """The weights of a file in our names.

    Attributes:
        source (str): Whose names the file has: a key of ``DIALECTS``, or 'authors'.
        kind (str | None): Backbone of the weights: 'UMSwin', 'UMPVT', 'UMViT', 'stock Swin', or
            None if it is unknown.
        backbone (dict[str, Tensor]): Weights of the backbone, without prefix.
        others (dict[str, Tensor]): Weights of decoder or head, with the names of a whole model.
        content (str): 'um_mae', 'simmim' or 'fine-tuned' for files of the authors, otherwise ''.
        renamed (list[str]): Foreign names that differ from ours.
        dropped (list[str]): Foreign names that have no counterpart.
    """

    source: str
    kind: str | None
    backbone: dict[str, Tensor]
    others: dict[str, Tensor] = field(default_factory=dict)
    content: str = ''
    renamed: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


def identify(
    weights: Mapping[str, Tensor], path: str = 'the checkpoint', source: str | None = None
) -> Identified:
    """Find out whose names the weights of a file have, and give them ours.

    Args:
        weights (dict[str, Tensor]): Weights of the file.
        path (str): Named in errors. Defaults to 'the checkpoint'.
        source (str, optional): Key of ``DIALECTS`` or 'authors', to insist on. Defaults to None:
            by the names.

    Returns:
        Identified: The weights in our names.

    Raises:
        InputError: If names or sizes are not those of the source.
    """
    if source == 'authors' or (source is None and is_authors(weights)):
        own = from_authors(weights)
        result = _split('authors', own)
        result.content = authors_kind(weights)
        result.renamed = list(own)
        return result
    if is_transformers(weights):
        weights = to_microsoft(weights)
    dialect = detect_dialect(weights)
    if source not in (None, 'mmum', *DIALECTS):
        raise InputError(
            f"'{source}' names no code base: choose one of {', '.join(DIALECTS)}, authors"
        )
    if dialect or source not in (None, 'mmum'):
        name = source or dialect or 'mmum'
        backbone, report = from_dialect(weights, name, path)
        return Identified(
            name, 'stock Swin', backbone, renamed=report['renamed'], dropped=report['dropped']
        )
    return _split('mmum', weights)


def _split(source: str, weights: Mapping[str, Tensor]) -> Identified:
    """Split the weights of a whole model, or of a bare backbone, in our names."""
    prefix = 'backbone.' if any(key.startswith('backbone.') for key in weights) else ''
    backbone = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    others = {k: v for k, v in weights.items() if not k.startswith(prefix)}
    kind = next((kind for kind, mark in MARKS.items() if mark in backbone), None)
    return Identified(source, kind, backbone, others)


def check_known(identified: Identified, path: str) -> None:
    """Raise InputError if the backbone of a file is unknown."""
    if identified.kind is None:
        raise InputError(
            f'{path} is of no backbone that is known here ({preview(list(identified.backbone))}): '
            'give a checkpoint of mmum, mmpretrain, mmdet, timm, transformers, Microsoft or the '
            'authors, of Swin, or of PVT and ViT from mmum and the authors'
        )
