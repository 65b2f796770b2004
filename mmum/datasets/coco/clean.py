"""Read annotation files as their authors meant them: the one meaning for training and testing.

Exporters write COCO in many ways, and pycocotools and mmdet take some of them for something else
without a word. :func:`clean` returns the content in the one form that both read right, and says
what was mended, what is left out, and what no reader should guess.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pycocotools import mask as coco_mask

from mmum.datasets.coco.masks import clean_mask, run_lengths
from mmum.datasets.coco.values import number_of
from mmum.datasets.coco.whole import whole_file_faults

# Kind of finding -> what happens. None: nobody should guess, the file is refused.
KINDS: dict[str, str | None] = {
    'image id given twice': None,
    'category id given twice': None,
    'category name given twice': None,
    'image without height and width': None,
    'annotation of an unknown image': None,
    'annotation of an unknown category': None,
    'box that is not four finite numbers': None,
    'iscrowd that is neither 0 nor 1': None,
    'segmentation that is neither polygons nor run lengths': None,
    'polygon of an odd number of coordinates': None,
    'mask of another size than its image': None,
    'boxes that seem to be x1, y1, x2, y2 in place of x, y, width, height': None,
    'boxes that seem to be shares of the image in place of pixels': None,
    'boxes of which most leave their image': None,
    'nothing but crowds, so there is no object to learn or to compare with': None,
    'annotation id that is no number above 0, or given twice': 'all are numbered anew',
    'file name with backslashes': 'read with slashes',
    'category name that is no text': 'read as text',
    'number written as text': 'read as a number',
    'polygon that is not in a list of polygons': 'read as one polygon',
    'iscrowd absent': 'read as 0',
    'area absent or not above 0': 'worked out from the mask or the box',
    'box absent': 'worked out from the mask',
    'polygon of fewer than three points': 'left out, and the rest of the mask is used',
    'mask without a pixel': 'left out of training and evaluation',
    'box without area': 'left out of training and evaluation',
    'box of less than a pixel': 'left out of training',
    'box outside its image': 'left out of training',
    'box that reaches over the edge': 'used as it is',
    'instance without a mask': 'fit for heads without masks alone',
    'crowd': 'ignored in training, as COCO means it in testing',
    'image without annotations': 'left out of training',
    'category without annotations': 'never learned',
}
# What a log has to say of an accepted file; the rest is harmless.
WARNINGS = tuple(kind for kind in KINDS if kind.startswith(('box', 'polygon', 'mask without')))


@dataclass
class Cleaned:
    """An annotation file in the form that pycocotools and mmdet read right.

    Attributes:
        content (dict): ``images``, ``annotations`` and ``categories``.
        findings (dict[str, list]): For every kind of ``KINDS`` that occurs, the ids concerned, as
            they stand in the file.
    """

    content: dict[str, Any]
    findings: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def fatal(self) -> dict[str, list[Any]]:
        """The findings for which the file is refused."""
        return {kind: ids for kind, ids in self.findings.items() if KINDS[kind] is None}


class Leave(Exception):
    """Raised for an annotation that is left out."""


def clean(content: Mapping[str, Any]) -> Cleaned:
    """Clean the content of an annotation file.

    Args:
        content (dict): ``images``, ``annotations`` and ``categories``: lists of dicts. It is not
            changed.

    Returns:
        Cleaned: The content to use, where nothing is fatal, and what was found.
    """
    found: defaultdict[str, list[Any]] = defaultdict(list)
    images = [_image(dict(image), found) for image in content['images']]
    categories = [_category(dict(category), found) for category in content['categories']]
    for kind, items, key in (
        ('image id given twice', images, 'id'),
        ('category id given twice', categories, 'id'),
        ('category name given twice', categories, 'name'),
    ):
        found[kind] += _repeated(items, key)
    image_of = {_hashable(image.get('id')): image for image in images}
    known = {_hashable(category.get('id')) for category in categories}
    annotations, pairs = [], []
    for raw in content['annotations']:
        annotation = dict(raw)
        image = image_of.get(_hashable(annotation.get('image_id')))
        name = annotation.get('id')
        if image is None:
            found['annotation of an unknown image'].append(name)
        elif _hashable(annotation.get('category_id')) not in known:
            found['annotation of an unknown category'].append(name)
        else:
            try:
                _annotation(annotation, image, found)
                annotations.append(annotation)
                pairs.append((annotation, image))
            except Leave:
                pass
    for kind in whole_file_faults(pairs):
        found[kind] += [annotation.get('id') for annotation in annotations]
    with_objects = {_hashable(annotation['image_id']) for annotation in annotations}
    used = {_hashable(annotation['category_id']) for annotation in annotations}
    found['image without annotations'] = [i for i in image_of if i not in with_objects]
    found['category without annotations'] = [i for i in known if i not in used]
    _renumber(annotations, found)
    rest = {key: value for key, value in content.items() if key in ('info', 'licenses')}
    cleaned = dict(rest, images=images, categories=categories, annotations=annotations)
    return Cleaned(cleaned, {kind: found[kind] for kind in KINDS if found[kind]})


def _hashable(value: Any) -> Any:
    return value if isinstance(value, (int, float, str)) else repr(value)


def _repeated(items: list[dict[str, Any]], key: str) -> list[Any]:
    counts = Counter(_hashable(item.get(key)) for item in items)
    return [value for value, number in counts.items() if number > 1]


def _image(image: dict[str, Any], found: defaultdict[str, list[Any]]) -> dict[str, Any]:
    """Clean an image's entry."""
    sides = [number_of(image.get(key)) for key in ('height', 'width')]
    if any(side is None or side < 1 or side != round(side) for side in sides):
        found['image without height and width'].append(image.get('id'))
    else:
        if any(isinstance(image[key], str) for key in ('height', 'width')):
            found['number written as text'].append(image.get('id'))
        image['height'], image['width'] = (int(side) for side in sides if side is not None)
    name = image['file_name']
    if isinstance(name, str) and '\\' in name:
        found['file name with backslashes'].append(image.get('id'))
        image['file_name'] = name.replace('\\', '/')
    return image


