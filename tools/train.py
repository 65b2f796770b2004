"""Train what a config describes: ``mmum train`` without installing its command."""

from mmum.cli.command import run_command
from mmum.cli.train import main

if __name__ == '__main__':
    run_command(main)
