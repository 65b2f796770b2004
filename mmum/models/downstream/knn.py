"""k-nearest-neighbour classification of frozen features: no training, so it can watch a pre-training."""
import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_rank
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS
from rich.progress import track

from mmum.errors import InputError


def knn_scores(features, bank, labels, num_classes, k=20, temperature=0.07):
    """Weighted vote of the nearest neighbours: each counts ``exp(cosine / temperature)``.

    Args:
        features (Tensor): (N, C), of length 1.
        bank (Tensor): (M, C), of length 1.
        labels (Tensor): (M, ) of the bank.
        num_classes (int): Number of classes.
        k (int): Neighbours; all of the bank if it has fewer. Defaults to 20.
        temperature (float): Defaults to 0.07.

    Returns:
        Tensor: (N, num_classes), summing to 1.
    """
    cosine, nearest = (features @ bank.T).topk(min(k, len(bank)), dim=1)
    votes = ((cosine - cosine[:, :1]) / temperature).exp()  # the nearest counts 1: nothing overflows
    scores = votes.new_zeros(len(features), num_classes).scatter_add(1, labels[nearest], votes)
    return scores / scores.sum(1, keepdim=True)


@MODELS.register_module()
class KNNClassifier(ImageClassifier):
    """Classifies by the nearest labelled images in feature space.

    Before predicting, :meth:`fill_bank` takes the features of the labelled images.

    Args:
        backbone (dict): A backbone; its last output is averaged over positions.
        k (int): Neighbours. Defaults to 20.
        temperature (float): Of the votes. Defaults to 0.07.
        **kwargs: Of mmpretrain's ``ImageClassifier``; a neck makes one vector an image, by default the mean over positions.
    """

    def __init__(self, backbone, k=20, temperature=0.07, neck=None, **kwargs):
        neck = neck or dict(type='MeanPoolNorm', in_channels=None, norm_cfg=None)
        super().__init__(backbone, neck=neck, **kwargs)
        if k < 1 or temperature <= 0:
            raise InputError(f'k={k} and temperature={temperature} of KNNClassifier should be positive')
        self.k, self.temperature = k, temperature
        self.bank = self.labels = self.num_classes = None

    @torch.no_grad()
    def features(self, inputs):
        """Images (N, C, H, W) -> features (N, channels) of length 1, float32."""
        return F.normalize(self.extract_feat(inputs)[-1].float(), dim=1)

    @torch.no_grad()
    def fill_bank(self, loader):
        """Takes the features of all labelled images of a data loader; of all ranks' together.

        Raises:
            InputError: If there are none.
        """
        self.eval()
        parts = []
        for batch in track(loader, 'k-NN bank', disable=get_rank() != 0):
            batch = self.data_preprocessor(batch, False)
            labels = torch.cat([sample.gt_label for sample in batch['data_samples']])
            parts.append((self.features(batch['inputs']), labels.to(batch['inputs'].device)))
        if not parts:
            raise InputError('k-NN has no labelled images to compare with: its bank_dataloader is empty')
        features, labels = map(torch.cat, zip(*parts))
        # ranks take images in turn and the last round is filled up: in order again, without the filling
        self.bank, self.labels = (torch.stack(all_gather(x), 1).flatten(0, 1)[:len(loader.dataset)] for x in (features, labels))
        self.num_classes = int(self.labels.max()) + 1

    def predict(self, inputs, data_samples=None, **kwargs):
        scores = knn_scores(self.features(inputs), self.bank, self.labels, self.num_classes, self.k, self.temperature)
        for sample, score in zip(data_samples, scores):
            sample.set_pred_score(score).set_pred_label(score.argmax(dim=0, keepdim=True))
        return data_samples
