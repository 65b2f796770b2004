"""Test a checkpoint.

Prints box and mask AP of a detector (mmdet's CocoMetric on pycocotools), mIoU of a segmentation
(mmseg's IoUMetric), the accuracy of a classifier, or the reconstruction loss of a pre-training.

    mmum test mask-rcnn_um-swin-t_fpn_1x_coco CHECKPOINT data_root=COCO/
"""

import argparse
import os
from typing import Any

from mmum.cli.command import add_config_options, add_launcher, argument_parser
from mmum.engine import load_config
from mmum.engine.config import testing
from mmum.engine.runner import build_runner
from mmum.errors import InputError


def parse_args() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--work-dir', help='folder for the log and the metrics (default: work_dirs/CONFIG NAME)'
    )
    parser.add_argument(
        '--out', metavar='FILE.pkl', help='write the predictions for evaluation elsewhere'
    )
    parser.add_argument('--show', action='store_true', help='show predictions in a window')
    parser.add_argument(
        '--show-dir', help='write pictures of predictions or reconstructions to this folder'
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help='test-time augmentation of a detector or a segmentation',
    )
    parser.add_argument(
        '--verbose', action='store_true', help='show on the console what the log file has'
    )
    add_config_options(parser)
    add_launcher(parser)
    return parser.parse_args()


def add_dump(runner: Any, path: str) -> None:
    """Let the evaluator also write the predictions."""
    if runner.cfg.get('default_scope') == 'mmdet':
        from mmdet.evaluation import DumpDetResults as DumpResults
    elif runner.cfg.get('default_scope') == 'mmseg':
        from mmum.evaluation import DumpSegmentations as DumpResults
    else:
        from mmengine.evaluator import DumpResults
    runner.test_evaluator.metrics.append(DumpResults(out_file_path=path))


def main() -> None:
    args = parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        raise InputError(f'--out {args.out} should end in .pkl or .pickle')
    cfg = load_config(args.config, args.cfg_options)
    if not cfg.get('test_dataloader'):
        raise InputError(f'{args.config} has no test_dataloader: nothing to test')
    cfg.launcher, cfg.load_from, cfg.resume = args.launcher, args.checkpoint, False
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    if args.show or args.show_dir:
        testing.set_show(cfg, args.show, args.show_dir)
    if args.tta:
        testing.set_tta(cfg)
    testing.unshard(cfg)
    cfg.verbose = args.verbose
    runner = build_runner(cfg)
    if args.out:
        add_dump(runner, args.out)
    runner.test()
