"""The one exception for what a user can put right."""

import re
from collections.abc import Iterable

# What torch says of its data-loading workers where the machine lacks something, and what to do.
OF_THE_MACHINE = {
    'Too many open files|ancdata': 'data-loading workers need more open files than the limit '
    'allows: raise it by `ulimit -n 65536`, or lower train_dataloader.num_workers',
    'allocate shared memory.*No space left|(out of|insufficient) shared memory': 'data-loading '
    'workers hand over images through /dev/shm, which is too small: start the container with '
    '--ipc=host or --shm-size=16g, or set train_dataloader.num_workers=0',
}


class InputError(ValueError):
    """Bad input: one sentence that names the culprit (file, key or size) and the fix.

    The tools print the sentence alone, without a traceback.
    """


class UnreadableImage(InputError):
    """An image that cannot be read; a training may continue with another image."""


def input_error_sentence(error: BaseException | None) -> str | None:
    """Find the sentence of the :class:`InputError` behind an exception, or on what a machine lacks.

    Follows the chain of causes, and looks into the text that torch puts around an exception of a
    data-loading worker (``Caught InputError in DataLoader worker process 0 ...``).

    Args:
        error (BaseException | None): The exception that was caught.

    Returns:
        str | None: The sentence, or None if nothing of the kind is behind the exception.
    """
    while error is not None:
        if isinstance(error, InputError):
            return str(error).rpartition(f'{type(error).__name__}: ')[2].strip()
        if isinstance(error, (RuntimeError, OSError)):
            for words, sentence in OF_THE_MACHINE.items():
                if re.search(words, str(error)):
                    return sentence
        error = error.__cause__ or error.__context__
    return None


def preview(items: Iterable[object], number: int = 4) -> str:
    """List the first few items in a sentence, and say how many more there are.

    Args:
        items (Iterable): The items.
        number (int): How many to list. Defaults to 4.
    """
    names = list(map(str, items))
    more = f' and {len(names) - number} more' if len(names) > number else ''
    return ', '.join(names[:number]) + more
