"""Convert the weights of a backbone from one code base to another."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from mmum.checkpoints.authors_files import decoder_meta
from mmum.checkpoints.identify import Identified, check_known, identify
from mmum.checkpoints.swin_keys import DIALECTS, to_dialect
from mmum.checkpoints.swin_sizes import TABLE, arch_of, from_um_swin, resize_table, window_of
from mmum.errors import InputError, preview


@dataclass
class Conversion:
    """A converted backbone and a report on its weights.

    Attributes:
        weights (dict[str, Tensor]): Weights under the names of the target, with its prefix.
        own (dict[str, Tensor]): The same in our names, without prefix.
        identified (Identified): The source.
        report (dict[str, list[str]]): Lists of names: loaded, renamed, resized, dropped, new.
        partial (bool): Whether the weights are a UMSwin's without its merges.
        meta (dict[str, str]): What the file has to say of itself, besides its weights.
        notes (list[str]): Sentences for the user.
    """

    weights: dict[str, Tensor]
    own: dict[str, Tensor]
    identified: Identified
    report: dict[str, list[str]]
    partial: bool = False
    meta: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def source(self) -> str:
        """Names of the source: a key of ``DIALECTS``, or 'authors'."""
        return self.identified.source


def convert(
    weights: Mapping[str, Tensor],
    target: str,
    source: str | None = None,
    window_size: int | None = None,
    whole: bool = False,
    partial: bool = False,
    path: str = 'the checkpoint',
) -> Conversion:
    """Convert the backbone of a checkpoint.

    Args:
        weights (dict[str, Tensor]): Weights of the checkpoint.
        target (str): Key of ``DIALECTS``.
        source (str, optional): Key of ``DIALECTS``, or 'authors'. Defaults to None: by the names.
        window_size (int, optional): Window of the position bias tables to write. Defaults to None:
            that of the source.
        whole (bool): Whether to keep decoder or head too, from mmum or the authors to mmum.
            Defaults to False.
        partial (bool): Whether to write what is exact of a UMSwin for a stock Swin: all but the
            merges. Defaults to False.
        path (str): Path of the source, named in errors.

    Returns:
        Conversion: The result.

    Raises:
        InputError: If names or sizes do not fit, or if the target cannot hold the weights.
    """
    if window_size is not None and not 1 <= window_size <= 256:
        raise InputError(f'--window-size {window_size} should be from 1 to 256')
    identified = identify(weights, path, source)
    check_known(identified, path)
    if identified.kind == 'stock Swin':
        if whole:
            raise InputError(
                '--whole is for checkpoints of UMSwin, UMPVT, UMViT and the authors: of a stock '
                'Swin the backbone alone is converted, leave --whole out'
            )
        return _convert_stock(weights, identified, target, window_size, path)
    if target == 'mmum':
        result = _keep(identified, window_size, whole)
        if whole and identified.source == 'authors':
            result.meta = decoder_meta(dict(weights))
        return result
    return _convert_um_swin(identified, target, window_size, partial, path)


def _convert_stock(
    weights: Mapping[str, Tensor],
    identified: Identified,
    target: str,
    window_size: int | None,
    path: str,
) -> Conversion:
    """Rename a stock Swin, and fit its tables to a window."""
    before = identified.backbone
    old = arch_of(before)['window_size']
    own, resized, notes = dict(before), [], []
    for key, value in before.items():
        if key.endswith(TABLE) and window_size is not None and window_of(value) != window_size:
            own[key] = resize_table(value, window_size)
            resized.append(key)
    if resized:
        kept = (
            'the offsets that remain keep their entries'
            if window_size < old
            else 'the old offsets keep their entries, new ones take that of the nearest old one'
        )
        notes.append(f'window {old} -> {window_size}: {kept}')
    result, left = to_dialect(own, target)
    if 'absolute_pos_embed' in left:
        raise InputError(
            f'{path} has absolute position embeddings, which the Swin of {target} '
            'lacks: choose another --to'
        )
    if target == 'mmdet':
        notes.append(
            "in mmdet's Swin configs: model.backbone.convert_weights=False and "
            'init_cfg.checkpoint=this file'
        )
    names = {key.removeprefix(DIALECTS[target].prefix) for key in result}
    taken = {key.removeprefix(DIALECTS[identified.source].prefix) for key in weights}
    report = dict(
        loaded=list(result),
        renamed=sorted(names - taken),
        resized=resized,
        dropped=identified.dropped + left,
        new=[],
    )
    return Conversion(result, own, identified, report, notes=notes)


def _keep(identified: Identified, window_size: int | None, whole: bool) -> Conversion:
    """Write a UM-MAE backbone in our names, with the rest of its model if it is wanted."""
    if window_size is not None:
        raise InputError(
            f'--window-size {window_size} changes position bias tables, and {identified.kind} has '
            'none: its weights fit every window, set window_size in the config'
        )
    result = {f'backbone.{key}': value for key, value in identified.backbone.items()}
    if whole:
        result.update(identified.others)
    dropped = [] if whole else list(identified.others)
    report = dict(
        loaded=list(result),
        renamed=identified.renamed,
        resized=[],
        dropped=dropped + identified.dropped,
        new=[],
    )
    return Conversion(result, identified.backbone, identified, report)


def _convert_um_swin(
    identified: Identified, target: str, window_size: int | None, partial: bool, path: str
) -> Conversion:
    """Write a UMSwin for a stock Swin, without its merges."""
    kind = identified.kind
    if kind != 'UMSwin':
        raise InputError(
            f'{path} holds a {kind}, which has no counterpart in {target}: use it by '
            f'type={kind} there, --to mmum'
        )
    window = window_size or 16
    own, left = from_um_swin(identified.backbone, window)
    merges = len(left) // 4
    if not partial:
        raise InputError(
            f'{path} holds a UMSwin, and its {merges} merges ({preview(left)}) have no exact '
            'counterpart in a stock Swin: use it by type=UMSwin (--to mmum), pre-train UMStockSwin '
            'instead, or give --partial for all but the merges, which then start from scratch'
        )
    kept = {k: v for k, v in own.items() if k != 'secondary_token' or target == 'mmum'}
    result, _ = to_dialect(kept, target)
    new = [
        f'stages.{i}.downsample.{name}'
        for i in range(merges)
        for name in ('norm.weight', 'norm.bias', 'reduction.weight')
    ]
    report = dict(
        loaded=list(result),
        renamed=list(result),
        resized=[],
        dropped=[*identified.dropped, *identified.others, *left],
        new=new,
    )
    notes = [
        f'the tables of window {window} are the position MLPs at its offsets; the merges are '
        'left out'
    ]
    return Conversion(result, own, identified, report, partial=True, notes=notes)
