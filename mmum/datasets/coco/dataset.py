"""mmdet's data set and metric of COCO, on annotation files as they are meant."""

from functools import partial
from typing import Any

from mmdet.datasets import CocoDataset
from mmdet.evaluation import CocoMetric
from mmengine.fileio import get_local_path
from mmengine.registry import DATASETS, METRICS

from mmum.datasets.coco.api import CheckedCOCO
from mmum.datasets.unreadable import ReplacesUnreadable
from mmum.errors import InputError


@DATASETS.register_module()
class CheckedCocoDataset(ReplacesUnreadable, CocoDataset):
    """mmdet's ``CocoDataset`` whose labels follow the names of the classes.

    Files are cleaned, or refused, by :func:`mmum.datasets.coco.clean.clean`. mmdet numbers labels
    by the order of the categories in the file, so that two files with the same names in two orders
    mean different things by a label.

    Args:
        *args: Arguments of mmdet's ``CocoDataset``.
        bad_images (str, optional): As for :class:`~mmum.datasets.UnlabelledImages`. Defaults to
            None.
        max_bad_share (float): The same. Defaults to 0.01.
        **kwargs: Further arguments. In ``metainfo``, ``classes='cat'`` is one class.

    Raises:
        InputError: If the annotation file is refused or does not fit the classes.
    """

    def __init__(
        self,
        *args: Any,
        bad_images: str | None = None,
        max_bad_share: float = 0.01,
        **kwargs: Any,
    ) -> None:
        self.bad_images, self.max_bad_share = bad_images, max_bad_share
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Load the cleaned annotations."""
        transforms = getattr(self.pipeline, 'transforms', [])
        self.COCOAPI = partial(
            CheckedCOCO,
            classes=self.metainfo['classes'],
            source=self.ann_file,
            masks=any(getattr(transform, 'with_mask', False) for transform in transforms),
            images=self.data_prefix.get('img'),
            complete=not self.test_mode,
        )
        try:
            return super().load_data_list()
        finally:
            del self.COCOAPI  # the class's own again: workers get copies of the data set

    @classmethod
    def _load_metainfo(cls, metainfo: Any = None) -> dict[str, Any]:
        classes = dict(metainfo or {}).get('classes')
        if isinstance(classes, str) and not classes.endswith('.txt'):
            metainfo = dict(metainfo, classes=(classes,))
        return super()._load_metainfo(metainfo)


@METRICS.register_module()
class CheckedCocoMetric(CocoMetric):
    """mmdet's ``CocoMetric`` on the annotations that :class:`CheckedCocoDataset` trains on.

    Args:
        ann_file (str, optional): The annotation file. Defaults to None: the truth comes from the
            data samples.
        *args: Further arguments of mmdet's ``CocoMetric``.
        **kwargs: The same.

    Raises:
        InputError: If the annotation file is refused or does not fit the classes.
    """

    def __init__(self, ann_file: str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(None, *args, **kwargs)
        self.ann_file = ann_file

    @property
    def dataset_meta(self) -> dict | None:
        """Meta information of the data set: with it comes the order of the classes."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        if self.ann_file is not None:
            masks = 'segm' in self.metrics and not self.format_only
            with get_local_path(self.ann_file, backend_args=self.backend_args) as path:
                api = CheckedCOCO(path, dataset_meta['classes'], self.ann_file, masks)
            if not self.format_only and not any(api.cat_img_map[i] for i in api.ids.values()):
                raise InputError(
                    f'{self.ann_file} has no object of the classes to compare with: give an '
                    'annotation file with objects'
                )
            self._coco_api = api
        self._dataset_meta = dataset_meta
