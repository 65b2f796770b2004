# Cascade Mask R-CNN with a very small UM-MAE Swin on the mini data set: one of the heads of
# tools/study.py.
#
#   python tools/train.py configs/detection/cascade-mask-rcnn_um-swin-nano_fpn_mini.py \
#       --cfg-options pretrained=work_dirs/um_mae_swin_nano_mini/epoch_14.pth
#
# Hardware: 2 CPU cores. Minutes and AP: see docs/results.md.
_base_ = './mask-rcnn_um-swin-nano_fpn_mini.py'
_roi_head, _rcnn = _base_.model.roi_head, _base_.model.train_cfg.rcnn
# stages, overlaps and weights of mmdet's cascade-mask-rcnn_r50_fpn.py
model = dict(
    type='CascadeRCNN',
    roi_head=dict(
        type='CascadeRoIHead',
        num_stages=3,
        stage_loss_weights=[1, 0.5, 0.25],
        bbox_head=[
            {
                **_roi_head.bbox_head,
                'reg_class_agnostic': True,
                'bbox_coder': {
                    **_roi_head.bbox_head.bbox_coder,
                    'target_stds': [side, side, 2 * side, 2 * side],
                },
                'loss_bbox': dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0),
            }
            for side in (0.1, 0.05, 0.033)
        ],
    ),
    train_cfg=dict(
        rcnn=[
            {
                **_rcnn,
                'assigner': {
                    **_rcnn.assigner,
                    'pos_iou_thr': iou,
                    'neg_iou_thr': iou,
                    'min_pos_iou': iou,
                },
            }
            for iou in (0.5, 0.6, 0.7)
        ]
    ),
)
