# HTC++ with UM-MAE Swin-L on COCO: multi-scale testing with flips.
#
#   bash tools/dist_test.sh configs/detection/htcpp_um-swin-l_fpn_6x_coco_tta.py \
#       work_dirs/htcpp_um-swin-l_fpn_6x_coco/epoch_72.pth 8 --tta \
#       --cfg-options data_root=data/coco/
#
# Hardware: 8 GPUs. Nothing was measured here; the scales are those of mmdet's HTC recipes and the
# Swin paper's range.
_base_ = './htcpp_um-swin-l_fpn_6x_coco.py'
# soft-NMS over all views
tta_model = dict(
    type='MaskTTAModel', tta_cfg=dict(nms=_base_.model.test_cfg.rcnn.nms, max_per_img=100)
)
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale=(1600, side), keep_ratio=True)
                for side in (400, 600, 800, 1000, 1200, 1400)
            ],
            [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)],
            [
                dict(
                    type='PackDetInputs',
                    meta_keys=(
                        'img_id',
                        'img_path',
                        'ori_shape',
                        'img_shape',
                        'scale_factor',
                        'flip',
                        'flip_direction',
                    ),
                )
            ],
        ],
    ),
]
