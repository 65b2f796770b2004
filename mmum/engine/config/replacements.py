"""The one table of what runs instead of what a foreign config names.

mmum's own configs name the classes that run. A config that does not know mmum names mmengine's, and
every one of them is replaced by the class of mmum that adds fault tolerance to it, with one line in
the log.
"""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmum.errors import InputError

REPLACEMENTS = {
    'Runner': 'FaultTolerantRunner',
    'FlexibleRunner': 'FaultTolerantFlexibleRunner',
    'EpochBasedTrainLoop': 'ResumableEpochTrainLoop',
    'IterBasedTrainLoop': 'ResumableIterTrainLoop',
    'CheckpointHook': 'AtomicCheckpointHook',
    'LocalVisBackend': 'FaultTolerantLocalVisBackend',
    'FSDPStrategy': 'ResumableFSDPStrategy',
    'DeepSpeedStrategy': 'ZeROStrategy',
    'LogProcessor': 'ProgressLogProcessor',
    # annotation files are read in one way for training and testing
    'CocoDataset': 'CheckedCocoDataset',
    'CocoMetric': 'CheckedCocoMetric',
    # in the pipelines of data loaders; configs for testing name the stock class, which the
    # inferencers of mmdet and mmpretrain look for
    'LoadImageFromFile': 'LoadImageStrict',
}
# in configs of mmseg
SEGMENTATION_REPLACEMENTS = {
    'BaseSegDataset': 'CheckedSegDataset',
    'ADE20KDataset': 'CheckedADE20KDataset',
    'LoadAnnotations': 'LoadSegMapStrict',
}
# Where pipelines are: in data loaders, also those of k-NN.
PIPELINES = ('train_dataloader', 'val_dataloader', 'test_dataloader', 'test_cfg', 'custom_hooks')
# Key in default_hooks -> hook that every training has; None in a config leaves it out.
HOOKS = dict(
    checkpoint='AtomicCheckpointHook',
    checkpoint_match='CheckpointMatchHook',
    preemption='PreemptionHook',
    non_finite_grad='NonFiniteGradHook',
)


def type_name(cfg: Any) -> str:
    """Name of the class that a config dict names, as a string or as the class, without scope."""
    kind = cfg.get('type') if isinstance(cfg, dict) else None
    name = kind if isinstance(kind, str) else getattr(kind, '__name__', '')
    return name.rpartition('.')[2]


def replace_types(cfg: Config) -> None:
    """Replace the types of a config, in place, and log every replacement.

    Raises:
        InputError: If visualisation backends are no list of dicts.
    """
    segmentation = SEGMENTATION_REPLACEMENTS if cfg.get('default_scope') == 'mmseg' else {}
    table = {**REPLACEMENTS, **segmentation}
    if cfg.setdefault('runner_type', 'Runner') in table:
        _log(cfg.runner_type, table)
        cfg.runner_type = table[cfg.runner_type]
    logged: set[str] = set()
    for entry in _places(cfg, table):
        name = type_name(entry)
        # Pillow, which the strict loader asks, does not know images of many channels.
        many = entry.get('imdecode_backend') == 'tifffile' if name in table else False
        if name in table and not many:
            entry['type'] = table[name]
            if name not in logged:
                _log(name, table)
            logged.add(name)
    hooks = _ensure(cfg, 'default_hooks', {})
    own = {type_name(hook) for hook in cfg.get('custom_hooks') or []}
    for key, name in HOOKS.items():
        if name in own:  # the custom hook, with settings of its own, takes the place
            hooks.pop(key, None)
        elif key in hooks and hooks[key] is None:  # left out on purpose
            if key != 'checkpoint':  # which mmengine would add
                hooks.pop(key)
        elif name not in {type_name(hook) for hook in hooks.values()}:
            hooks[key] = dict(type=name)
            print_log(f'default_hooks.{key}: {name} is added', 'current')


def _ensure(cfg: Config, key: str, value: dict[str, Any]) -> Any:
    """The entry of a key, set first if it is not there (``setdefault`` would return a copy)."""
    if key not in cfg:
        cfg[key] = value
    return cfg[key]


def _log(name: str, table: dict[str, str]) -> None:
    print_log(f'{name} is replaced by {table[name]}', 'current')


def _transforms(value: Any) -> Iterator[Any]:
    """All transforms in the pipelines of a value, however data sets are wrapped."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ('pipeline', 'transforms'):
                yield from dicts(item)
            else:
                yield from _transforms(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _transforms(item)


def dicts(value: Any) -> Iterator[Any]:
    """All dictionaries in a value, at any depth."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from dicts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from dicts(item)


def _places(cfg: Config, table: dict[str, str]) -> Iterator[Any]:
    """The entries of a config in which types are replaced."""
    loop = cfg.get('train_cfg')
    if loop:
        if 'type' not in loop:  # mmengine's short form
            by_epoch = loop.pop('by_epoch', True)
            loop['type'] = 'EpochBasedTrainLoop' if by_epoch else 'IterBasedTrainLoop'
        yield loop
    yield cfg.get('strategy')
    yield _ensure(cfg, 'log_processor', dict(type='LogProcessor'))
    for key in PIPELINES:
        yield from _transforms(cfg.get(key))
        yield from (
            entry
            for entry in dicts(cfg.get(key))
            if type_name(entry).endswith('Dataset') and type_name(entry) in table
        )
    for key in ('val_evaluator', 'test_evaluator'):
        yield from dicts(cfg.get(key))
    hooks = _ensure(cfg, 'default_hooks', {})
    hooks.setdefault('checkpoint', dict(type='CheckpointHook', interval=1))  # mmengine's default
    yield from hooks.values()
    yield from cfg.get('custom_hooks') or []
    backends = (cfg.get('visualizer') or {}).get('vis_backends') or []
    if not isinstance(backends, (list, tuple)) or not all(isinstance(b, dict) for b in backends):
        raise InputError(
            f'visualizer.vis_backends={backends} should be a list of dicts, for '
            "example [dict(type='LocalVisBackend')]"
        )
    yield from backends
