"""k-nearest-neighbour classification of frozen features, which needs no training."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_rank
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader

from mmum.errors import InputError


def knn_scores(
    features: Tensor,
    bank: Tensor,
    labels: Tensor,
    num_classes: int,
    k: int = 20,
    temperature: float = 0.07,
) -> Tensor:
    """Weighted vote of the nearest neighbours: each counts ``exp(cosine / temperature)``.

    Args:
        features (Tensor): (N, C), of length 1.
        bank (Tensor): (M, C), of length 1.
        labels (Tensor): Labels of the bank, (M, ).
        num_classes (int): Number of classes.
        k (int): Number of neighbours, at most M. Defaults to 20.
        temperature (float): Temperature of the votes. Defaults to 0.07.

    Returns:
        Tensor: (N, num_classes), summing to 1.
    """
    cosine, nearest = (features @ bank.T).topk(min(k, len(bank)), dim=1)
    # The nearest counts 1, so that nothing overflows.
    votes = ((cosine - cosine[:, :1]) / temperature).exp()
    scores = votes.new_zeros(len(features), num_classes).scatter_add(1, labels[nearest], votes)
    return scores / scores.sum(1, keepdim=True)


@MODELS.register_module()
class KNNClassifier(ImageClassifier):
    """Classify by the nearest labelled images in feature space.

    :meth:`fill_bank` has to take the features of the labelled images first.

    Args:
        backbone (dict): A backbone; its last output is averaged over positions.
        k (int): Number of neighbours. Defaults to 20.
        temperature (float): Temperature of the votes. Defaults to 0.07.
        neck (dict, optional): Makes one vector per image. Defaults to the mean over positions.
        **kwargs: Further arguments of mmpretrain's ``ImageClassifier``.

    Raises:
        InputError: If ``k`` or ``temperature`` is not positive.
    """

    def __init__(
        self,
        backbone: Mapping[str, Any],
        k: int = 20,
        temperature: float = 0.07,
        neck: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        neck = neck or dict(type='MeanPoolNorm', in_channels=None, norm_cfg=None)
        super().__init__(backbone, neck=neck, **kwargs)
        if k < 1 or temperature <= 0:
            raise InputError(
                f'k={k} and temperature={temperature} of KNNClassifier should be positive'
            )
        self.k, self.temperature = k, temperature
        self.bank: Any = None
        self.labels: Any = None
        self.num_classes: Any = None

    @torch.no_grad()
    def features(self, inputs: Tensor) -> Tensor:
        """Images (N, C, H, W) -> features (N, channels) of length 1, float32."""
        return F.normalize(self.extract_feat(inputs)[-1].float(), dim=1)

    @torch.no_grad()
    def fill_bank(self, loader: DataLoader) -> None:
        """Take the features of all labelled images of a data loader, over all ranks.

        Raises:
            InputError: If there are no images.
        """
        self.eval()
        parts = []
        for batch in track(loader, 'k-NN bank', disable=get_rank() != 0):
            batch = self.data_preprocessor(batch, False)
            labels = torch.cat([sample.gt_label for sample in batch['data_samples']])
            parts.append((self.features(batch['inputs']), labels.to(batch['inputs'].device)))
        if not parts:
            raise InputError(
                'k-NN has no labelled images to compare with: its bank_dataloader is empty'
            )
        # Ranks take images in turn, and the last round is filled up: restore the order, drop the
        # filling.
        self.bank, self.labels = (
            torch.stack(all_gather(torch.cat(x)), 1).flatten(0, 1)[: len(loader.dataset)]
            for x in zip(*parts)
        )
        self.num_classes = int(self.labels.max()) + 1

    def predict(
        self, inputs: Tensor, data_samples: Sequence[DataSample], **kwargs: Any
    ) -> Sequence[DataSample]:
        """Set the predicted scores and label of every data sample."""
        scores = knn_scores(
            self.features(inputs),
            self.bank,
            self.labels,
            self.num_classes,
            self.k,
            self.temperature,
        )
        for sample, score in zip(data_samples, scores):
            sample.set_pred_score(score).set_pred_label(score.argmax(dim=0, keepdim=True))
        return data_samples
