# UM-MAE Swin-T without secondary masking: uniform sampling alone, for the ablation.
#
#   bash tools/dist_train.sh configs/selfsup/um_mae_swin_t_no_secondary.py 8 --amp \
#       --cfg-options data_root=FOLDER
#
# Hardware: 8 GPUs, hours as um_mae_swin_t.py. Not run here.
_base_ = './um_mae_swin_t.py'
train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(type='UniformMask', input_size=256, unit=16, secondary_ratio=0.0)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
