"""Write, pack or check data sets: ``mmum prepare-data`` without installing its command."""

from mmum.cli.prepare_data import main
from mmum.cli.command import run_command

if __name__ == '__main__':
    run_command(main)
