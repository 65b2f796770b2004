# HTC++ with UM-MAE Swin-L on COCO, 72 epochs: the run of the paper's abstract.
#
#   bash tools/dist_train.sh configs/detection/htcpp_um-swin-l_fpn_6x_coco.py 8 --amp \
#       --cfg-options pretrained=work_dirs/um_mae_swin_l/epoch_800.pth data_root=data/coco/
#
# HTC++ is that of the Swin paper; the authors' config is private. Their published detectors all
# start from weights fine-tuned on ImageNet-1K; their README says only "self-supervised" of this
# run, and here it starts from the pre-training. Tested at 1333x800, for the Swin paper gives no
# scale. Stuff maps are in data_root/stuffthingmaps/train2017.
# Hardware: 16 GPUs x 1 image (or 8 x 1
# with --global-batch 16). The paper: 57.4 box AP, 49.8 mask AP on COCO val with Swin-L pre-trained
# on ImageNet-1K (supervised ImageNet-22K: 57.1, 49.5); not run here.
_base_ = './htcpp_um-swin-t_fpn_6x_coco.py'
model = dict(
    backbone=dict(arch='large', pos_mlp_dims=64, with_cp=True),
    neck=dict(num_heads=48, in_channels=[192, 192 * 2, 192 * 4, 192 * 8]),
)
train_dataloader = dict(batch_size=1)
