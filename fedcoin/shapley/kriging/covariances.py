"""Covariances between the worths of coalitions, and how they change with the prior's settings."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats
from fedcoin.shapley.kriging.johnson_polynomials import zonal_tables
from fedcoin.shapley.kriging.prior import Settings, distances, slopes


class Covariances:
    """Covariances between given coalitions (m, n), none of them empty or grand."""

    def __init__(self, coalitions: Bools, degrees: int) -> None:
        self.n = coalitions.shape[1]
        members = coalitions.astype(np.float64)
        count = members.sum(axis=1).astype(np.int64)
        self.sizes, self.size_of = np.unique(count, return_inverse=True)
        self._zonal = zonal_tables(self.n, self.sizes, degrees)
        overlap = np.rint(members @ members.T).astype(np.int64)
        rows = self.size_of[:, None] * len(self.sizes) + self.size_of[None, :]
        self._places = rows * (self.n + 1) + overlap

    def matrix(self, settings: Settings) -> Floats:
        """(m, m), the noise included; not the size's own function."""
        parts = self._smooth(settings)
        parts[0] += self._additive(settings)
        table = np.zeros_like(self._zonal[0])
        for part, zonal in zip(parts, self._zonal, strict=True):
            table += part[..., None] * zonal
        total: Floats = table.reshape(-1)[self._places]
        total[np.diag_indices_from(total)] += settings.noise(self.sizes, self.n)[self.size_of]
        return total

    def moved(
        self, settings: Settings, weights: Floats, projected: Floats
    ) -> tuple[Floats, Floats]:
        """The matrix's change by each setting, times ``weights`` (m,): (p, m); and its trace, (p,),
        with ``projected`` (m, m).

        Changes depend on sizes and overlaps alone: sums by size come first, so that no setting
        needs an (m, m) array of its own.
        """
        of_size = (self.size_of[:, None] == np.arange(len(self.sizes))).astype(np.float64)
        pulls = np.array([(each * weights) @ of_size for each in self._correlations])
        traces = np.array([of_size.T @ (each * projected) @ of_size for each in self._correlations])
        smooth = self._smooth_changes(settings)
        noise = self._noise_changes(settings)[:, self.size_of]
        additive = self._additive(settings)
        moved = (
            np.einsum("pdit,dit->pi", smooth[:, :, self.size_of], pulls),
            noise * weights,
            (additive[self.size_of] * pulls[0]).sum(axis=1)[None],
        )
        traced = (
            np.einsum("pdst,dst->p", smooth, traces),
            noise @ np.diag(projected),
            np.array([np.vdot(additive, traces[0])]),
        )
        return np.concatenate(moved), np.concatenate(traced)

    @cached_property
    def _correlations(self) -> list[Floats]:
        """(m, m) for each degree."""
        return [zonal.reshape(-1)[self._places] for zonal in self._zonal]

    def _smooth(self, settings: Settings) -> Floats:
        """(d, k, k): covariances between sizes of the part of each degree."""
        degrees = range(1, settings.degrees + 1)
        variances = [settings.variances(degree, self.sizes, self.n) for degree in degrees]
        deviations = np.sqrt(variances)
        kin = settings.kinship(self.sizes, self.sizes, self.n)
        smooth: Floats = deviations[:, :, None] * deviations[:, None, :] * kin
        return smooth

    def _additive(self, settings: Settings) -> Floats:
        """(k, k): what the additive game adds to the first of them."""
        room = np.sqrt(self.sizes * (self.n - self.sizes) / self.n)
        added: Floats = settings.additive() * np.multiply.outer(room, room)
        return added

    def _smooth_changes(self, settings: Settings) -> Floats:
        """(p, d, k, k): of ``_smooth`` by levels, slopes and length."""
        smooth = self._smooth(settings)
        degree = np.arange(1, len(smooth) + 1)[:, None, None]
        levels = np.eye(len(smooth))[:, :, None, None] * smooth
        first, last = (
            (slope[:, None] + slope[None, :]) / 2 for slope in slopes(self.sizes, self.n)
        )
        far = distances(self.sizes, self.sizes, self.n) / settings.length() ** 2
        rises = [smooth * by for by in (first, degree * first, last, degree * last, far)]
        return np.concatenate([levels, rises])

    def _noise_changes(self, settings: Settings) -> Floats:
        """(3, k): of the noise by its settings."""
        first, last = slopes(self.sizes, self.n)
        rises: Floats = np.array([np.ones_like(first), first, last])
        return rises * settings.noise(self.sizes, self.n)
