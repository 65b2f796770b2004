"""mmum: pre-train pyramid vision transformers by UM-MAE, and transfer them.

    mmum train um_mae_swin_t --amp --auto-scale-lr data_root=FOLDER
    mmum train mask-rcnn_um-swin-t_fpn_1x_coco pretrained=CHECKPOINT data_root=COCO/

A config is a .py file or one of the names that `mmum configs` lists. `mmum COMMAND --help` says
more. On several GPUs: torchrun --nproc_per_node 8 -m mmum train CONFIG --launcher pytorch
"""

import importlib
import os
import runpy
import sys

from mmum.cli.command import PROGRAM, run_command
from mmum.engine.config.shipped import list_configs, summary
from mmum.errors import InputError
from mmum.resources import resources

COMMANDS = {
    'train': 'train what a config describes: a pre-training, or a transfer of it',
    'test': 'test a checkpoint: AP, mIoU, accuracy, or the loss of a reconstruction',
    'predict': 'detect or segment in an image, a folder of images or a video',
    'report': 'write one HTML file on one run, or on several side by side',
    'embed': 'write one vector per image of a folder',
    'convert': 'convert a checkpoint to the names of another code base',
    'check-data': 'check images, label maps or COCO annotations before training',
    'browse-data': 'draw what a config trains on',
    'prepare-data': 'write the mini data set, pack shards, check COCO, ImageNet or ADE20K',
}
# Whole works that run these commands in turn; they lie in tools/.
TOOLS = {
    'demo': 'run everything on a small scale, in a quarter of an hour on a laptop',
    'study': 'compare starts of training over seeds',
    'benchmark': 'measure speed and memory',
    'soak': 'let a training suffer an hour of faults (for developers)',
}


def usage() -> str:
    """Text of ``mmum --help``."""
    lines = [__doc__ or '', 'commands:']
    everything = {**COMMANDS, 'configs': 'list the configs that ship with mmum', **TOOLS}
    lines += [f'  {name:<13} {text}' for name, text in everything.items() if name != 'soak']
    return '\n'.join(lines)


def print_configs() -> None:
    """Print the name and the first sentence of every config, by folder."""
    folder = ''
    for name, file in list_configs().items():
        if file.parent.name != folder:
            folder = file.parent.name
            print(f'{folder}:')
        print(f'  {name:<52} {summary(file)}')


def main() -> None:
    """Run the command that the first argument names.

    Raises:
        InputError: If there is no such command.
    """
    command, *rest = sys.argv[1:] or ['--help']
    if command in ('-h', '--help'):
        print(usage())
    elif command == '--version':
        from mmum import __version__

        print(f'mmum {__version__}')
    elif command == 'configs':
        print_configs()
    elif command in COMMANDS:
        sys.argv = [f'mmum {command}', *rest]
        importlib.import_module(f'mmum.cli.{command.replace("-", "_")}').main()
    elif command in TOOLS:
        tools = resources() / 'tools'
        sys.argv[1:] = rest
        os.environ[PROGRAM] = f'mmum {command}'
        sys.path.insert(0, str(tools))
        runpy.run_path(str(tools / f'{command}.py'), run_name='__main__')
    else:
        raise InputError(
            f'mmum has no command {command}: choose one of '
            f'{", ".join([*COMMANDS, "configs", *TOOLS])}'
        )


def run() -> None:
    """Entry point of the console command."""
    run_command(main)
