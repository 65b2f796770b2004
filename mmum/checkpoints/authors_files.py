"""Use the authors' files instead of ours: for testing, resuming and loading whole models."""

from typing import Any

from mmum.checkpoints.authors_keys import authors_kind, from_authors, is_authors
from mmum.checkpoints.io import weights_of
from mmum.errors import InputError

KINDS = {
    'um_mae': "the authors' UM-MAE pre-training",
    'simmim': "the authors' SimMIM pre-training",
    'fine-tuned': "the authors' fine-tuned classifier",
}


def as_own(content: dict[str, Any]) -> dict[str, Any]:
    """Give a file of the authors the form of ours; leave every other file as it is.

    Args:
        content (dict): Content of a checkpoint.

    Returns:
        dict: ``state_dict`` with our names, and under ``meta`` which kind of file it was.

    Raises:
        InputError: If names are those of the authors, but unknown or missing ones are among them.
    """
    try:
        weights = weights_of(content)
    except InputError:
        return content  # the reader of the content says what is missing
    if not is_authors(weights):
        return content
    meta = dict(authors=authors_kind(weights), **decoder_meta(weights))
    return dict(state_dict=from_authors(weights), meta=meta)


def decoder_meta(weights: dict[str, Any]) -> dict[str, str]:
    """Positions that the decoder of an authors' file was trained with, for the meta data.

    Behind a ViT the authors' positions are aligned.
    """
    if authors_kind(weights) != 'um_mae' or 'cls_token' in weights:
        return {}
    return dict(visible_positions='official')
