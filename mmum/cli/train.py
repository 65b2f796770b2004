"""Train what a config describes: a pre-training, a classifier, a detector or a segmentation.

For example:

    mmum train um_mae_swin_t --amp data_root=FOLDER
"""

import argparse
import os

from mmum.cli.command import add_config_options, add_launcher, argument_parser
from mmum.engine import load_config
from mmum.engine.config import options
from mmum.engine.runner import build_runner

BACKENDS = dict(tensorboard='TensorboardVisBackend', wandb='WandbVisBackend')


def parse_args() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir', help='folder for logs and checkpoints (default: work_dirs/CONFIG NAME)'
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='continue from this checkpoint, or without one from the last in the work directory',
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        '--epochs', type=int, metavar='N', help='stretch the schedule of the config to N epochs'
    )
    length.add_argument(
        '--iters', type=int, metavar='N', help='the same for a config that trains by iterations'
    )
    parser.add_argument(
        '--amp',
        nargs='?',
        const='auto',
        choices=['auto', 'bf16', 'fp16'],
        help='mixed precision: bfloat16 where the hardware has it (default), else float16',
    )
    parser.add_argument(
        '--compile',
        action='store_true',
        help='torch.compile of the blocks: slow first steps, then faster',
    )
    parser.add_argument(
        '--ema',
        type=float,
        nargs='?',
        const=2e-4,
        metavar='SHARE',
        help='average the weights over steps, with this share of the new ones (default: 0.0002)',
    )
    parser.add_argument(
        '--global-batch',
        type=int,
        metavar='N',
        help='accumulate steps to a batch of N images on any number of GPUs (the paper: 4096)',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate to the actual batch size',
    )
    for name in BACKENDS:
        parser.add_argument(f'--{name}', action='store_true', help=f'log to {name} too')
    parser.add_argument(
        '--verbose', action='store_true', help='show on the console what the log file has'
    )
    add_config_options(parser)
    add_launcher(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    if args.epochs is not None:
        options.set_epochs(cfg, args.epochs)
    if args.iters is not None:
        options.set_iters(cfg, args.iters)
    if args.amp:
        options.set_amp(cfg, args.amp)
    if args.compile:
        options.set_compile(cfg)
    if args.ema is not None:
        options.set_ema(cfg, args.ema)
    if args.global_batch is not None:
        options.set_global_batch(cfg, args.global_batch)
    if args.auto_scale_lr:
        options.set_auto_scale_lr(cfg)
    for name, backend in BACKENDS.items():
        if getattr(args, name):
            options.add_backend(cfg, backend)
    cfg.verbose = args.verbose
    if args.resume is not None:
        cfg.resume, cfg.load_from = True, None if args.resume == 'auto' else args.resume
    build_runner(cfg).train()
