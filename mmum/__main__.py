"""``python -m mmum``: the console command, for launchers such as torchrun."""

from mmum.cli.main import run

if __name__ == '__main__':
    run()
