# UM-MAE Swin-T with an early sign of life: k-NN accuracy of its features on labelled images, every
# 10 epochs.
#
#   bash tools/dist_train.sh configs/selfsup/um_mae_swin_t_knn.py 8 --amp \
#       --cfg-options data_root=FOLDER labelled_root=FOLDER_WITH_TRAIN_AND_VAL
#
# Hardware: 8 GPUs, hours as um_mae_swin_t.py and the k-NN. The paper does not report it; not run
# here.
_base_ = './um_mae_swin_t.py'
labelled_root = 'data/labelled'

pipeline = [*_base_.test_pipeline[:-2], dict(type='PackInputs')]  # no mask
loader = dict(
    batch_size=128,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
)
dataset = dict(type='LabelledImages', data_root=labelled_root, pipeline=pipeline)
custom_hooks = [
    *_base_.custom_hooks,
    dict(
        type='KNNHook',
        interval=10,
        bank_dataloader=dict(**loader, dataset=dict(**dataset, data_prefix='train')),
        dataloader=dict(**loader, dataset=dict(**dataset, data_prefix='val')),
    ),
]
