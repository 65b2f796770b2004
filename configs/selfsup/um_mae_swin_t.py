# UM-MAE Swin-T, 200 epochs on unlabelled images at 256 px.
#
#   bash tools/dist_train.sh configs/selfsup/um_mae_swin_t.py 8 --amp --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs. Hours: 25.0 (the paper's). ImageNet-1K top-1 after fine-tuning: 82.04 (the
# paper's, not run here).
_base_ = [
    '../_base_/models/um_mae_swin_t.py',
    '../_base_/datasets/unlabelled_256.py',
    '../_base_/schedules/um_mae_200e.py',
    '../_base_/selfsup_runtime.py',
]
# 8 GPUs x 512 images = 4096
train_dataloader = dict(batch_size=512)
