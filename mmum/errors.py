"""The one exception for what a user can put right."""


class InputError(ValueError):
    """Bad input: its message is one sentence that names the culprit (file, key or size) and the remedy.

    The tools print the sentence alone, without a traceback.
    """


def input_error_sentence(error):
    """Finds the sentence of the :class:`InputError` behind an exception, if there is one.

    Follows the chain of causes, and looks into the text that torch puts around an exception of a data-loading worker
    (``Caught InputError in DataLoader worker process 0 ...``).

    Args:
        error (BaseException): What was caught.

    Returns:
        str | None: The sentence, or None where no InputError is behind it.
    """
    while error is not None:
        if isinstance(error, InputError):
            return str(error).rpartition(f'{InputError.__name__}: ')[2].strip()
        error = error.__cause__ or error.__context__
    return None


def preview(names, number=4):
    """The first few of a list, for a sentence."""
    return ', '.join(map(str, names[:number])) + (f' and {len(names) - number} more' if len(names) > number else '')
