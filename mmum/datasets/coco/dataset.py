"""mmdet's data set and metric of COCO, on annotation files as they are meant."""

import logging
from functools import partial
from typing import Any

from mmdet.datasets import CocoDataset
from mmdet.evaluation import CocoMetric
from mmengine.fileio import get_local_path, load
from mmengine.logging import print_log
from mmengine.registry import DATASETS, METRICS

from mmum.datasets.coco.api import CheckedCOCO
from mmum.datasets.coco.interval import ap_interval
from mmum.datasets.unreadable import ReplacesUnreadable
from mmum.errors import InputError

# What mmdet reports of a kind of AP.
ITEMS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


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
        resamples (int): Draws of images for the 95 % interval of AP, ``{bbox,segm}_mAP_low`` and
            ``..._high``: some milliseconds each for a hundred images of one class, a second for all
            of COCO. Defaults to 0: no interval.
        **kwargs: Further arguments, as ``*args``.

    Raises:
        InputError: If the annotation file is refused or does not fit the classes.
    """

    def __init__(
        self, ann_file: str | None = None, *args: Any, resamples: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(None, *args, **kwargs)
        self.ann_file, self.resamples = ann_file, resamples
        self._predictions: dict[str, list[dict[str, Any]]] = {}

    def results2json(self, results: Any, outfile_prefix: str) -> dict[str, str]:
        """Write predictions to files, and keep them for intervals."""
        files = super().results2json(results, outfile_prefix)
        if self.resamples:
            self._predictions = {
                iou_type: load(files[iou_type])
                for iou_type in ('bbox', 'segm')
                if iou_type in self.metrics and iou_type in files
            }
        return files

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Compute AP, and its intervals. Without a single detection, where mmdet has none, AP is
        0."""
        self._predictions = {}
        metrics = super().compute_metrics(results)
        if not metrics and not self.format_only:
            print_log('nothing was detected in any image: AP is 0', 'current', logging.WARNING)
            items = self.metric_items or ITEMS
            metrics.update({f'{of}_{item}': 0.0 for of in self.metrics for item in items})
        for iou_type, predictions in self._predictions.items():
            if f'{iou_type}_mAP' in metrics:
                low, high = ap_interval(
                    self._coco_api,
                    predictions,
                    iou_type,
                    self.cat_ids,
                    self.img_ids,
                    self.iou_thrs,
                    self.resamples,
                )
                metrics[f'{iou_type}_mAP_low'] = round(low, 3)
                metrics[f'{iou_type}_mAP_high'] = round(high, 3)
        return metrics

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
