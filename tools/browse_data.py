"""Draw what a config trains on: ``mmum browse-data`` without installing its command."""

from mmum.cli.browse_data import main
from mmum.cli.command import run_command

if __name__ == '__main__':
    run_command(main)
