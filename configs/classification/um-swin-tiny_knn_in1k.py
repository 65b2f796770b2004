# k-nearest-neighbour classification of ImageNet-1K by features of Swin-T after UM-MAE: nothing is
# trained.
#
#   python tools/test.py configs/classification/um-swin-tiny_knn_in1k.py \
#       work_dirs/um_mae_swin_t/epoch_200.pth \
#       --cfg-options data_root=FOLDER
#
# Hardware: 1 GPU. The paper does not report it; not run here.
_base_ = ['../_base_/datasets/labelled_256.py', '../_base_/classification_runtime.py']
model = dict(
    type='KNNClassifier',
    backbone=dict(type='UMSwin', arch='tiny', window_size=16),
    k=20,
    temperature=0.07,
)
# neighbours are looked for among the training images, seen as the test images are
test_cfg = dict(
    type='KNNTestLoop',
    bank_dataloader=dict(
        batch_size=128,
        num_workers=8,
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
val_dataloader = None
val_evaluator = None
