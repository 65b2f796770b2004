"""Tests a checkpoint: box and mask AP of a detector (mmdet's CocoMetric on pycocotools), or the reconstruction loss of
a pre-training.

    python tools/test.py configs/detection/mask-rcnn_um-swin-t_fpn_1x_coco.py CHECKPOINT
"""
import os

from mmengine.config import DictAction

import mmum.engine.config as command_line
from mmum.cli.command import argument_parser, run_command
from mmum.engine.preflight import preflight
from mmum.engine.reliability.resume import register_safe_loader
from mmum.errors import InputError


def parse_args():
    parser = argument_parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--work-dir', help='where the log and the metrics go (default: work_dirs/CONFIG NAME)')
    parser.add_argument('--out', metavar='FILE.pkl', help='write the predictions for evaluation elsewhere')
    parser.add_argument('--show', action='store_true', help='show detections in a window')
    parser.add_argument('--show-dir', help='write pictures of detections or reconstructions to this folder')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation of a detector')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override settings of the config, top-level variables such as data_root too')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by the launcher')
    return parser.parse_args()


def add_dump(runner, path):
    """Lets the evaluator also write the predictions."""
    if runner.cfg.get('default_scope') == 'mmdet':
        from mmdet.evaluation import DumpDetResults as DumpResults
    else:
        from mmengine.evaluator import DumpResults
    runner.test_evaluator.metrics.append(DumpResults(out_file_path=path))


def main():
    args = parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        raise InputError(f'--out {args.out} should end in .pkl or .pickle')
    register_safe_loader()
    cfg = command_line.load_config(args.config, args.cfg_options)
    if not cfg.get('test_dataloader'):
        raise InputError(f'{args.config} has no test_dataloader: nothing to test')
    cfg.launcher = args.launcher
    cfg.load_from = args.checkpoint
    command_line.set_work_dir(cfg, args.work_dir, args.config)
    command_line.use_fault_tolerant(cfg, testing=True)
    command_line.set_device(cfg)
    if args.show or args.show_dir:
        command_line.set_show(cfg, args.show, args.show_dir)
    if args.tta:
        command_line.set_tta(cfg)
    preflight(cfg, splits=('test', ))
    runner = command_line.build_runner(cfg)
    if args.out:
        add_dump(runner, args.out)
    runner.test()


if __name__ == '__main__':
    run_command(main)
