"""PyTorch networks as their users write them, each with an example that it takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

VOCABULARY, CLASSES = 50, 5


class Digits(nn.Module):
    """PyTorch's MNIST example: functional layers, `log_softmax` at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3)
        self.conv2 = nn.Conv2d(8, 8, 3)
        self.dropout = nn.Dropout(0.25)
        self.fc1 = nn.Linear(32, 16)
        self.fc2 = nn.Linear(16, CLASSES)

    def forward(self, x: Any) -> Any:
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        x = self.dropout(torch.flatten(x, 1))
        return F.log_softmax(self.fc2(F.relu(self.fc1(x))), dim=1)


class Cifar(nn.Module):
    """PyTorch's CIFAR-10 tutorial: one pooling layer that is used twice, `view`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 8, 2)
        self.fc1 = nn.Linear(8, 12)
        self.fc2 = nn.Linear(12, CLASSES)

    def forward(self, x: Any) -> Any:
        x = self.pool(F.relu(self.conv2(self.pool(F.relu(self.conv1(x))))))
        return self.fc2(F.relu(self.fc1(x.view(-1, 8))))


class ResidualBlock(nn.Module):
    """A block of ResNet."""

    def __init__(self, channels: int, filters: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.shortcut = nn.Sequential()
        if stride > 1 or channels != filters:
            projection = nn.Conv2d(channels, filters, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(filters))

    def forward(self, x: Any) -> Any:
        inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(inner + self.shortcut(x))


class Residual(nn.Module):
    """A small ResNet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8))
        self.blocks = nn.Sequential(ResidualBlock(8, 8), ResidualBlock(8, 16, 2))
        self.fc = nn.Linear(16, CLASSES)

    def forward(self, x: Any) -> Any:
        x = self.blocks(F.relu(self.stem(x)))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class DenselyConnected(nn.Module):
    """Maps that are joined to those before them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(7, 4, 3, padding=1)
        self.fc = nn.Linear(11 * 16, CLASSES)

    def forward(self, x: Any) -> Any:
        x = torch.cat([x, F.relu(self.first(x))], 1)
        x = torch.cat([x, F.relu(self.second(x))], 1)
        return self.fc(F.avg_pool2d(x, 2).flatten(1))


class SqueezeAndExcite(nn.Module):
    """Channels that are weighed by what is in them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2), nn.ReLU(), nn.Linear(2, 8),
            nn.Sigmoid(),
        )  # fmt: skip
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x: Any) -> Any:
        x = F.silu(self.conv(x))
        x = x * self.gate(x)[:, :, None, None]
        return self.fc(x.mean((2, 3)))


class Recurrent(nn.Module):
    """A recurrent layer behind an embedding; the last step, or the last state, is classified."""

    def __init__(
        self, kind: Any, *, both_ways: bool = False, layers: int = 1, by_state: bool = False
    ) -> None:
        super().__init__()
        self.by_state = by_state
        self.embedding = nn.Embedding(VOCABULARY, 8, padding_idx=0)
        self.layer = kind(8, 10, batch_first=True, bidirectional=both_ways, num_layers=layers)
        self.fc = nn.Linear(20 if both_ways else 10, CLASSES)

    def forward(self, x: Any) -> Any:
        outputs, state = self.layer(self.embedding(x))
        return self.fc(state[0][-1] if self.by_state else outputs[:, -1])


class UnrolledCell(nn.Module):
    """A cell that is called in a loop over the steps."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(6, 8)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x: Any) -> Any:
        state = x.new_zeros(x.size(0), 8)
        for step in range(x.size(1)):
            state = self.cell(x[:, step], state)
        return self.fc(state)


class MeanOfWords(nn.Module):
    """The mean embedding of the words that are not padding."""

    def __init__(self, *, is_masked: bool) -> None:
        super().__init__()
        self.is_masked = is_masked
        self.embedding = nn.Embedding(VOCABULARY, 8, padding_idx=0)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x: Any) -> Any:
        if not self.is_masked:
            return self.fc(self.embedding(x).mean(1))
        mask = (x != 0).unsqueeze(-1).float()
        return self.fc((self.embedding(x) * mask).sum(1) / mask.sum(1).clamp(min=1))


class BagOfWords(nn.Module):
    """An embedding bag."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.EmbeddingBag(VOCABULARY, 8, mode="mean")
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x: Any) -> Any:
        return self.fc(self.embedding(x))


