"""Annotation files of COCO as they stand."""

import json
from pathlib import Path
from typing import Any

from mmum.errors import InputError


def read_coco(path: str | Path, labelled: bool = True) -> dict[str, Any]:
    """Read an annotation file.

    Args:
        path (str | Path): The file.
        labelled (bool): Whether ``annotations`` must be there; otherwise they may be absent and are
            empty then. Defaults to True.

    Raises:
        InputError: If the file is no annotation file.
    """
    try:
        content = json.loads(Path(path).read_bytes())  # of any UTF, whatever the locale
        if not labelled:
            content.setdefault('annotations', [])
        keys = ('images', 'annotations', 'categories')
        wrong = [key for key in keys if not isinstance(content[key], list)]
        _ = [image['file_name'] for image in content['images']]
        _ = [category['name'] for category in content['categories']]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f'{path} is not a COCO annotation file ({type(error).__name__}: {error}): '
            'it should be JSON with images, annotations and categories'
        ) from error
    if wrong:
        raise InputError(f'{path} is not a COCO annotation file: {wrong[0]} should be a list')
    return content
