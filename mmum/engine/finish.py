"""The end of a training: the backbone in a file of its own, and a summary with the next command."""

import logging
import os.path as osp
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from mmpretrain.models.selfsup import BaseSelfSupervisor

from mmum.checkpoints import BACKBONE_FILE, write_backbone
from mmum.engine.config.replacements import type_name
from mmum.engine.config.shipped import list_configs
from mmum.errors import InputError

# Backbone and its arch -> the part of a detector's config name that says so.
DETECTORS = {
    ('UMSwin', 'tiny'): 'um-swin-t',
    ('UMSwin', 'large'): 'um-swin-l',
    ('UMPVT', 'small'): 'um-pvt-s',
    ('UMStockSwin', 'tiny'): 'swin-t',
    ('UMStockSwin', 'base'): 'swin-b',
    ('UMStockSwin', 'large'): 'swin-l',
}


def finish(runner: Any) -> None:
    """Write ``backbone.safetensors`` after a pre-training, and say what is where, and what next.

    Args:
        runner (Runner): The runner, after training.
    """
    work_dir = Path(runner.work_dir)
    pointer = work_dir / 'last_checkpoint'
    checkpoint = pointer.read_text().strip() if pointer.is_file() else None
    places = {'checkpoint': checkpoint}
    model = getattr(runner.model, 'module', runner.model)
    if isinstance(model, BaseSelfSupervisor) and checkpoint is not None:
        try:
            write_backbone(checkpoint, work_dir / BACKBONE_FILE)
            places['backbone'] = str(work_dir / BACKBONE_FILE)
        except InputError as error:  # of a foreign backbone, or a full disk: the run is complete
            print_log(f'{BACKBONE_FILE} was not written: {error}', 'current', logging.WARNING)
    if (work_dir / 'reconstruction').is_dir():
        places['pictures'] = str(work_dir / 'reconstruction')
    places['curves'] = str(work_dir / runner.timestamp / 'vis_data' / 'scalars.json')
    places['report'] = f'mmum report {work_dir}'
    places['next'] = next_command(runner.cfg, places)
    lines = [f'  {name:<11}{place}' for name, place in places.items() if place]
    print_log('\n'.join(['training is complete', *lines]), 'current')


def next_command(cfg: Any, places: dict[str, str | None]) -> str:
    """The command that a user wants after a training."""
    name = osp.splitext(osp.basename(cfg.filename or 'CONFIG'))[0]
    config = name if name in list_configs() else cfg.filename or 'CONFIG'
    start = places.get('backbone')
    if start is None:
        return f'mmum test {config} {places["checkpoint"] or "CHECKPOINT"}'
    backbone = cfg.model.backbone
    arch = backbone.get('arch')
    if name.endswith('nano_mini'):
        return f'mmum train mask-rcnn_um-swin-nano_fpn_mini pretrained={start}'
    detector_of = DETECTORS.get((type_name(backbone), arch if isinstance(arch, str) else ''))
    detector = f'mask-rcnn_{detector_of}_fpn_1x_coco' if detector_of else 'CONFIG_OF_A_DETECTOR'
    return f'mmum train {detector} pretrained={start} data_root=COCO/'