class TextTransformer(nn.Module):
    """An encoder with learned positions."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 16)
        self.position = nn.Parameter(torch.randn(1, 12, 16) * 0.1)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.fc = nn.Linear(16, CLASSES)

    def forward(self, x: Any) -> Any:
        return self.fc(self.encoder(self.embedding(x) + self.position).mean(1))


class VisionTransformer(nn.Module):
    """Patches and a class token."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.patches = nn.Conv2d(1, 16, 2, 2)
        layer = nn.TransformerEncoderLayer(
            16, 2, 32, batch_first=True, norm_first=True, activation="gelu"
        )
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.fc = nn.Linear(16, CLASSES)

    def forward(self, x: Any) -> Any:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1)
        return self.fc(self.encoder(x)[:, 0])


class CausalAttention(nn.Module):
    """Attention that is written out, with a mask among the buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 16)
        self.position = nn.Embedding(12, 16)
        self.attend = nn.Linear(16, 48)
        self.project = nn.Linear(16, 16)
        self.norm = nn.LayerNorm(16)
        self.fc = nn.Linear(16, CLASSES)
        self.register_buffer("mask", torch.tril(torch.ones(12, 12)), persistent=False)

    def forward(self, x: Any) -> Any:
        batch, steps = x.shape
        values = self.embedding(x) + self.position(torch.arange(steps, device=x.device))
        split = self.attend(values).view(batch, steps, 3, 2, 8).permute(2, 0, 3, 1, 4)
        query, key, value = split
        scores = (query @ key.transpose(-2, -1)) / math.sqrt(8)
        scores = scores.masked_fill(self.mask[:steps, :steps] == 0, float("-inf")).softmax(-1)
        mixed = (scores @ value).transpose(1, 2).reshape(batch, steps, 16)
        return self.fc(self.norm(values + self.project(mixed))[:, -1])


class BuiltInAttention(nn.Module):
    """`scaled_dot_product_attention`."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 16)
        self.attend = nn.Linear(16, 48)
        self.fc = nn.Linear(16, CLASSES)

    def forward(self, x: Any) -> Any:
        batch, steps = x.shape
        split = self.attend(self.embedding(x)).view(batch, steps, 3, 2, 8).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*split.unbind(0), is_causal=True)
        return self.fc(mixed.transpose(1, 2).reshape(batch, steps, 16).mean(1))


class TiedWeights(nn.Module):
    """The embedding is the last layer, too."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 16)
        self.head = nn.Linear(16, VOCABULARY, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: Any) -> Any:
        return self.head(self.embedding(x).mean(1))


class Tabular(nn.Module):
    """Two categories and four numbers in one row."""

    def __init__(self) -> None:
        super().__init__()
        self.categories = nn.ModuleList([nn.Embedding(8, 3) for _ in range(2)])
        self.norm = nn.BatchNorm1d(4)
        self.layers = nn.Sequential(
            nn.Linear(10, 16), nn.ReLU(), nn.BatchNorm1d(16), nn.Dropout(0.2),
            nn.Linear(16, CLASSES),
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        columns = x[:, :2].long()
        parts = [table(columns[:, index]) for index, table in enumerate(self.categories)]
        return self.layers(torch.cat([*parts, self.norm(x[:, 2:])], 1))


class UnusedHead(nn.Module):
    """A second head that is used in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(16, CLASSES)
        self.auxiliary = nn.Linear(16, 3)

    def forward(self, x: Any) -> Any:
        return (self.fc(x), self.auxiliary(x)) if self.training else self.fc(x)


