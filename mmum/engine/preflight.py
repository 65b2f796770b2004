"""What can be known to be wrong before hours are spent."""
import logging
import os
from collections import defaultdict
from pathlib import Path

from mmdet.registry import DATASETS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import HOOKS
from torch.distributed.fsdp import FullyShardedDataParallel

from mmum.checkpoints import read_checkpoint, weights_of
from mmum.datasets.checks.annotations import FAULTS, check_coco, read_coco
from mmum.engine.config import unwrap_dataset_cfg
from mmum.errors import InputError, preview


def preflight(cfg, splits=('train', 'val')):
    """Checks the files that a config names, before anything is built; on the first rank only.

    Args:
        cfg (Config): The config.
        splits (Sequence[str]): Which data loaders will be used. Defaults to ('train', 'val').

    Raises:
        InputError: For a checkpoint that is none, a missing folder or annotation file, annotations that name absent files
            or hold no images, and classes that the annotations do not have.
    """
    if int(os.environ.get('RANK', os.environ.get('SLURM_PROCID', 0))):
        return
    backbone = cfg.model.get('backbone') or cfg.model.get('module', {}).get('backbone') or {}
    init_cfg = backbone.get('init_cfg') or {}
    checkpoints = [cfg.get('load_from')]
    if isinstance(init_cfg, dict) and init_cfg.get('type') == 'BackboneCheckpoint':
        checkpoints.append(init_cfg.get('checkpoint'))
    for checkpoint in checkpoints:
        if checkpoint and '://' not in checkpoint:
            weights_of(read_checkpoint(checkpoint), checkpoint)
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        dataset = loader and unwrap_dataset_cfg(loader.dataset)
        if dataset and 'Coco' in str(dataset.get('type')):
            # COCO's test images: results are written, and evaluated elsewhere
            _check_coco(dataset, split, labelled=not (cfg.get(f'{split}_evaluator') or {}).get('format_only'))
        if dataset and dataset.get('type') == 'LabelledImages' and (cfg.model.get('head') or {}).get('num_classes'):
            _check_labelled(dataset, cfg.model.head.num_classes, cfg.get(f'{split}_evaluator') or {})


def _check_labelled(dataset, num_classes, evaluator):
    """Checks class folders against the number of classes of the model."""
    folder = Path(dataset.get('data_root') or '', dataset.get('data_prefix') or '')
    if dataset.get('ann_file') or '://' in str(folder) or not folder.is_dir():
        return  # the data set itself says what is missing
    classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    if classes and len(classes) != num_classes:
        raise InputError(f'{folder} has {len(classes)} class folders ({preview(classes, 3)}), and the model {num_classes} '
                         f'classes: pass --cfg-options num_classes={len(classes)}, or complete the folder')
    topk = evaluator.get('topk', ())
    if max((topk, ) if isinstance(topk, int) else topk, default=1) > num_classes:
        raise InputError(f'top-{max(topk)} accuracy of {num_classes} classes means nothing: pass --cfg-options '
                         'val_evaluator.topk=1 test_evaluator.topk=1')


