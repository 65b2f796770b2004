# Cascade Mask R-CNN with UM-MAE Swin-T on COCO, 36 epochs, multi-scale and crops.
#
#   bash tools/dist_train.sh configs/detection/cascade-mask-rcnn_um-swin-t_fpn_3x_coco.py 8 --amp \
#       --cfg-options pretrained=work_dirs/um_mae_swin_t/epoch_200.pth data_root=data/coco/
#
# Hardware: 8 GPUs x 2 images. The paper reports no such detector; not run here.
_base_ = [
    'mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py',
    '../_base_/datasets/coco_instance_ms.py',
    '../_base_/schedules/detection_36e.py',
    'mmdet::_base_/default_runtime.py',
    '../_base_/detection_runtime.py',
]
model = dict(
    backbone=dict(_delete_=True, **_base_.um_swin_t),
    neck=dict(in_channels=[96, 96 * 2, 96 * 4, 96 * 8]),
    roi_head=dict(
        bbox_head=[
            {
                **head,
                **_base_.swin_box_head,
                'reg_class_agnostic': False,
                'reg_decoded_bbox': True,
                'loss_bbox': dict(type='GIoULoss', loss_weight=10.0),
            }
            for head in _base_.model.roi_head.bbox_head
        ]
    ),
)
default_hooks = _base_.fault_tolerant_hooks
visualizer = dict(vis_backends=_base_.fault_tolerant_backends)
log_processor = _base_.progress_log