class Bilinear(nn.Module):
    """A layer that ONNX has no operator for."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Bilinear(16, 16, CLASSES)

    def forward(self, x: Any) -> Any:
        return self.layer(x, x)


class DataDependent(nn.Module):
    """A network that computes something else for other batches."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(16, CLASSES)

    def forward(self, x: Any) -> Any:
        return self.fc(x) * (1 if len(x) > 2 else 2)


def zero_biases() -> nn.Module:
    network = nn.Sequential(*dense(16, 8), *dense(8, 8), nn.Linear(8, CLASSES))
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.bias)
    return network


def dense(inputs: int, units: int) -> tuple[nn.Module, ...]:
    return nn.Linear(inputs, units), nn.ReLU()


def separable(channels: int, filters: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU6(),
        nn.Conv2d(channels, filters, 1, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU6(),
    )


def ends(features: int) -> tuple[nn.Module, ...]:
    return nn.Flatten(), nn.Linear(features, CLASSES)


def pooled(features: int) -> tuple[nn.Module, ...]:
    return nn.AdaptiveAvgPool2d(1), *ends(features)


def conv(channels: int, filters: int, size: int = 3, **settings: Any) -> nn.Module:
    return nn.Conv2d(channels, filters, size, **settings)


def vectors(count: int) -> Any:
    return torch.randn(count, 16)


def images(channels: int) -> Callable[[int], Any]:
    return lambda count: torch.randn(count, channels, 8, 8)


def words(count: int) -> Any:
    return torch.randint(0, VOCABULARY, (count, 12))


def series(count: int) -> Any:
    return torch.randn(count, 10, 6)


def rows(count: int) -> Any:
    categories = torch.randint(0, 8, (count, 2)).float()
    return torch.cat([categories, torch.randn(count, 4)], 1)


Network = tuple[Callable[[], nn.Module], Callable[[int], Any]]

S = nn.Sequential

NUMPY: dict[str, Network] = {
    "linear": (lambda: nn.Linear(16, CLASSES), vectors),
    "mlp": (lambda: S(nn.Flatten(), *dense(64, 32), nn.Linear(32, CLASSES)), images(1)),
    "mlp, zero biases": (zero_biases, vectors),
    "mlp without biases": (
        lambda: S(nn.Linear(16, 8, bias=False), nn.Tanh(), nn.Linear(8, CLASSES, bias=False)),
        vectors),
    "mlp with batch norm": (
        lambda: S(nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(),
                  nn.Linear(8, CLASSES), nn.Softmax(dim=1)), vectors),
    "MNIST example": (Digits, images(1)),
    "CIFAR tutorial": (Cifar, images(3)),
    "cnn with batch norm": (
        lambda: S(conv(3, 8, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
                  conv(8, 8, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
                  *ends(32)), images(3)),
    "residual": (Residual, images(3)),
    "densely connected": (DenselyConnected, images(3)),
    "an unused head": (UnusedHead, vectors),
}  # fmt: skip
"""Networks that NumPy computes."""

RUNTIME: dict[str, Network] = {
    "batch norm without weights": (
        lambda: S(nn.Linear(16, 8), nn.BatchNorm1d(8, affine=False), nn.LeakyReLU(0.1),
                  nn.Linear(8, CLASSES)), vectors),
    "layer norm and GELU": (
        lambda: S(nn.Linear(16, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, CLASSES)), vectors),
    "many activations": (
        lambda: S(nn.Linear(16, 8), nn.SELU(), nn.Linear(8, 8), nn.ELU(), nn.Linear(8, 8),
                  nn.Softplus(), nn.Linear(8, 8), nn.Hardswish(), nn.Linear(8, 8), nn.Mish(),
                  nn.Linear(8, CLASSES)), vectors),
    "PReLU": (lambda: S(nn.Linear(16, 8), nn.PReLU(), nn.Linear(8, CLASSES)), vectors),
    "group norm": (
        lambda: S(conv(3, 8, padding=1), nn.GroupNorm(2, 8), nn.ReLU(), *ends(512)), images(3)),
    "instance norm": (
        lambda: S(conv(3, 8, padding=1), nn.InstanceNorm2d(8, affine=True), nn.ReLU(),
                  nn.AdaptiveMaxPool2d(2), *ends(32)), images(3)),
    "strides and dilation": (
        lambda: S(conv(3, 8, stride=2, padding=1), nn.ReLU(), conv(8, 8, padding=2, dilation=2),
                  nn.ReLU(), nn.AvgPool2d(2), *ends(32)), images(3)),
    "overlapping pooling": (
        lambda: S(conv(3, 8, padding="same"), nn.ReLU(), nn.MaxPool2d(3, 2, 1), *ends(128)),
        images(3)),
    "depthwise": (
        lambda: S(conv(3, 8, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
                  separable(8, 16, 2), separable(16, 16), *pooled(16)), images(3)),
    "squeeze and excite": (SqueezeAndExcite, images(3)),
    "conv1d": (
        lambda: S(nn.Conv1d(10, 8, 3, padding=1), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2),
                  *ends(24)), series),
    "conv3d": (
        lambda: S(nn.Unflatten(1, (1, 6)), nn.Conv3d(1, 4, 3), nn.ReLU(), nn.MaxPool3d(2),
                  *ends(72)), lambda count: torch.randn(count, 6, 8, 8)),
    "transposed convolution": (
        lambda: S(nn.ConvTranspose2d(1, 4, 2, 2), nn.ReLU(), conv(4, 4, stride=2), *ends(196)),
        images(1)),
    "upsampling": (
        lambda: S(nn.Upsample(scale_factor=2, mode="bilinear"), conv(1, 4, stride=2), nn.ReLU(),
                  *ends(196)), images(1)),
    "pixel shuffle and padding": (
        lambda: S(conv(1, 4, padding=1), nn.PixelShuffle(2), nn.ReflectionPad2d(1),
                  conv(1, 2, stride=2), nn.ReLU(), *ends(128)), images(1)),
    "weight norm": (
        lambda: S(nn.utils.parametrizations.weight_norm(nn.Linear(16, 8)), nn.ReLU(),
                  nn.Linear(8, CLASSES)), vectors),
    "lstm": (lambda: Recurrent(nn.LSTM), words),
    "lstm both ways, two layers": (lambda: Recurrent(nn.LSTM, both_ways=True, layers=2), words),
    "lstm by state": (lambda: Recurrent(nn.LSTM, by_state=True), words),
    "gru": (lambda: Recurrent(nn.GRU), words),
    "rnn": (lambda: Recurrent(nn.RNN), words),
    "unrolled cell": (UnrolledCell, series),
    "mean of words": (lambda: MeanOfWords(is_masked=False), words),
    "masked mean of words": (lambda: MeanOfWords(is_masked=True), words),
    "text transformer": (TextTransformer, words),
    "vision transformer": (VisionTransformer, images(1)),
    "causal attention": (CausalAttention, words),
    "built-in attention": (BuiltInAttention, words),
    "tied weights": (TiedWeights, words),
    "tabular": (Tabular, rows),
}  # fmt: skip
"""Networks that onnxruntime computes."""

NEWER: dict[str, Network] = {
    "bilinear": (Bilinear, vectors),
    "spectral norm": (
        lambda: S(nn.utils.parametrizations.spectral_norm(nn.Linear(16, 8)), nn.ReLU(),
                  nn.Linear(8, CLASSES)), vectors),
    "pooling to larger maps": (
        lambda: S(conv(3, 4, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(7), *ends(196)),
        images(3)),
}  # fmt: skip
"""Networks that only PyTorch's newer exporter writes; onnxruntime computes them."""

REFUSED: dict[str, tuple[Network, str]] = {
    "embedding bag": ((BagOfWords, words), "ai.onnx.Loop"),
    "another network for small batches": ((DataDependent, vectors), "for 1 example"),
    "two outputs": (
        (lambda: nn.LSTM(6, 4, batch_first=True), series), "one must be float32"),
    "float64": ((lambda: nn.Linear(16, CLASSES).double(), vectors), r"model\.float\(\)"),
}  # fmt: skip
"""Networks that are refused, and a part of the sentence that says why."""
