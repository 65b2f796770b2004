# HTC++ with UM-MAE Swin-L on COCO, 72 epochs, without the semantic branch.
#
#   bash tools/dist_train.sh configs/detection/htcpp-without-semantic_um-swin-l_fpn_6x_coco.py 8 \
#       --amp \
#       --cfg-options pretrained=work_dirs/um_mae_swin_l/epoch_800.pth data_root=data/coco/
#
# HTC++ is that of the Swin paper. No stuff maps are needed.
# Hardware: 16 GPUs x 1 image (or 8 x 1
# with --global-batch 16). The paper reports no such detector; not run here.
_base_ = './htcpp-without-semantic_um-swin-t_fpn_6x_coco.py'
model = dict(
    backbone=dict(arch='large', pos_mlp_dims=64, with_cp=True),
    neck=dict(num_heads=48, in_channels=[192, 192 * 2, 192 * 4, 192 * 8]),
)
train_dataloader = dict(batch_size=1)
