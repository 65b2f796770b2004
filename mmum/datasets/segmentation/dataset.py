"""mmseg's data sets and label maps, on files as they are meant."""

import os.path as osp
from typing import Any

from mmengine.registry import DATASETS, TRANSFORMS
from mmseg.datasets import ADE20KDataset, BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations

from mmum.datasets.segmentation.maps import ANY_NUMBER, Labels, read_label_map
from mmum.datasets.segmentation.pairs import check_same_size, pair_dataset
from mmum.datasets.unreadable import ReplacesUnreadable
from mmum.errors import InputError, preview


@DATASETS.register_module()
class CheckedSegDataset(ReplacesUnreadable, BaseSegDataset):
    """mmseg's ``BaseSegDataset`` of images of any format, each with a label map or refused.

    Args:
        *args: Arguments of mmseg's ``BaseSegDataset``.
        img_suffix (str, optional): End of image names. Defaults to None: that of any image format.
        bad_images (str, optional): As for :class:`~mmum.datasets.UnlabelledImages`. Defaults to
            None.
        max_bad_share (float): The same. Defaults to 0.01.
        **kwargs: Further arguments.

    Raises:
        InputError: If there are no images, or images without label map.
    """

    def __init__(
        self,
        *args: Any,
        img_suffix: str | None = None,
        bad_images: str | None = None,
        max_bad_share: float = 0.01,
        **kwargs: Any,
    ) -> None:
        self.bad_images, self.max_bad_share = bad_images, max_bad_share
        super().__init__(*args, img_suffix=img_suffix, **kwargs)

    @classmethod
    def get_label_map(cls, new_classes: Any = None) -> dict[int, int] | None:
        """Renumbering of the labels in files to those of fewer classes, by name.

        Raises:
            InputError: If a class is none of those that files of this data set have.
        """
        known = cls.METAINFO.get('classes')
        unknown = [name for name in new_classes or () if known and name not in known]
        if unknown:
            raise InputError(
                f'{preview(unknown)} are no classes of {cls.__name__}, whose files have '
                f'{len(known)} ({preview(known)}): for label maps of your own set '
                'type=CheckedSegDataset in the data sets'
            )
        found: dict[int, int] | None = super().get_label_map(new_classes)
        return found

    @property
    def labels(self) -> Labels:
        """The meaning of the values in the label maps."""
        classes = self.METAINFO.get('classes') or self.metainfo.get('classes') or ()
        return Labels(len(classes), self.reduce_zero_label)

    def load_data_list(self) -> list[dict[str, Any]]:
        """List the images with their label maps."""
        if '://' in str(self.data_prefix.get('img_path')):
            if self.img_suffix is None:
                raise InputError('images at a URL need img_suffix of the data set, such as .jpg')
            found = super().load_data_list()
        else:
            found = self._local()
        for item in found:
            item['labels'] = self.labels
        return found

    def _local(self) -> list[dict[str, Any]]:
        images, maps = self.data_prefix.get('img_path'), self.data_prefix.get('seg_map_path')
        pairs = pair_dataset(self)
        names = pairs.images if maps else dict.fromkeys([*pairs.images, *pairs.without_map])
        return [
            dict(
                img_path=osp.join(images, name),
                **(dict(seg_map_path=osp.join(maps, label)) if label else {}),
                label_map=self.label_map,
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[],
            )
            for name, label in sorted(names.items())
        ]


@DATASETS.register_module()
class CheckedADE20KDataset(CheckedSegDataset):
    """ADE20K: :class:`CheckedSegDataset` with its 150 classes, counted from 1 in files.

    Args:
        *args: Arguments of :class:`CheckedSegDataset`.
        reduce_zero_label (bool): Whether 0 is no class. Defaults to True.
        **kwargs: Further arguments.
    """

    METAINFO = ADE20KDataset.METAINFO

    def __init__(self, *args: Any, reduce_zero_label: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, reduce_zero_label=reduce_zero_label, **kwargs)


@TRANSFORMS.register_module()
class LoadSegMapStrict(LoadAnnotations):
    """mmseg's ``LoadAnnotations``, which refuses what it would turn into wrong labels.

    The arguments are those of ``LoadAnnotations``.

    Raises:
        UnreadableImage: If the file cannot be decoded.
        InputError: If it is in colour, of another size than the image, or has a value that is no
            class (the last for :class:`CheckedSegDataset`, which tells the number of classes).
    """

    def _load_seg_map(self, results: dict[str, Any]) -> None:
        path, from_one = results.get('seg_map_path'), results['reduce_zero_label']
        if path is None:
            raise InputError(
                f'{results["img_path"]} has no label map: name their folder in '
                'data_prefix.seg_map_path'
            )
        if self.reduce_zero_label not in (None, from_one):
            raise InputError(
                f'reduce_zero_label is {self.reduce_zero_label} in the pipeline and {from_one} in '
                'the data set: set it in the data set alone'
            )
        values = read_label_map(path)
        check_same_size(path, values.shape, results['img_path'], results['ori_shape'])
        labels = results.get('labels', Labels(ANY_NUMBER, from_one))
        labels.check(values, path)
        results['gt_seg_map'] = labels.table(results.get('label_map'))[values]
        results['seg_fields'].append('gt_seg_map')
