"""Draw what a config trains on: images as they are, and as the pipeline gives them to the model.

Images of a detector come with boxes and masks, those of a segmentation with their labels, those of
a pre-training with the mask map (secondary units hatched, removed ones white).

    mmum browse-data htcpp_um-swin-l_fpn_6x_coco --number 20 data_root=data/coco/
"""

import argparse
import os
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.registry import DATASETS, TRANSFORMS, DefaultScope, init_default_scope
from rich.progress import track

from mmum.cli.command import add_config_options, argument_parser
from mmum.engine import load_config
from mmum.engine.config import wrapped_dataset_cfgs
from mmum.engine.config.replacements import type_name
from mmum.engine.config.testing import LOADERS_OF_MAPS
from mmum.engine.preflight import check_outside, preflight
from mmum.engine.reliability.sampling import seeded
from mmum.errors import InputError
from mmum.files import check_writable
from mmum.visualization import first_three, mask_picture, side_by_side, write_picture


def parse_args() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--number', type=int, default=8, help='images, evenly from the training set (default: 8)'
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of the augmentations (default: 0)'
    )
    parser.add_argument(
        '--out',
        default='work_dirs/browse',
        help='folder for the pictures (default: work_dirs/browse)',
    )
    add_config_options(parser)
    return parser.parse_args()


def pixels_of(sample: dict[str, Any]) -> np.ndarray:
    """The image of a sample as RGB."""
    return mmcv.bgr2rgb(first_three(sample['inputs'].permute(1, 2, 0).contiguous().numpy()))


class DetectionPictures:
    """Draw boxes, masks and classes: on the image as it was loaded, and as it is trained on."""

    def __init__(self, dataset: Any, pipeline: list[Any]) -> None:
        from mmdet.visualization import DetLocalVisualizer

        self.dataset, self.visualizer = dataset, DetLocalVisualizer(alpha=0.3)
        self.visualizer.dataset_meta = dataset.metainfo
        last = next(i for i, t in enumerate(pipeline) if t['type'].endswith('LoadAnnotations'))
        load = [*pipeline[: last + 1], dict(type='PackDetInputs', meta_keys=())]
        self.load = Compose([TRANSFORMS.build(transform) for transform in load])

    def __call__(self, index: int) -> np.ndarray:
        before = self.load(self.dataset.get_data_info(index))
        return side_by_side([self._draw(before), self._draw(self.dataset[index])])

    def _draw(self, sample: dict[str, Any]) -> np.ndarray:
        drawn = sample['data_samples'].numpy()
        if hasattr(drawn.gt_instances.bboxes, 'tensor'):
            drawn.gt_instances.bboxes = drawn.gt_instances.bboxes.tensor
        self.visualizer.add_datasample('browse', pixels_of(sample), drawn, draw_pred=False)
        return self.visualizer.get_image()


class SegmentationPictures:
    """Draw label maps: on the image as it was loaded, and as it is trained on."""

    def __init__(self, dataset: Any, pipeline: list[Any]) -> None:
        from mmseg.visualization import SegLocalVisualizer

        self.dataset, self.visualizer = dataset, SegLocalVisualizer(alpha=0.6)
        self.visualizer.dataset_meta = dataset.metainfo
        names = [type_name(transform) for transform in pipeline]
        last = max(i for i, name in enumerate(names) if name in LOADERS_OF_MAPS)
        load = [*pipeline[: last + 1], dict(type='PackSegInputs', meta_keys=())]
        self.load = Compose([TRANSFORMS.build(transform) for transform in load])

    def __call__(self, index: int) -> np.ndarray:
        before = self.load(self.dataset.get_data_info(index))
        return side_by_side([self._draw(before), self._draw(self.dataset[index])])

    def _draw(self, sample: dict[str, Any]) -> np.ndarray:
        drawn = sample['data_samples']
        self.visualizer.add_datasample('browse', pixels_of(sample), drawn, draw_pred=False)
        return self.visualizer.get_image()


class PretrainingPictures:
    """Draw an image, and the crop with its mask map."""

    def __init__(self, dataset: Any, pipeline: list[Any]) -> None:
        self.dataset = dataset
        first = type_name(pipeline[0])
        own = first in ('LoadImageStrict', 'LoadBands')
        self.load = TRANSFORMS.build(pipeline[0] if own else dict(type='LoadImageStrict'))

    def __call__(self, index: int) -> np.ndarray:
        sample = self.dataset[index]
        rgb = pixels_of(sample)
        before = self.load(self.dataset.get_data_info(index))['img']
        panels = [mmcv.bgr2rgb(first_three(before)), rgb]
        if 'mask' in sample['data_samples']:
            mask = torch.as_tensor(sample['data_samples'].mask).numpy()
            panels.append(mask_picture(rgb, mask))
        return side_by_side(panels)


def main() -> None:
    args = parse_args()
    if args.number < 1 or args.seed < 0:
        raise InputError(
            f'--number {args.number} should be at least 1, and --seed {args.seed} not negative'
        )
    cfg = load_config(args.config, args.cfg_options)
    if not cfg.get('train_dataloader'):
        raise InputError(f'{args.config} has no train_dataloader: nothing to look at')
    cfg.model.backbone.init_cfg = None  # no weights are needed
    preflight(cfg, ('train',), heads=False)
    for dataset_cfg in wrapped_dataset_cfgs(cfg.train_dataloader.dataset):
        if type_name(dataset_cfg) == 'UnlabelledImages':
            check_outside(args.out, dataset_cfg, f'{args.out}: give another --out')
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    out = Path(args.out)
    check_writable(out, f'--out {out}')
    scope = DefaultScope.get_current_instance().scope_name
    pictures = dict(mmdet=DetectionPictures, mmseg=SegmentationPictures)
    pipeline = wrapped_dataset_cfgs(cfg.train_dataloader.dataset)[0].pipeline
    draw: Any = pictures.get(scope, PretrainingPictures)(dataset, pipeline)
    number = min(args.number, len(dataset))
    chosen = np.linspace(0, len(dataset) - 1, number).round().astype(int).tolist()
    for index in track(chosen, 'drawing'):
        with seeded((args.seed, index)):
            picture = draw(index)
        name = os.path.basename(dataset.get_data_info(index)['img_path'])
        write_picture(out / f'{index:07d}_{Path(name).stem}.png', picture)
    print(f'{len(chosen)} pictures in {out}')
