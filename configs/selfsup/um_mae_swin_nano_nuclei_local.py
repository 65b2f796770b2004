# The pre-training of um_mae_swin_nano_nuclei_two_stages.py with a decoder whose attention prefers
# near units, so that it need not learn first where the neighbours of a removed unit are.
#
#   python tools/train.py configs/selfsup/um_mae_swin_nano_nuclei_local.py --amp
#
# Hardware: 2 CPU cores, or a GPU. The paper does not have it. What it is worth: see
# docs/results.md.
_base_ = './um_mae_swin_nano_nuclei_two_stages.py'
model = dict(neck=dict(distance_bias=2.0))
