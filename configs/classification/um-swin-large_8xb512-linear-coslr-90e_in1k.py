# Linear probe of Swin-L on ImageNet-1K after UM-MAE: a linear layer on frozen features, 90 epochs
# at 256 px.
#
#   bash tools/dist_train.sh configs/classification/um-swin-large_8xb512-linear-coslr-90e_in1k.py \
#       8 --amp \
#       --cfg-options pretrained=work_dirs/um_mae_swin_l/epoch_800.pth data_root=FOLDER
#
# Hardware: 8 GPUs x 512 images x 4 accumulated steps. The paper does not report it; not run here.
_base_ = './um-swin-tiny_8xb512-linear-coslr-90e_in1k.py'
model = dict(
    backbone=dict(arch='large', pos_mlp_dims=64),
    neck=dict(in_channels=192 * 2**3),
    head=dict(in_channels=192 * 2**3),
)
