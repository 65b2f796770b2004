"""What is wrong with COCO annotations."""
import json
import math
from collections import Counter, defaultdict
from pathlib import Path

from mmum.errors import InputError

# kind of fault -> what happens to such an annotation; None: a training or an evaluation would stop or be wrong
FAULTS = {
    'image id given twice': None,
    'annotation id given twice': None,
    'category id given twice': None,
    'category name given twice': None,
    'annotation of an unknown image': None,
    'annotation of an unknown category': None,
    'box that is not four finite numbers': None,
    'image without height and width': None,
    'box outside its image': 'left out of training',
    'box without area': 'left out of training',
    'box that reaches over the edge': 'used as it is',
    'instance without a mask': 'left out of the training of masks',
    'polygon of fewer than three points': 'left out of training',
    'crowd': 'ignored in training, as COCO means it in testing',
    'image without annotations': 'left out of training',
    'category without annotations': 'never learned',
}


def read_coco(path, labelled=True):
    """An annotation file's content.

    Args:
        path (str | Path): The file.
        labelled (bool): Without, ``annotations`` may be absent, as in COCO's files of test images, and is empty then.
            Defaults to True.

    Raises:
        InputError: If it is none.
    """
    try:
        content = json.loads(Path(path).read_text())
        if not labelled:
            content.setdefault('annotations', [])
        missing = [key for key in ('images', 'annotations', 'categories') if not isinstance(content[key], list)]
        _ = [image['file_name'] for image in content['images']], [one['name'] for one in content['categories']]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f'{path} is not a COCO annotation file ({type(error).__name__}: {error}): it should be JSON with '
                         'images, annotations and categories') from error
    if missing:
        raise InputError(f'{path} is not a COCO annotation file: {missing[0]} should be a list')
    return content


def check_coco(content):
    """Looks at every annotation.

    Args:
        content (dict): Of an annotation file, see :func:`read_coco`.

    Returns:
        dict[str, list]: For every kind of ``FAULTS`` that there is, the ids of what has it.
    """
    found = defaultdict(list)
    for kind, items, key in (('image id', 'images', 'id'), ('annotation id', 'annotations', 'id'),
                             ('category id', 'categories', 'id'), ('category name', 'categories', 'name')):
        twice = [value for value, number in Counter(one.get(key) for one in content[items]).items() if number > 1]
        if twice:
            found[f'{kind} given twice'] = twice
    images = {image.get('id'): image for image in content['images']}
    categories = {category.get('id') for category in content['categories']}
    seen_images, seen_categories = set(), set()
    for image in content['images']:
        if not (image.get('height') and image.get('width')):
            found['image without height and width'].append(image.get('id'))
    for annotation in content['annotations']:
        image = images.get(annotation.get('image_id'))
        seen_images.add(annotation.get('image_id'))
        seen_categories.add(annotation.get('category_id'))
        for kind in _faults(annotation, image, categories):
            found[kind].append(annotation.get('id'))
    found['image without annotations'] = [id for id in images if id not in seen_images]
    found['category without annotations'] = [id for id in categories if id not in seen_categories]
    return {kind: found[kind] for kind in FAULTS if found[kind]}


def _faults(annotation, image, categories):
    if image is None:
        yield 'annotation of an unknown image'
    if annotation.get('category_id') not in categories:
        yield 'annotation of an unknown category'
    if annotation.get('iscrowd'):
        yield 'crowd'
    box = annotation.get('bbox')
    if not (isinstance(box, list) and len(box) == 4
            and all(isinstance(side, (int, float)) and math.isfinite(side) for side in box)):
        yield 'box that is not four finite numbers'
        return
    left, top, width, height = box
    if width < 1 or height < 1 or annotation.get('area', 1) <= 0:  # mmdet's rule
        yield 'box without area'
    elif image and image.get('width') and image.get('height'):
        if left >= image['width'] or top >= image['height'] or left + width <= 0 or top + height <= 0:
            yield 'box outside its image'
        # a pixel for rounding
        elif left < -1 or top < -1 or left + width > image['width'] + 1 or top + height > image['height'] + 1:
            yield 'box that reaches over the edge'
    mask = annotation.get('segmentation')
    if not mask:
        yield 'instance without a mask'
    elif isinstance(mask, list) and any(len(polygon) < 6 or len(polygon) % 2 for polygon in mask):
        yield 'polygon of fewer than three points'
