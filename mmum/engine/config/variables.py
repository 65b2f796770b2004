"""Override variables at the top of a config file.

mmengine evaluates variables such as ``data_root`` while it reads a file. Overriding one afterwards
changes the variable and nothing that was made of it. The functions here carry a new value to
everything that the old one had reached, or say that it reaches nothing:

- a path (``data_root``): whole leading path components of every other string;
- ``num_classes``: every entry of that name with the old value;
- ``classes``: ``metainfo`` of all data sets of a detector or segmentation model, and
  ``num_classes`` of its heads;
- ``pretrained``: the ``BackboneCheckpoint`` of the backbone.
"""

import difflib
import os.path as osp
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config, ConfigDict

from mmum.engine.config.preprocessor import check_options
from mmum.engine.config.replacements import dicts
from mmum.errors import InputError

# Top-level keys that a runner reads itself; any other one is a variable of the file.
RUNNER_KEYS = (
    'model',
    'work_dir',
    'train_dataloader',
    'val_dataloader',
    'test_dataloader',
    'train_cfg',
    'val_cfg',
    'test_cfg',
    'auto_scale_lr',
    'optim_wrapper',
    'param_scheduler',
    'val_evaluator',
    'test_evaluator',
    'default_hooks',
    'custom_hooks',
    'data_preprocessor',
    'load_from',
    'resume',
    'launcher',
    'env_cfg',
    'log_processor',
    'log_level',
    'visualizer',
    'default_scope',
    'randomness',
    'experiment_name',
    'runner_type',
    'strategy',
    'compile',
    'custom_imports',
    'model_wrapper_cfg',
    'find_unused_parameters',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
    'verbose',
)


def merge_options(cfg: Config, options: Mapping[str, Any], path: str) -> None:
    """Apply options to a config in place, top-level variables included.

    Args:
        cfg (Config): The config.
        options (dict): Values by dotted keys.
        path (str): The config file, named in errors.

    Raises:
        InputError: If an option does not fit the config or changes nothing.
    """
    given = ' '.join(f'{key}={value}' for key, value in options.items())
    original = dict(cfg.items())
    variables = {k: v for k, v in options.items() if k.split('.')[0] not in RUNNER_KEYS}
    try:
        cfg.merge_from_dict(variables)
        carry_variables(cfg, original, variables)
        # After the variables, so that a key that is named itself has the last word.
        cfg.merge_from_dict({k: v for k, v in options.items() if k not in variables})
    except (KeyError, TypeError, IndexError) as error:
        raise InputError(
            f'--cfg-options {given} does not fit {path} ({error}): name existing keys, '
            'a.b.c=value, and list items by number'
        ) from error
    check_options(cfg, options)


def carry_variables(
    cfg: Config, original: Mapping[str, Any], overridden: Mapping[str, Any]
) -> None:
    """Carry overridden top-level variables to everything that their old value had reached.

    Args:
        cfg (Config): The config, changed in place.
        original (Mapping): Its values before, by top-level key.
        overridden (Mapping): The new values of variables.

    Carrying them again changes nothing.

    Raises:
        InputError: If a variable reaches nothing.
    """
    # The longest path first: a root may lie in another.
    for name in sorted(overridden, key=lambda name: -len(str(original.get(name)))):
        old, new = original.get(name), overridden[name]
        if name in original and old == new:
            continue
        if name == 'pretrained':
            reached = _set_pretrained(cfg, new)
        elif name == 'num_classes':
            reached = _set_num_classes(cfg, old, new)
        elif name == 'classes':
            reached = _set_classes(cfg, new)
        elif isinstance(old, str) and isinstance(new, str) and _is_path(name, old):
            reached = _move_paths(cfg, old, new)
        else:
            reached = False
        if not reached:
            _refuse(name, original)


def _refuse(name: str, original: Mapping[str, Any]) -> None:
    """Raise the error for an option that would change nothing."""
    root = name.split('.')[0]
    if root not in original:
        known = [*original, *RUNNER_KEYS, 'pretrained', 'num_classes', 'classes']
        close = difflib.get_close_matches(root, known, n=1)
        hint = f'did you mean {close[0]}?' if close else 'name a key of the config'
        raise InputError(f'the option {name} changes nothing: the config has no {root}; {hint}')
    raise InputError(
        f'the option {name} changes nothing: {root} is a variable that the config uses while it is '
        'read; set the keys that were made of it, for example train_cfg.max_epochs or '
        'train_dataloader.dataset.pipeline.0.scale'
    )


def _is_path(name: str, value: str) -> bool:
    return bool(value) and ('/' in value or name.endswith(('_root', '_dir', '_prefix')))


def _set_pretrained(cfg: Config, new: str | None) -> bool:
    """Start the backbone from a checkpoint."""
    if not isinstance(cfg.model.get('backbone'), dict):
        return False
    cfg.model.backbone.init_cfg = ConfigDict(type='BackboneCheckpoint', checkpoint=new)
    return True


def _set_num_classes(cfg: Config, old: int | None, new: int) -> bool:
    """Set the number of classes of all heads that have the old one."""
    entries = [
        entry
        for key in ('model', 'data_preprocessor')
        for entry in dicts(cfg.get(key))
        if 'num_classes' in entry
    ]
    if old is None:  # no variable of the file: all but HTC's stuff classes
        stuff = [id(entry) for entry in dicts(cfg.model.get('roi_head', {}).get('semantic_head'))]
        chosen = [entry for entry in entries if id(entry) not in stuff]
    else:
        chosen = [entry for entry in entries if entry['num_classes'] in (old, new)]
    for entry in chosen:
        entry['num_classes'] = new
    return bool(chosen)


def _set_classes(cfg: Config, new: Any) -> bool:
    """Set the classes of all data sets of boxes or label maps, and their number in the heads."""
    names = (new,) if isinstance(new, str) else tuple(map(str, new))
    sets = [
        entry
        for key in ('train_dataloader', 'val_dataloader', 'test_dataloader')
        for entry in dicts(cfg.get(key))
        if (entry.get('ann_file') and 'Coco' in str(entry.get('type')))
        or (isinstance(entry.get('data_prefix'), dict) and 'seg_map_path' in entry['data_prefix'])
    ]
    for entry in sets:
        entry['metainfo'] = {**(entry.get('metainfo') or {}), 'classes': names}
        entry['metainfo'].pop('palette', None)
    return bool(sets) and _set_num_classes(cfg, None, len(names))


def _move_paths(cfg: Config, old: str, new: str) -> bool:
    """Replace whole leading path components of all strings but the variable itself."""
    old_path, new_path = old.rstrip('/'), new.rstrip('/') or '/'
    moved = 0

    def lies_in(value: str, folder: str) -> bool:
        return value == folder or value.startswith(f'{folder}/')

    def move(value: Any) -> Any:
        nonlocal moved
        if isinstance(value, dict):
            return type(value)({key: move(item) for key, item in value.items()})
        if isinstance(value, (list, tuple)):
            return type(value)(move(item) for item in value)
        if isinstance(value, str) and lies_in(value, new_path):  # carried already
            moved += 1
        elif isinstance(value, str) and lies_in(value, old_path):
            moved += 1
            return new_path + value[len(old_path) :]
        return value

    for key in list(cfg.keys()):
        if key in RUNNER_KEYS:
            cfg[key] = move(cfg[key])
        elif isinstance(cfg[key], (dict, list)):  # a pipeline or data set that was named
            before = moved
            cfg[key] = move(cfg[key])
            moved = before
        elif isinstance(cfg[key], str) and cfg[key] == new and old.endswith('/'):
            cfg[key] = osp.join(new, '')
    return moved > 0