def _check_coco(dataset, split, labelled):
    """Checks one CocoDataset's files against each other."""
    root = dataset.get('data_root') or ''
    annotation_file = Path(root, dataset.ann_file)
    folder = Path(root, (dataset.get('data_prefix') or {}).get('img', ''))
    if '://' in root:
        return
    remedy = f'set {split}_dataloader.dataset in the config, or pass --cfg-options data_root=FOLDER'
    if root and not Path(root).is_dir():
        raise InputError(f'the data root {root} does not exist: {remedy}')
    if not annotation_file.is_file():
        raise InputError(f'the annotation file {annotation_file} does not exist: {remedy}')
    if not folder.is_dir():
        raise InputError(f'the image folder {folder} does not exist: {remedy}')
    annotations = read_coco(annotation_file, labelled)
    names = [image['file_name'] for image in annotations['images']]
    categories = [category['name'] for category in annotations['categories']]
    if not names:
        raise InputError(f'{annotation_file} lists no images: give an annotation file with images')
    if labelled and not annotations['annotations']:
        raise InputError(f'{annotation_file} lists no annotations, so there is nothing to learn or to compare with: give a '
                         'file with annotations (to detect in images without, tools/predict.py)')
    _check_stuff_maps(dataset, root, names, split)
    absent = _absent(folder, names)
    if absent:
        raise InputError(f'{annotation_file} names {len(absent)} files that are not in {folder}, first {preview(absent, 3)}: '
                         f'complete the folder, or mend data_prefix of {split}_dataloader.dataset')
    classes = (dataset.get('metainfo') or {}).get('classes') or DATASETS.get(dataset.type).METAINFO['classes']
    classes = (classes, ) if isinstance(classes, str) else tuple(classes)
    unknown = [name for name in classes if name not in categories]
    if unknown:
        raise InputError(f'the class {preview(unknown, 3)} of the config is not among the categories of {annotation_file} '
                         f'({preview(categories, 10)}): set metainfo=dict(classes=(...)) of {split}_dataloader.dataset to them')
    for kind, ids in check_coco(annotations).items():
        what = f'{annotation_file}: {len(ids)} x {kind} (id {preview(ids, 3)})'
        if FAULTS[kind] is None:
            raise InputError(f'{what}: mend the file, tools/check_data.py lists all')
        if kind.startswith(('box', 'polygon')):
            print_log(f'{what}, {FAULTS[kind]}', 'current', logging.WARNING)


def _check_stuff_maps(dataset, root, names, split):
    """The stuff maps of HTC, where the pipeline loads them."""
    if not any(transform.get('with_seg') for transform in dataset.get('pipeline', ())):
        return
    folder = Path(root, (dataset.get('data_prefix') or {}).get('seg', ''))
    maps = [str(Path(name).with_suffix('.png')) for name in names]
    absent = _absent(folder, maps)
    if absent:
        raise InputError(f'{len(absent)} stuff maps are not in {folder}, first {preview(absent, 3)}: unpack stuffthingmaps there, '
                         f'set data_prefix.seg of {split}_dataloader.dataset, or take a config without_semantic')


def _absent(folder, names):
    """Those of the names that are no files in the folder, from one listing a sub-folder: fast on network disks too."""
    wanted = defaultdict(list)
    for name in names:
        wanted[(folder / name).parent].append(name)
    absent = []
    for parent, group in wanted.items():
        present = set(os.listdir(parent)) if parent.is_dir() else ()
        absent += [name for name in group if os.path.basename(name) not in present]
    return sorted(absent)


@HOOKS.register_module()
class CheckpointMatchHook(Hook):
    """Stops where a loaded checkpoint does not fit the model: mmengine goes on with random weights.

    Args:
        complete (bool): Every parameter of the model must be in it, for testing. Defaults to False: one is enough.
    """

    def __init__(self, complete=False):
        self.complete = complete

    def after_load_checkpoint(self, runner, checkpoint):
        wrapped = is_model_wrapper(runner.model) or isinstance(runner.model, BaseTTAModel)
        model = runner.model.module if wrapped else runner.model
        # asking inside FSDP for the state breaks it: names will do, and sizes torch compares itself while it loads
        sharded = isinstance(runner.model, FullyShardedDataParallel)
        wanted = {name.replace('_fsdp_wrapped_module.', ''): value for name, value in model.named_parameters()
                  } if sharded else model.state_dict()
        weights = weights_of(checkpoint)
        if not set(weights) & set(wanted):
            raise InputError(f'nothing in the checkpoint {runner._load_from} matches the model of the config: it has '
                             f'{preview(list(weights))}, wanted are {preview(list(wanted))}; give a checkpoint of this config')
        missing = [name for name, _ in model.named_parameters() if name not in weights]
        if self.complete and missing:
            raise InputError(f'the checkpoint {runner._load_from} lacks {len(missing)} parameters of the model of the config '
                             f'({preview(missing)}): give a checkpoint that was trained with this config')
        wrong = [name for name in wanted if name in weights and not sharded and weights[name].shape != wanted[name].shape]
        if wrong:
            raise InputError(f'the checkpoint {runner._load_from} is of another size than the model of the config: '
                             f'{wrong[0]} is {tuple(weights[wrong[0]].shape)} in it and {tuple(wanted[wrong[0]].shape)} '
                             'here; give a checkpoint of this config')
