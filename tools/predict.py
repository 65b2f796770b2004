"""Detect in images, folders or videos: ``mmum predict`` without installing its command."""

from mmum.cli.command import run_command
from mmum.cli.predict import main

if __name__ == '__main__':
    run_command(main)
