"""A small residual network for 28×28 pictures, and how it is taught and exported."""

import math
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.image_data import Pixels, batches

CLASSES = 10
BATCH, OUTLIERS_IN_BATCH = 128, 36
LEARNING_RATE, WEIGHT_DECAY, WARM_UP = 0.1, 5e-4, 0.15
SMOOTHING = 0.05
AVERAGING = 0.998  # of the weights, per step: their mean is better than the last ones
ENERGY_WEIGHT, ENERGY_MIDDLE = 0.3, -5.0


class Block(nn.Module):
    """Two convolutions beside a short cut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            _convolution(before, after, 3, stride), nn.ReLU(), _convolution(after, after, 3, 1)
        )
        same = before == after and stride == 1
        self.short_cut = nn.Identity() if same else _convolution(before, after, 1, stride)

    def forward(self, pixels: Tensor) -> Tensor:
        return functional.relu(self.path(pixels) + self.short_cut(pixels))


class Network(nn.Sequential):
    """Pixels (batch, 1, 28, 28) in 0…1 to logits (batch, 10)."""

    def __init__(self) -> None:
        super().__init__(
            _convolution(1, 48, 6, 2),
            nn.ReLU(),
            Block(48, 48, 1),
            Block(48, 96, 2),
            Block(96, 96, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(96, CLASSES),
        )


class Mirrored(nn.Module):
    """A network that is asked twice, with the picture and with its mirror image: mean logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        both: Tensor = self.network(torch.cat([pixels, pixels.flip(3)]))
        return both.reshape(2, -1, CLASSES).mean(dim=0)


class Served(nn.Module):
    """What is exported: calibrated probabilities, and the energy that tells what is no product."""

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(pixels)
        return torch.softmax(logits / self.temperature, dim=1), -torch.logsumexp(logits, dim=1)


@dataclass(frozen=True)
class Lesson:
    """What the network learns from: products in several views, and what is none."""

    products: Pixels
    labels: NDArray[np.int64]
    outliers: Pixels


def taught(lesson: Lesson, *, epochs: int, seed: int) -> Mirrored:
    """Teach a network; it sees every product once per epoch, varied a little each time."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = Network()
    average = deepcopy(network)
    optimizer = torch.optim.SGD(
        network.parameters(), LEARNING_RATE, 0.9, weight_decay=WEIGHT_DECAY, nesterov=True
    )
    steps = epochs * (len(lesson.labels) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step / steps))
    begun = time.monotonic()
    for step, (products, labels, outliers) in enumerate(_batches(lesson, epochs, rng)):
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(torch.cat([products, outliers])).float()
        loss = _loss(logits, labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it
        optimizer.step()
        schedule.step()
        _average(average, network, min(AVERAGING, (1 + step) / (10 + step)))
        if step % 100 == 0:
            seconds = time.monotonic() - begun
            print(f"step {step}/{steps} loss {loss.item():.3f} {seconds:.0f} s", flush=True)
    return Mirrored(average).eval()


def logits_of(network: nn.Module, pixels: Pixels) -> NDArray[np.float32]:
    """What the network says of each picture."""
    with torch.inference_mode():
        parts = [network(_tensor(part)) for part in np.array_split(pixels, len(pixels) // 500 + 1)]
    return torch.cat(parts).numpy()


def export(network: nn.Module, temperature: float, path: Path) -> None:
    """Write the network as ONNX, its batch of any size."""
    torch.onnx.export(
        Served(network, temperature).eval(),
        (torch.zeros(2, 1, 28, 28),),
        path,
        input_names=["pixels"],
        output_names=["probabilities", "energy"],
        dynamic_axes={name: {0: "batch"} for name in ("pixels", "probabilities", "energy")},
        dynamo=False,
    )


def _convolution(before: int, after: int, size: int, stride: int) -> nn.Sequential:
    padding = (size - stride + 1) // 2
    convolution = nn.Conv2d(before, after, size, stride, padding, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after))


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Name the products; and let the energy be low for them, high for what is none."""
    energy = -torch.logsumexp(logits, dim=1)
    count = len(labels)
    naming = functional.cross_entropy(logits[:count], labels, label_smoothing=SMOOTHING)
    telling = functional.softplus(energy[:count] - ENERGY_MIDDLE).mean()
    telling = telling + functional.softplus(ENERGY_MIDDLE - energy[count:]).mean()
    return naming + ENERGY_WEIGHT * telling


def _rate(progress: float) -> float:
    """Up along a line, down along a cosine."""
    if progress < WARM_UP:
        return progress / WARM_UP + 1e-3
    return (1 + math.cos(math.pi * min(1.0, (progress - WARM_UP) / (1 - WARM_UP)))) / 2


def _average(average: nn.Module, network: nn.Module, kept: float) -> None:
    with torch.no_grad():
        for mean, now in zip(average.parameters(), network.parameters(), strict=True):
            mean.lerp_(now, 1 - kept)
        for slow, fast in zip(average.buffers(), network.buffers(), strict=True):
            if slow.is_floating_point():
                slow.lerp_(fast, 1 - kept)


def _batches(
    lesson: Lesson, epochs: int, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    for _ in range(epochs):
        for places in batches(len(lesson.labels), BATCH, rng):
            products = _tensor(lesson.products[places])
            others = rng.integers(len(lesson.outliers), size=OUTLIERS_IN_BATCH)
            outliers = _tensor(lesson.outliers[others])
            labels = torch.from_numpy(lesson.labels[places])
            yield _erased(_varied(products)), labels, _varied(outliers)


def _tensor(pixels: Pixels) -> Tensor:
    scaled = torch.from_numpy(pixels).unsqueeze(1).float() / 255
    return scaled.contiguous(memory_format=torch.channels_last)


def _varied(pixels: Tensor) -> Tensor:
    """Each third picture flipped, each a little turned, stretched, shifted, lighter or darker."""
    count = len(pixels)
    angle = 0.06 * torch.randn(count)
    across = (1 + 0.06 * torch.randn(count)) * torch.sign(torch.rand(count) - 0.3)
    along = 1 + 0.06 * torch.randn(count)
    shift = 0.06 * torch.randn(count, 2)
    turns = torch.stack(
        [
            torch.stack([across * angle.cos(), -angle.sin(), shift[:, 0]], 1),
            torch.stack([across * angle.sin(), along * angle.cos(), shift[:, 1]], 1),
        ],
        1,
    )
    grid = functional.affine_grid(turns, list(pixels.shape), align_corners=False)
    moved = functional.grid_sample(pixels, grid, align_corners=False)
    gamma = torch.exp(0.2 * torch.randn(count))[:, None, None, None]
    return moved.clamp(0, 1) ** gamma


def _erased(pixels: Tensor) -> Tensor:
    """A square of each fourth picture is blackened: no single part may decide."""
    count, _, height, width = pixels.shape
    middle = torch.rand(count, 2, 1, 1) * height
    half = torch.rand(count, 1, 1) * 5 * (torch.rand(count, 1, 1) < 0.25)
    rows = (torch.arange(height)[:, None] - middle[:, 0]).abs() < half
    columns = (torch.arange(width)[None, :] - middle[:, 1]).abs() < half
    return pixels * ~(rows & columns)[:, None]
