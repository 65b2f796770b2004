# Mask R-CNN with a UM-MAE Swin-T on COCO, 12 epochs.
#
#   bash tools/dist_train.sh configs/detection/mask_rcnn_um_swin_t_1x_coco.py 8 --amp \
#       --cfg-options pretrained=work_dirs/um_mae_swin_t/epoch_200.pth data_root=data/coco/
#
# Hardware: 8 GPUs x 2 images. The paper reports no Mask R-CNN; nothing was measured here either.
_base_ = ['mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py', '../_base_/detection_runtime.py']

# The one line: a checkpoint of pre-training (ours or the authors'). None: from scratch.
pretrained = None

model = dict(
    backbone=dict(
        _delete_=True,
        type='UMSwin',
        arch='tiny',
        window_size=16,  # 16 dense, after 8 on the compact image, where 8 tokens span 16
        drop_path_rate=0.1,
        out_indices=(0, 1, 2, 3),
        pad_small_map=True,
        init_cfg=dict(type='BackboneCheckpoint', checkpoint=pretrained)),
    neck=dict(in_channels=[96, 96 * 2, 96 * 4, 96 * 8]))

# a file that is cut short is named instead of trained on
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[0] = test_pipeline[0] = dict(type='LoadWholeImage')
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

# weight decay skips 1-D parameters
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True, norm_decay_mult=0., bias_decay_mult=0., flat_decay_mult=0.))
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2, save_best='coco/segm_mAP'))
