"""Teaches the network SST-2: batches of equal work, a rate that decays, weights averaged."""

import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training.sentiment_network import SentimentNetwork

STEPS_BETWEEN_LINES = 100
STEPS_BETWEEN_AVERAGES = 5


@dataclass(frozen=True)
class Recipe:
    """How the network is taught; the defaults are what the shipped model was taught with."""

    epochs: int = 2
    tokens_per_batch: int = 1024
    encoder_rate: float = 1e-4
    decay_per_layer: float = 0.9  # of the rate, from the last layer down to the embeddings
    head_rate: float = 1e-3
    warm_up: float = 0.06  # of all steps
    weight_decay: float = 0.01
    dropout: float = 0.1
    averaged_from: float = 0.2  # of all steps
    average_decay: float = 0.99
    seed: int = 1


@dataclass(frozen=True)
class Text:
    """One text as the network reads it."""

    token_ids: list[int]
    label: int


def padded(texts: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids and their mask, each (texts, longest), filled up with 0."""
    shape = len(texts), max(map(len, texts))
    ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return ids, mask


def finetune(network: SentimentNetwork, texts: list[Text], recipe: Recipe) -> SentimentNetwork:
    """Train in place, on one thread and thus repeatably; give back the averaged weights."""
    torch.manual_seed(recipe.seed)
    order = random.Random(recipe.seed)
    batches = [batch for _ in range(recipe.epochs) for batch in _epoch(texts, recipe, order)]
    optimizer = torch.optim.AdamW(
        _rates(network, recipe), weight_decay=recipe.weight_decay, fused=True
    )
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _share_of_rate(step / len(batches), recipe.warm_up)
    )
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.average_decay))
    network.train()
    began, losses = time.monotonic(), []
    for step, batch in enumerate(batches, start=1):
        losses.append(_step(network, batch, optimizer))
        rate.step()
        if step % STEPS_BETWEEN_LINES == 0:
            seconds = time.monotonic() - began
            print(
                f"  step {step}/{len(batches)}  loss {np.mean(losses):.3f}  {seconds:.0f} s",
                flush=True,
            )
            losses.clear()
        if step >= recipe.averaged_from * len(batches) and step % STEPS_BETWEEN_AVERAGES == 0:
            average.update_parameters(network)
    averaged: SentimentNetwork = average.module.eval()
    return averaged


def logits_of(network: SentimentNetwork, texts: Iterable[Text]) -> NDArray[np.float32]:
    """(texts, classes), each text computed alone and in full precision."""
    rows = []
    with torch.inference_mode():
        for text in texts:
            ids, mask = map(torch.from_numpy, padded([text.token_ids]))
            rows.append(network(ids, mask).numpy())
    return np.concatenate(rows)


def _step(network: SentimentNetwork, batch: list[Text], optimizer: torch.optim.Optimizer) -> float:
    ids, mask = map(torch.from_numpy, padded([text.token_ids for text in batch]))
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(ids, mask)
    loss = functional.cross_entropy(logits.float(), torch.tensor([text.label for text in batch]))
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    return float(loss.item())


def _epoch(texts: list[Text], recipe: Recipe, order: random.Random) -> list[list[Text]]:
    """Batches of about equal length in tokens, so that a long text counts for more than a short.

    Texts of like length share a batch, which then needs little padding; the noise added to the
    lengths lets every epoch have other neighbours.
    """
    by_length = sorted(texts, key=lambda text: len(text.token_ids) * order.uniform(0.9, 1.1))
    batches: list[list[Text]] = [[]]
    longest = 0
    for text in by_length:
        longest = max(longest, len(text.token_ids))
        if longest * (len(batches[-1]) + 1) > recipe.tokens_per_batch:
            batches.append([])
            longest = len(text.token_ids)
        batches[-1].append(text)
    order.shuffle(batches)
    return batches


def _rates(network: SentimentNetwork, recipe: Recipe) -> list[dict[str, object]]:
    """The head learns fastest, and each layer slower than the one above it."""
    blocks = [network.encoder.embeddings, *network.encoder.encoder.layer]
    depths = reversed(range(len(blocks)))
    return [
        {"params": network.head.parameters(), "lr": recipe.head_rate},
        *(
            {
                "params": block.parameters(),
                "lr": recipe.encoder_rate * recipe.decay_per_layer**depth,
            }
            for block, depth in zip(blocks, depths, strict=True)
        ),
    ]


def _share_of_rate(progress: float, warm_up: float) -> float:
    """Up in a line during warm-up, then down to nothing at the end."""
    return min(progress / warm_up, (1 - progress) / (1 - warm_up))
