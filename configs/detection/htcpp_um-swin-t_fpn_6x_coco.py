# HTC++ with UM-MAE Swin-T on COCO, 72 epochs.
#
#   bash tools/dist_train.sh configs/detection/htcpp_um-swin-t_fpn_6x_coco.py 8 --amp \
#       --cfg-options pretrained=work_dirs/um_mae_swin_t/epoch_200.pth data_root=data/coco/
#
# HTC++ is that of the Swin paper. Stuff maps are in data_root/stuffthingmaps/train2017.
# Hardware: 8 GPUs x 2 images. The paper reports no such detector; not run here.
_base_ = './htc_um-swin-t_fpn_3x_coco.py'

model = dict(
    backbone=dict(drop_path_rate=0.2),
    neck=dict(
        type='GlobalAttentionFPN', num_heads=24
    ),  # one global self-attention layer after the last stage
    roi_head=dict(
        bbox_head=[{**head, **_base_.swin_box_head} for head in _base_.model.roi_head.bbox_head]
    ),
    test_cfg=dict(rcnn=dict(nms=dict(type='soft_nms'))),
)

train_pipeline = [
    dict(type='LoadImageStrict'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True, with_seg=True),
    dict(type='OpenCVInstaBoost'),
    # short side 400 to 1400, long side at most 1600
    dict(type='RandomResize', scale=[(1600, 400), (1600, 1400)], keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

max_epochs = 72
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(
        type='MultiStepLR', begin=0, end=max_epochs, by_epoch=True, milestones=[63, 69], gamma=0.1
    ),
]