def _category(category: dict[str, Any], found: defaultdict[str, list[Any]]) -> dict[str, Any]:
    if not isinstance(category['name'], str):
        found['category name that is no text'].append(category.get('id'))
        category['name'] = str(category['name'])
    return category


def _annotation(
    annotation: dict[str, Any], image: dict[str, Any], found: defaultdict[str, list[Any]]
) -> None:
    """Clean an annotation, in place.

    Raises:
        Leave: If it is left out.
    """
    name = annotation.get('id')
    _crowd(annotation, found)
    sides: Any = (image.get('height'), image.get('width'))
    sized = all(isinstance(side, int) for side in sides)
    mask = annotation.pop('segmentation', None)
    if mask is not None and not (isinstance(mask, (list, dict)) and not mask):
        kept, kinds = clean_mask(mask, *sides) if sized else (None, [])
        for kind in kinds:
            found[kind].append(name)
        if 'mask without a pixel' in kinds:
            raise Leave
        if kept is not None:
            annotation['segmentation'] = kept
    elif not annotation.get('iscrowd'):
        found['instance without a mask'].append(name)
    if not _box(annotation, image, found):
        return
    left, top, width, height = annotation['bbox']
    if width <= 0 or height <= 0:
        found['box without area'].append(name)
        raise Leave
    area = number_of(annotation.get('area'))
    if area is None or area <= 0:
        found['area absent or not above 0'].append(name)
        area = width * height
        if 'segmentation' in annotation:
            area = float(coco_mask.area(run_lengths(annotation['segmentation'], *sides)))
    annotation['area'] = area
    if width < 1 or height < 1:
        found['box of less than a pixel'].append(name)
    elif sized:
        right, bottom = left + width, top + height
        if left >= image['width'] or top >= image['height'] or right <= 0 or bottom <= 0:
            found['box outside its image'].append(name)
        # a pixel for rounding
        elif min(left, top) < -1 or right > image['width'] + 1 or bottom > image['height'] + 1:
            found['box that reaches over the edge'].append(name)


def _crowd(annotation: dict[str, Any], found: defaultdict[str, list[Any]]) -> None:
    crowd = annotation.get('iscrowd')
    if crowd is None:
        found['iscrowd absent'].append(annotation.get('id'))
        crowd = 0
    number = number_of(crowd)
    if number not in (0, 1):
        found['iscrowd that is neither 0 nor 1'].append(annotation.get('id'))
        return
    if isinstance(crowd, str):
        found['number written as text'].append(annotation.get('id'))
    annotation['iscrowd'] = int(number)
    if number:
        found['crowd'].append(annotation.get('id'))


def _box(
    annotation: dict[str, Any], image: dict[str, Any], found: defaultdict[str, list[Any]]
) -> bool:
    """Clean the box: whether there is one."""
    box: Any = annotation.get('bbox')
    name = annotation.get('id')
    if box is None and 'segmentation' in annotation:
        found['box absent'].append(name)
        mask = run_lengths(annotation['segmentation'], image['height'], image['width'])
        box = [float(side) for side in coco_mask.toBbox(mask)]
    numbers = [number_of(side) for side in box] if isinstance(box, (list, tuple)) else []
    if len(numbers) != 4 or None in numbers:
        found['box that is not four finite numbers'].append(name)
        return False
    if any(isinstance(side, str) for side in box):
        found['number written as text'].append(name)
    annotation['bbox'] = numbers
    return True


def _renumber(annotations: list[dict[str, Any]], found: defaultdict[str, list[Any]]) -> None:
    """Number annotations from 1, where their ids are not numbers above 0, each given once.

    pycocotools writes the id of a match into a table in which 0 stands for none.
    """
    ids = [annotation.get('id') for annotation in annotations]
    counts = Counter(map(_hashable, ids))
    wrong = [
        one
        for one in ids
        if not isinstance(one, int) or isinstance(one, bool) or one < 1 or counts[one] > 1
    ]
    if wrong:
        found['annotation id that is no number above 0, or given twice'] = wrong
        for number, annotation in enumerate(annotations, 1):
            annotation['id'] = number
