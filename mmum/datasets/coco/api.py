"""pycocotools' index of an annotation file, of its cleaned content and in the order of classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmdet.datasets.api_wrappers import COCO

from mmum.datasets.coco.clean import clean
from mmum.datasets.coco.read import read_coco
from mmum.datasets.coco.report import refuse_or_warn, say_once, unknown_classes
from mmum.errors import InputError, preview


class CheckedCOCO(COCO):
    """``COCO`` that reads a file as :func:`mmum.datasets.coco.clean.clean` does.

    Args:
        path (str): The annotation file.
        classes (Sequence[str]): Names of the classes, which number the labels whatever the order of
            the categories in the file.
        source (str, optional): The file as the config names it, for messages. Defaults to ``path``.
        masks (bool): Whether masks are needed. Defaults to False.
        images (str, optional): Folder of the images: names that exist with backslashes are left
            alone. Defaults to None.
        complete (bool): Whether the file must have all classes, as one for training. Defaults to
            False: those that are absent are warned of, and count in no average.

    Raises:
        InputError: If the file is refused, or does not fit the classes.
    """

    def __init__(
        self,
        path: str,
        classes: Sequence[str],
        source: str | None = None,
        masks: bool = False,
        images: str | None = None,
        complete: bool = False,
    ) -> None:
        super().__init__()
        self.source = source or path
        cleaned = clean(_literal_names(read_coco(path, labelled=False), images))
        refuse_or_warn(self.source, cleaned, masks)
        self.dataset = dict(cleaned.content)
        self.dataset['categories'] = self._with_all(classes, complete)
        ids = {category['name']: category['id'] for category in self.dataset['categories']}
        self.ids = {name: ids[name] for name in classes}
        self._index()

    def _with_all(self, classes: Sequence[str], complete: bool) -> list[dict[str, Any]]:
        """The categories of the file, and those that it lacks, without objects."""
        categories = list(self.dataset['categories'])
        names = [category['name'] for category in categories]
        absent = [name for name in classes if name not in names]
        if absent and (complete or len(absent) == len(classes)):
            raise InputError(unknown_classes(self.source, absent, names))
        if absent:
            further = [name for name in names if name not in classes]
            unknown = f'; it has {preview(further, 5)}, which are no classes' if further else ''
            say_once(
                f'{self.source} has no category {preview(absent, 5)}{unknown}: AP is that of the '
                f'other {len(classes) - len(absent)} classes'
            )
        used = {str(category['id']) for category in categories}
        number = 0
        for name in absent:
            while str(number) in used:
                number += 1
            used.add(str(number))
            categories.append(dict(id=number, name=name))
        return categories

    def _index(self) -> None:
        """Build the index, as pycocotools does, without its lines on the console."""
        self.anns, self.cats, self.imgs = {}, {}, {}
        self.imgToAnns.clear()
        self.catToImgs.clear()
        for annotation in self.dataset['annotations']:
            self.imgToAnns[annotation['image_id']].append(annotation)
            self.catToImgs[annotation['category_id']].append(annotation['image_id'])
            self.anns[annotation['id']] = annotation
        self.imgs = {image['id']: image for image in self.dataset['images']}
        self.cats = {category['id']: category for category in self.dataset['categories']}
        self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs

    def get_cat_ids(
        self,
        cat_names: Sequence[str] = (),
        sup_names: Sequence[str] = (),
        cat_ids: Sequence[Any] = (),
    ) -> list[Any]:
        """Ids of categories; of names in the order of the names, where pycocotools has the file's.

        Args:
            cat_names (Sequence[str]): Names. Defaults to (): all.
            sup_names (Sequence[str]): As for pycocotools. Defaults to ().
            cat_ids (Sequence): As for pycocotools. Defaults to ().

        Returns:
            list: The ids.
        """
        if cat_names and not sup_names and not cat_ids:
            return [self.ids[name] for name in cat_names]
        return self.getCatIds(list(cat_names), list(sup_names), list(cat_ids))


def _literal_names(content: dict[str, Any], images: str | None) -> dict[str, Any]:
    """Protect names with backslashes that exist as they are: a Linux file may have them."""
    if images is None:
        return content
    literal = {
        image['file_name']
        for image in content['images']
        if '\\' in str(image['file_name']) and Path(images, image['file_name']).is_file()
    }
    if not literal:
        return content
    listed = [
        dict(image, file_name=_Literal(image['file_name']))
        if image['file_name'] in literal
        else image
        for image in content['images']
    ]
    return dict(content, images=listed)


class _Literal(str):
    """A file name whose backslashes belong to it."""

    def replace(self, *_: Any) -> str:  # type: ignore[override]
        """The name as it is."""
        return str(self)
