# k-nearest-neighbour classification of ImageNet-1K by features of ViT-B after UM-MAE: nothing is
# trained.
#
#   python tools/test.py configs/classification/um-vit-base_knn_in1k.py \
#       work_dirs/um_mae_vit_b/epoch_200.pth \
#       --cfg-options data_root=FOLDER
#
# Hardware: 1 GPU. The paper does not report it; not run here.
_base_ = './um-swin-tiny_knn_in1k.py'
model = dict(
    backbone=dict(_delete_=True, type='UMViT', arch='base', img_size=224, out_type='avg_featmap')
)
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale, test_pipeline[2].crop_size = 256, 224
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_cfg = dict(bank_dataloader=dict(dataset=dict(pipeline=test_pipeline)))
