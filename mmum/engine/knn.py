"""k-NN accuracy in testing, and as an early sign of life in pre-training."""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS, LOOPS
from mmengine.runner import Runner, TestLoop

from mmum.models.downstream.knn import KNNClassifier
from mmum.workers import shield_workers


@LOOPS.register_module()
class KNNTestLoop(TestLoop):
    """mmengine's test loop, before which a ``KNNClassifier`` takes its labelled images.

    Args:
        runner (Runner): The runner.
        *args: Arguments of mmengine's ``TestLoop``.
        bank_dataloader (dict): Data loader of the labelled images.
        **kwargs: Arguments of mmengine's ``TestLoop``.
    """

    def __init__(
        self, runner: Any, *args: Any, bank_dataloader: Mapping[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(runner, *args, **kwargs)
        self.bank_dataloader = runner.build_dataloader(bank_dataloader)
        shield_workers(self.bank_dataloader)

    def run(self) -> dict[str, float]:
        """Fill the bank, then test."""
        model = self.runner.model
        model = model.module if is_model_wrapper(model) else model
        model.fill_bank(self.bank_dataloader)
        return super().run()


@HOOKS.register_module()
class KNNHook(Hook):
    """Log the k-NN accuracy of the dense backbone every few epochs of pre-training: ``knn/top1``.

    Args:
        bank_dataloader (dict): Data loader of labelled images to compare with.
        dataloader (dict): Data loader of labelled images to classify.
        interval (int): Number of epochs between two; the last epoch is always included. Defaults to
            10.
        backbone (dict, optional): Settings of the backbone that differ from those of the config,
            for example ``dict(window_size=14)``. Defaults to None: none.
        k (int): Number of neighbours. Defaults to 20.
        temperature (float): Temperature of the votes. Defaults to 0.07.
    """

    priority = 'NORMAL'

    def __init__(
        self,
        bank_dataloader: Mapping[str, Any],
        dataloader: Mapping[str, Any],
        interval: int = 10,
        backbone: Mapping[str, Any] | None = None,
        k: int = 20,
        temperature: float = 0.07,
    ) -> None:
        self.bank_dataloader, self.dataloader = bank_dataloader, dataloader
        self.interval = interval
        self.backbone: Mapping[str, Any] = backbone or {}
        self.options: dict[str, Any] = dict(k=k, temperature=temperature)

    def before_train(self, runner: Any) -> None:
        """Build loaders and the dense twin of the backbone, so that faults show at once."""
        self.loaders = [
            Runner.build_dataloader(cfg, runner.seed)
            for cfg in (self.bank_dataloader, self.dataloader)
        ]
        for loader in self.loaders:
            shield_workers(loader)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        backbone = {**runner.cfg.model.backbone, **self.backbone, 'init_cfg': None}
        for key in self.backbone:  # the hook has the last word
            backbone.pop(f'dense_{key}', None)
        if hasattr(model.backbone, 'out_indices'):  # a decoder may read several
            backbone['out_indices'] = model.backbone.out_indices
        self.classifier = KNNClassifier(backbone, **self.options)
        self.classifier.data_preprocessor = model.data_preprocessor
        self.classifier.to(next(model.parameters()).device)

    def after_train_epoch(self, runner: Any) -> None:
        """Classify, and log the accuracy."""
        if not self.every_n_epochs(runner, self.interval) and not self.is_last_train_epoch(runner):
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        classifier = self.classifier
        classifier.backbone.load_state_dict(model.backbone.state_dict())
        bank, loader = self.loaders
        classifier.fill_bank(bank)
        counts = torch.zeros(2, device=classifier.bank.device)  # right, all
        with torch.no_grad():
            for batch in loader:
                batch = classifier.data_preprocessor(batch, False)
                for sample in classifier.predict(**batch):
                    right = float(sample.pred_label.cpu() == sample.gt_label.cpu())
                    counts += counts.new_tensor([right, 1.0])
        all_reduce(counts)
        top1 = 100 * float(counts[0] / counts[1])
        runner.message_hub.update_scalar('knn/top1', top1)
        runner.visualizer.add_scalar('knn/top1', top1, step=runner.epoch + 1)
        runner.logger.info(
            f'Epoch(knn) [{runner.epoch + 1}]  knn/top1: {top1:.2f}  ({int(counts[1])} images, '
            f'bank of {len(classifier.bank)}, k={classifier.k})'
        )
