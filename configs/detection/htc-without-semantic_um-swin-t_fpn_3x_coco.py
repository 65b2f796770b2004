# HTC with UM-MAE Swin-T on COCO, 36 epochs, without the semantic branch: no stuff maps needed.
#
#   bash tools/dist_train.sh configs/detection/htc-without-semantic_um-swin-t_fpn_3x_coco.py 8 \
#       --amp \
#       --cfg-options pretrained=work_dirs/um_mae_swin_t/epoch_200.pth data_root=data/coco/
#
# Hardware: 8 GPUs x 2 images. The paper reports no such detector; not run here.
_base_ = './htc_um-swin-t_fpn_3x_coco.py'
model = dict(roi_head=dict(semantic_roi_extractor=None, semantic_head=None))
train_pipeline = _base_.train_pipeline
train_pipeline[1] = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
train_dataloader = dict(
    dataset=dict(pipeline=train_pipeline, data_prefix=dict(_delete_=True, img='train2017/'))
)
