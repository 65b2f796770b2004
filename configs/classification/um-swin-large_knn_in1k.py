# k-nearest-neighbour classification of ImageNet-1K by features of Swin-L after UM-MAE: nothing is
# trained.
#
#   python tools/test.py configs/classification/um-swin-large_knn_in1k.py \
#       work_dirs/um_mae_swin_l/epoch_800.pth \
#       --cfg-options data_root=FOLDER
#
# Hardware: 1 GPU. The paper does not report it; not run here.
_base_ = './um-swin-tiny_knn_in1k.py'
model = dict(backbone=dict(arch='large', pos_mlp_dims=64))
