"""Check data before training: ``mmum check-data`` without installing its command."""

from mmum.cli.check_data import main
from mmum.cli.command import run_command

if __name__ == '__main__':
    run_command(main)
