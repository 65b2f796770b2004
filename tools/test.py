"""Test a checkpoint: ``mmum test`` without installing its command."""

from mmum.cli.command import run_command
from mmum.cli.test import main

if __name__ == '__main__':
    run_command(main)
