# HTC without the semantic branch with a very small UM-MAE Swin on the mini data set: one of the
# heads of tools/study.py.
#
#   python tools/train.py configs/detection/htc-without-semantic_um-swin-nano_fpn_mini.py \
#       --cfg-options pretrained=work_dirs/um_mae_swin_nano_mini/epoch_14.pth
#
# Hardware: 2 CPU cores. Minutes and AP: see docs/results.md.
_base_ = './cascade-mask-rcnn_um-swin-nano_fpn_mini.py'
model = dict(
    type='HybridTaskCascade',
    roi_head=dict(
        type='HybridTaskCascadeRoIHead',
        interleaved=True,
        mask_info_flow=True,
        mask_head=[
            {**_base_.model.roi_head.mask_head, 'type': 'HTCMaskHead', 'with_conv_res': stage > 0}
            for stage in range(3)
        ],
    ),
)
