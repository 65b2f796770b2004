"""Write, pack or check data sets: ``mmum prepare-data`` without installing its command."""

from mmum.cli.command import run_command
from mmum.cli.prepare_data import main

if __name__ == '__main__':
    run_command(main)
