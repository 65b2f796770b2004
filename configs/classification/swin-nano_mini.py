# A very small stock Swin trained with labels on the mini data set: stands for public weights in the
# study of adapting.
#
#   python tools/prepare_data.py mini-classes --out data/mini_classes
#   python tools/train.py configs/classification/swin-nano_mini.py
#
# Hardware: 2 CPU cores. Results: docs/results.md.
_base_ = './um-swin-nano_mini.py'
model = dict(backbone=dict(type='UMStockSwin', img_size=128, pad_small_map=True))
# with the 1e-3 of UMSwin it still answers at chance after 600 steps
optim_wrapper = dict(optimizer=dict(lr=2.5e-4))
