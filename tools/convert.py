"""Convert a checkpoint: ``mmum convert`` without installing its command."""

from mmum.cli.command import run_command
from mmum.cli.convert import main

if __name__ == '__main__':
    run_command(main)
