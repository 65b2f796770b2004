# k-nearest-neighbour classification of ImageNet-1K by features of PVT-S after UM-MAE: nothing is
# trained.
#
#   python tools/test.py configs/classification/um-pvt-small_knn_in1k.py \
#       work_dirs/um_mae_pvt_s/epoch_200.pth \
#       --cfg-options data_root=FOLDER
#
# Hardware: 1 GPU. The paper does not report it; not run here.
_base_ = './um-swin-tiny_knn_in1k.py'
model = dict(backbone=dict(_delete_=True, type='UMPVT', arch='small', sr_ratios=(8, 4, 2, 1)))
