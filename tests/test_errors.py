"""One sentence for what a user can put right."""

import pytest

from mmum.cli.command import run_command
from mmum.errors import InputError, input_error_sentence


@pytest.mark.parametrize(
    'text, remedy',
    [
        (
            'Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback ...\n'
            'RuntimeError: unable to allocate shared memory(shm) for file </torch_62_79_0>: '
            'No space left on device (28)\n',
            '--shm-size=16g',
        ),
        (
            'DataLoader worker (pid 62) is killed by signal: Bus error. It is possible that '
            "dataloader's workers are out of shared memory. Please try to raise your shared "
            'memory limit.',
            '--shm-size=16g',
        ),
        (
            'unable to open shared memory object </torch_62_79_0> in read-write mode: Too many '
            'open files (24)',
            'ulimit -n',
        ),
        ('received 0 items of ancdata', 'ulimit -n'),
    ],
)
def test_what_the_machine_lacks(text, remedy, capsys):
    """These are torch's own words."""

    def main():
        raise RuntimeError(text)

    with pytest.raises(SystemExit) as stop:
        run_command(main)
    said = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2
    assert len(said) == 1 and said[0].startswith('error: data-loading workers ')
    assert remedy in said[0]


def test_other_errors_keep_their_traceback():
    assert input_error_sentence(RuntimeError('shared memory is a word of its own')) is None
    assert input_error_sentence(ValueError('Too many open files')) is None


def test_the_cause_counts():
    error = RuntimeError('in a worker')
    error.__cause__ = InputError('x.jpg is no image')
    assert input_error_sentence(error) == 'x.jpg is no image'
