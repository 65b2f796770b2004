# Linear probe of ViT-B on ImageNet-1K after UM-MAE: a linear layer on frozen features, 90 epochs at
# 224 px.
#
#   bash tools/dist_train.sh configs/classification/um-vit-base_8xb512-linear-coslr-90e_in1k.py 8 \
#       --amp \
#       --cfg-options pretrained=work_dirs/um_mae_vit_b/epoch_200.pth data_root=FOLDER
#
# Hardware: 8 GPUs x 512 images x 4 accumulated steps. The paper does not report it; not run here.
_base_ = './um-swin-tiny_8xb512-linear-coslr-90e_in1k.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='UMViT',
        arch='base',
        img_size=224,
        out_type='avg_featmap',
        frozen_stages=12,
        init_cfg=_base_.model.backbone.init_cfg,
    ),
    neck=dict(in_channels=768),
    head=dict(in_channels=768),
)
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[1].scale = 224
test_pipeline[1].scale, test_pipeline[2].crop_size = 256, 224
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
