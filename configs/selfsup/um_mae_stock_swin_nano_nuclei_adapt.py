# UM-MAE of a very small stock Swin on nuclei, from weights of elsewhere: adapting them to a domain
# of your own, at a size that a study affords.
#
#   python tools/train.py configs/classification/swin-nano_mini.py
#   python tools/train.py configs/selfsup/um_mae_stock_swin_nano_nuclei_adapt.py --amp \
#       --cfg-options pretrained=work_dirs/swin-nano_mini/iter_1500.pth
#
# Hardware: 2 CPU cores, or a GPU. Results: docs/results.md.
_base_ = './um_mae_swin_nano_nuclei.py'
# Weights in any names, of any window. None: from scratch.
pretrained = None
model = dict(
    backbone=dict(
        _delete_=True,
        type='UMStockSwin',
        arch=dict(embed_dims=48, depths=(2, 2, 2, 2), num_heads=(2, 4, 8, 16)),
        img_size=128,
        window_size=16,  # 8 on the compact image
        drop_path_rate=0.0,
        pad_small_map=True,
        init_cfg=dict(type='BackboneCheckpoint', checkpoint=pretrained),
    )
)
