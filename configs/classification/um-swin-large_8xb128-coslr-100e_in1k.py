# Swin-L fine-tuned on ImageNet-1K from UM-MAE, 100 epochs at 256 px.
#
#   bash tools/dist_train.sh configs/classification/um-swin-large_8xb128-coslr-100e_in1k.py 8 \
#       --amp \
#       --cfg-options pretrained=work_dirs/um_mae_swin_l/epoch_800.pth data_root=FOLDER
#
# Hardware: 8 GPUs x 128 images. Top-1: 85.2 (the paper's, not run here).
_base_ = './um-swin-tiny_8xb128-coslr-100e_in1k.py'
model = dict(
    backbone=dict(arch='large', pos_mlp_dims=64, drop_path_rate=0.2),
    neck=dict(in_channels=192 * 2**3),
    head=dict(in_channels=192 * 2**3),
)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.7))
