"""Where the activations lie: watched while the network reads real texts."""

from collections.abc import Iterable
from functools import partial

import torch
from torch import nn

from training.sentiment_finetune import Text, logits_of
from training.sentiment_network import SentimentNetwork
from training.sentiment_onnx import Range, products


def ranges_of(network: SentimentNetwork, texts: Iterable[Text]) -> dict[str, Range]:
    """The smallest and largest number that enters each product, over all these texts."""
    seen: dict[str, Range] = {}
    hooks = [
        network.get_submodule(module).register_forward_pre_hook(partial(_widen, seen, product))
        for product, module in products().items()
    ]
    logits_of(network, texts)
    for hook in hooks:
        hook.remove()
    return seen


def _widen(
    seen: dict[str, Range], product: str, _: nn.Module, inputs: tuple[torch.Tensor, ...]
) -> None:
    so_far = seen.get(product, Range(0.0, 0.0))
    low, high = (bound.item() for bound in inputs[0].aminmax())
    seen[product] = Range(min(low, so_far.low), max(high, so_far.high))
