"""Trains what a config describes: pre-training, detection.

    python tools/train.py configs/selfsup/um_mae_swin_t.py --amp --cfg-options data_root=FOLDER
"""
import os

from mmengine.config import DictAction

import mmum.engine.config as command_line
from mmum.cli.command import argument_parser, run_command
from mmum.engine.scale.strategies import set_deepspeed, uses_deepspeed
from mmum.engine.preflight import preflight
from mmum.engine.reliability.resume import WorkDirLock, find_latest_checkpoint, register_safe_loader


def parse_args():
    parser = argument_parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='where logs and checkpoints go (default: work_dirs/CONFIG NAME)')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CHECKPOINT',
                        help='continue from this checkpoint, or without one from the last in the work directory')
    parser.add_argument('--amp', action='store_true', help='mixed precision')
    parser.add_argument('--compile', action='store_true', help='torch.compile of the blocks: slow first steps, then faster')
    parser.add_argument('--ema', type=float, nargs='?', const=2e-4, metavar='SHARE',
                        help='average the weights over steps, with this share of the new ones (default: 0.0002)')
    parser.add_argument('--global-batch', type=int, metavar='N',
                        help='accumulate steps to a batch of N images on any number of GPUs (the paper: 4096)')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help='scale the learning rate to the actual batch size')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override settings of the config, top-level variables such as data_root and pretrained too')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by the launcher')
    return parser.parse_args()


def main():
    args = parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    register_safe_loader()
    cfg = command_line.load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    command_line.set_work_dir(cfg, args.work_dir, args.config)
    command_line.set_device(cfg)
    command_line.use_fault_tolerant(cfg)
    command_line.set_bad_images(cfg)
    if args.amp and not uses_deepspeed(cfg):
        command_line.set_amp(cfg)
    if args.compile:
        command_line.set_compile(cfg)
    if args.ema is not None:
        command_line.set_ema(cfg, args.ema)
    if args.global_batch is not None:
        command_line.set_global_batch(cfg, args.global_batch)
    if args.auto_scale_lr:
        command_line.set_auto_scale_lr(cfg)
    if uses_deepspeed(cfg):
        set_deepspeed(cfg, args.amp)
    rank = int(os.environ.get('RANK', os.environ.get('SLURM_PROCID', 0)))
    lock = WorkDirLock(cfg.work_dir) if rank == 0 else None  # held until the process ends
    if args.resume is not None:
        cfg.load_from = find_latest_checkpoint(cfg.work_dir) if args.resume == 'auto' else args.resume
        cfg.resume = cfg.load_from is not None
    preflight(cfg)
    runner = command_line.build_runner(cfg)
    runner.train()
    del lock


if __name__ == '__main__':
    run_command(main)
