"""Curve and scores of a training or a test, from its log."""

METRICS = ('bbox_mAP', 'bbox_mAP_50', 'segm_mAP', 'segm_mAP_50')
SEGMENTATION = ('mIoU', 'mAcc', 'aAcc')
SCORES = {'mask AP': 'segm_mAP', 'mIoU': 'mIoU', 'top-1': 'top1'}
CURVES = ('loss', 'mean_colour', 'interpolation', 'own_colour')
MAX_POINTS = 60  # of a curve that a result file keeps


def score(metrics):
    """The one number of a transfer: its name, and its metric."""
    return next((name, metric) for name, metric in SCORES.items() if metric in metrics)


def last_ap(lines):
    """Metrics of a run's last validation or test, from 0 to 1: the AP of a detector, the IoU of a
    segmentation, the accuracy of a classifier or of k-NN."""
    found = {}
    for values in lines:
        if 'coco/segm_mAP' in values:
            found = {metric: values[f'coco/{metric}'] for metric in METRICS}
        elif 'mIoU' in values:
            found = {metric: values[metric] / 100 for metric in SEGMENTATION}
        elif 'accuracy/top1' in values:
            found = dict(top1=values['accuracy/top1'] / 100)
    return found


def curve(lines):
    """Read the loss and the trivial answers that were logged, at up to MAX_POINTS steps."""
    points = [
        dict(step=values['step'], **{key: values[key] for key in CURVES if key in values})
        for values in lines
        if 'loss' in values
    ]
    apart = -(-len(points) // MAX_POINTS)
    return points[(len(points) - 1) % apart :: apart]
