"""Pictures of what a config trains on: images as they are, and as the pipeline gives them to the model, with boxes and masks of
a detector, or the mask map of a pre-training (secondary units hatched, removed ones white).

    python tools/browse_data.py configs/detection/htcpp_um-swin-l_fpn_6x_coco.py --number 20 --cfg-options data_root=data/coco/
"""
import os
from pathlib import Path

import mmcv
import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import DictAction
from mmengine.registry import DATASETS, TRANSFORMS, DefaultScope, init_default_scope
from rich.progress import track

import mmum.engine.config as command_line
from mmum.cli.command import argument_parser, run_command
from mmum.engine.reliability.sampling import seeded
from mmum.engine.preflight import preflight
from mmum.errors import InputError
from mmum.files import check_writable
from mmum.visualization import mask_picture, side_by_side, write_picture


def parse_args():
    parser = argument_parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--number', type=int, default=8, help='images, evenly from the training set (default: 8)')
    parser.add_argument('--seed', type=int, default=0, help='of the augmentations (default: 0)')
    parser.add_argument('--out', default='work_dirs/browse', help='folder for the pictures (default: work_dirs/browse)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override settings of the config, top-level variables such as data_root too')
    return parser.parse_args()


class DetectionPictures:
    """Boxes, masks and classes on an image: as it was loaded, and as it is trained on."""

    def __init__(self, dataset, pipeline):
        self.dataset, self.visualizer = dataset, DetLocalVisualizer(alpha=0.3)
        self.visualizer.dataset_meta = dataset.metainfo
        load = pipeline[:1 + next(i for i, t in enumerate(pipeline) if t['type'].endswith('LoadAnnotations'))]
        self.load = Compose([TRANSFORMS.build(t) for t in [*load, dict(type='PackDetInputs', meta_keys=())]])

    def __call__(self, index):
        return side_by_side([self._draw(self.load(self.dataset.get_data_info(index))), self._draw(self.dataset[index])])

    def _draw(self, sample):
        rgb = mmcv.bgr2rgb(sample['inputs'].permute(1, 2, 0).contiguous().numpy())
        drawn = sample['data_samples'].numpy()
        if hasattr(drawn.gt_instances.bboxes, 'tensor'):
            drawn.gt_instances.bboxes = drawn.gt_instances.bboxes.tensor
        self.visualizer.add_datasample('browse', rgb, drawn, draw_pred=False)
        return self.visualizer.get_image()


class PretrainingPictures:
    """An image, and the crop with its mask map."""

    def __init__(self, dataset, pipeline):
        self.dataset = dataset
        self.load = TRANSFORMS.build(dict(type='LoadImageStrict'))

    def __call__(self, index):
        sample = self.dataset[index]
        rgb = mmcv.bgr2rgb(sample['inputs'].permute(1, 2, 0).contiguous().numpy())
        panels = [mmcv.bgr2rgb(self.load(self.dataset.get_data_info(index))['img']), rgb]
        if 'mask' in sample['data_samples']:
            panels.append(mask_picture(rgb, torch.as_tensor(sample['data_samples'].mask).numpy()))
        return side_by_side(panels)


def main():
    args = parse_args()
    if args.number < 1 or args.seed < 0:
        raise InputError(f'--number {args.number} should be at least 1, and --seed {args.seed} not negative')
    cfg = command_line.load_config(args.config, args.cfg_options)
    if not cfg.get('train_dataloader'):
        raise InputError(f'{args.config} has no train_dataloader: nothing to look at')
    cfg.model.backbone.init_cfg = None  # of no account here
    preflight(cfg, splits=('train', ))
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    out = Path(args.out)
    check_writable(out, f'--out {out}')
    kind = DetectionPictures if DefaultScope.get_current_instance().scope_name == 'mmdet' else PretrainingPictures
    draw = kind(dataset, command_line.innermost(cfg.train_dataloader.dataset).pipeline)
    chosen = np.linspace(0, len(dataset) - 1, min(args.number, len(dataset))).round().astype(int).tolist()
    for index in track(chosen, 'drawing'):
        with seeded((args.seed, index)):
            picture = draw(index)
        name = os.path.basename(dataset.get_data_info(index)['img_path'])
        write_picture(out / f'{index:07d}_{Path(name).stem}.png', picture)
    print(f'{len(chosen)} pictures in {out}')


if __name__ == '__main__':
    run_command(main)
