# UM-MAE ViT-L, 200 epochs on unlabelled images at 224 px.
#
#   bash tools/dist_train.sh configs/selfsup/um_mae_vit_l.py 8 --amp \
#       --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs. The paper does not report it; not run here.
_base_ = './um_mae_vit_b.py'
model = dict(backbone=dict(arch='large'), neck=dict(in_channels=1024))
# 8 GPUs x 256 images x 2 accumulated steps = 4096
train_dataloader = dict(batch_size=256)
optim_wrapper = dict(accumulative_counts=2)
