# k-nearest-neighbour classification of the mini data set's digits by features of the very small
# Swin: nothing is trained.
#
#   python tools/prepare_data.py mini-classes --out data/mini_classes
#   python tools/test.py configs/classification/um-swin-nano_knn_mini.py \
#       work_dirs/um_mae_swin_nano_mini/epoch_14.pth
#
# Hardware: 2 CPU cores, half a minute. Accuracy: see docs/results.md.
_base_ = './um-swin-nano_mini.py'
model = dict(
    _delete_=True,
    type='KNNClassifier',
    backbone={**_base_.model.backbone, 'init_cfg': None},
    k=20,
    temperature=0.07,
)
test_cfg = dict(
    type='KNNTestLoop',
    bank_dataloader=dict(
        batch_size=64,
        num_workers=1,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
        dataset=dict(
            type='LabelledImages',
            data_root=_base_.data_root,
            data_prefix='train',
            pipeline=_base_.test_pipeline,
        ),
    ),
)
train_dataloader = None
train_cfg = None
optim_wrapper = None
param_scheduler = None
val_dataloader = None
val_cfg = None
val_evaluator = None
