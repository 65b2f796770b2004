# Mask R-CNN with a very small stock Swin on nuclei: the detector of the study of adapting.
#
#   python tools/train.py configs/detection/mask-rcnn_swin-nano_fpn_nuclei.py \
#       --cfg-options train_annotations=annotations/train_50.json \
#       pretrained=work_dirs/um_mae_stock_swin_nano_nuclei_adapt/backbone.safetensors
#
# Hardware: 2 CPU cores, or a GPU. Results: docs/results.md.
_base_ = './mask-rcnn_um-swin-nano_fpn_nuclei.py'
model = dict(
    backbone=dict(
        _delete_=True,
        **{
            **_base_.stock_swin_t,
            'arch': dict(embed_dims=48, depths=(2, 2, 2, 2), num_heads=(2, 4, 8, 16)),
            'img_size': 128,
            'window_size': 8,
            'drop_path_rate': 0.0,
        },
    )
)
