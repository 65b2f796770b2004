"""Test-time augmentation for instance segmentation."""

from typing import Any

import torch
from mmcv.ops import batched_nms
from mmdet.models.test_time_augs import DetTTAModel
from mmdet.structures import DetDataSample
from mmengine.registry import MODELS
from mmengine.structures import InstanceData

FLIP_DIMS = dict(horizontal=(-1,), vertical=(-2,), diagonal=(-2, -1))


@MODELS.register_module()
class MaskTTAModel(DetTTAModel):
    """mmdet's ``DetTTAModel`` for detectors with masks, which that class refuses.

    Boxes are merged as in mmdet, by NMS over all views. A box that stays keeps its own mask.

    Args:
        tta_cfg (dict): ``nms`` (dict) and ``max_per_img`` (int).
        **kwargs: Further arguments of ``DetTTAModel``.
    """

    def test_step(self, data: dict[str, Any]) -> list[DetDataSample]:
        """Predictions for a batch, merged over its views."""
        # mmdet's cascades turn the masks of a flipped view themselves, by a negative step, which
        # torch does not support. They are not told that the view is flipped.
        for sample in (sample for view in data['data_samples'] for sample in view):
            sample.set_metainfo(dict(flip=False, view_flip=sample.get('flip', False)))
        return super().test_step(data)

    def _merge_single_sample(self, data_samples: list[DetDataSample]) -> DetDataSample:
        for sample in data_samples:
            sample.set_metainfo(dict(flip=sample.view_flip))
        views = [sample.pred_instances for sample in data_samples]
        if 'masks' not in views[0]:
            return super()._merge_single_sample(data_samples)
        metas = [sample.metainfo for sample in data_samples]
        boxes, scores = self.merge_aug_bboxes(
            [view.bboxes for view in views], [view.scores for view in views], metas
        )
        if not len(boxes):
            return data_samples[0]
        labels = torch.cat([view.labels for view in views])
        masks = [
            view.masks.flip(FLIP_DIMS[meta['flip_direction']]) if meta['flip'] else view.masks
            for view, meta in zip(views, metas)
        ]
        kept_boxes, keep = batched_nms(boxes, scores, labels, self.tta_cfg.nms)
        keep = keep[: self.tta_cfg.max_per_img]
        kept_boxes = kept_boxes[: len(keep)]
        merged = data_samples[0]
        merged.pred_instances = InstanceData(
            bboxes=kept_boxes[:, :-1],
            scores=kept_boxes[:, -1],
            labels=labels[keep],
            masks=torch.cat(masks)[keep],
        )
        return merged
