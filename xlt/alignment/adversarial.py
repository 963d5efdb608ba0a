"""A map that a discriminator cannot tell from the target space: adversarial training without any dictionary. Knows vectors only, ordered by frequency.

Conneau, Lample, Ranzato, Denoyer and Jégou 2018, sections 2.1 and 2.4 and appendix A; the settings are those of MUSE's unsupervised.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from xlt.alignment.csls import nearest, unit

CRITERION_WORDS = 10_000  # most frequent words that the criterion looks at (section 2.4)


@dataclass(frozen=True)
class Game:
    """steps: updates of the map in an epoch, each after `discriminator_steps` updates of the discriminator (hidden layers of `hidden`, dropout of its input,
    labels smoothed by `smoothing`). frequent: words of both sides that are drawn. beta: of the orthogonalisation after each update.

    The rate of both is multiplied by `decay` after each epoch, and by `shrink` from the second epoch on in which the criterion falls; it ends below `least`.
    """

    epochs: int
    steps: int
    batch_size: int
    hidden: int
    input_dropout: float
    smoothing: float
    discriminator_steps: int
    frequent: int
    beta: float
    rate: float
    decay: float
    shrink: float
    least: float


def orthogonalise(w_DD: torch.Tensor, beta: float) -> torch.Tensor:
    """(1 + beta) W - beta (W W^T) W, a step towards the orthogonal matrices (equation 7)."""
    return (1 + beta) * w_DD - beta * (w_DD @ w_DD.T @ w_DD)


def random_rotation(width: int, seed: int, like: torch.Tensor) -> torch.Tensor:
    """An orthogonal matrix, all equally likely (Mezzadri 2007)."""
    drawn = torch.randn(width, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    q_DD, r_DD = torch.linalg.qr(drawn)
    return (q_DD * r_DD.diagonal().sign()).to(like)


def criterion(w_DD: torch.Tensor, x_ND: torch.Tensor, y_MD: torch.Tensor, k: int) -> float:
    """The mean cosine of the most frequent source words with their CSLS neighbours (section 2.4), which reads no dictionary."""
    x, y = unit(x_ND[:CRITERION_WORDS] @ w_DD.T), unit(y_MD)
    near_N = nearest(x, y, 1, "csls", k)[1][:, 0]
    return (x * y[near_N]).sum(1).double().mean().item()


class Discriminator(nn.Module):
    """logits_B that a vector is of the source: two hidden layers, leaky rectifiers of slope 0.2 (section 2.1, appendix A)."""

    def __init__(self, width: int, hidden: int, input_dropout: float):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, 1)])
        self.input_dropout = input_dropout

    def forward(self, vectors_BD: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        """generator: of the dropout, which is drawn in the order of the calls; None: no dropout."""
        if generator is not None and self.input_dropout:
            draws = torch.rand(vectors_BD.shape, generator=generator, device=vectors_BD.device)
            vectors_BD = vectors_BD * (draws >= self.input_dropout) / (1 - self.input_dropout)
        first, second, last = self.layers
        return last(F.leaky_relu(second(F.leaky_relu(first(vectors_BD), 0.2)), 0.2))[:, 0]


def play(
    start_DD: torch.Tensor,
    x_ND: torch.Tensor,
    y_MD: torch.Tensor,
    game: Game,
    k: int,
    seed: int,
    tell: Callable[[str], None],
) -> tuple[torch.Tensor, list[float]]:
    """(the map of the epoch with the best criterion, criterion of each epoch). It begins as start_DD."""
    generator = torch.Generator(x_ND.device).manual_seed(seed)
    width = x_ND.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        discriminator = Discriminator(width, game.hidden, game.input_dropout).to(x_ND.device)
    w_DD = nn.Parameter(start_DD.clone())
    rate, fell, history, best = game.rate, False, [], w_DD.detach().clone()
    for epoch in range(game.epochs):
        wrong = _epoch(w_DD, discriminator, x_ND[: game.frequent], y_MD[: game.frequent], game, rate, generator)
        value = criterion(w_DD.detach(), x_ND, y_MD, k)
        tell(
            f"epoch {epoch + 1} of {game.epochs}: criterion {value:.4f}, discriminator's loss {wrong:.3f}, rate {rate:g}"
        )
        rate *= game.decay
        if history and value < max(history):
            rate, fell = rate * (game.shrink if fell else 1), True
        else:
            best = w_DD.detach().clone()
        history.append(value)
        if rate < game.least:
            break
    return best, history


def _epoch(w_DD, discriminator: Discriminator, x_ND, y_MD, game: Game, rate: float, generator) -> float:
    """Plays one epoch in place; the mean loss of the discriminator."""
    of_map, of_discriminator = torch.optim.SGD([w_DD], rate), torch.optim.SGD(discriminator.parameters(), rate)
    losses = torch.zeros((), device=x_ND.device)
    for _ in range(game.steps):
        for _ in range(game.discriminator_steps):
            vectors_BD, labels_B = _draw(w_DD.detach(), x_ND, y_MD, game, generator)
            loss = F.binary_cross_entropy_with_logits(discriminator(vectors_BD, generator), labels_B)
            of_discriminator.zero_grad()
            loss.backward()
            of_discriminator.step()
            losses += loss.detach()
        vectors_BD, labels_B = _draw(w_DD, x_ND, y_MD, game, generator)
        of_map.zero_grad()
        F.binary_cross_entropy_with_logits(discriminator(vectors_BD, None), 1 - labels_B).backward()
        of_map.step()
        with torch.no_grad():
            w_DD.copy_(orthogonalise(w_DD, game.beta))
    return float(losses) / max(1, game.steps * game.discriminator_steps)


def _draw(w_DD, x_ND, y_MD, game: Game, generator) -> tuple[torch.Tensor, torch.Tensor]:
    """(vectors_BD, labels_B): as many mapped source words as target words; smoothed 1 for source, 0 for target."""

    def rows(space_ND: torch.Tensor) -> torch.Tensor:
        drawn = torch.randint(len(space_ND), (game.batch_size,), generator=generator, device=space_ND.device)
        return space_ND[drawn]

    vectors_BD = torch.cat([rows(x_ND) @ w_DD.T, rows(y_MD)])
    labels_B = torch.full((2 * game.batch_size,), game.smoothing, device=x_ND.device)
    labels_B[: game.batch_size] = 1 - game.smoothing
    return vectors_BD, labels_B
