"""The model: a logistic regression that scores card payments, trained on generated data in a few milliseconds.

Nothing is downloaded, and training is deterministic: a version's parameters follow from its number.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from demo.portable.server import Payment, probability

Floats = NDArray[np.float64]

_ROWS: Final = 4000
_NEWTON_STEPS: Final = 12
_RIDGE: Final = 1e-3
_NIGHT_ENDS: Final = 6
# The true coefficients of the generated payments: bias, amount, night, merchant risk, amount at a risky merchant.
_TRUTH: Final = np.array([-3.0, 0.8, 1.1, 2.4, 0.9])


@dataclass(frozen=True, slots=True)
class FraudModel:
    """A trained version.

    Attributes:
        weights: bias, amount, night, merchant risk, amount at a risky merchant.
        auc: the area under the ROC curve on payments outside the training data.
    """

    weights: tuple[float, ...]
    auc: float

    def score(self, payment: Payment) -> float:
        """Return the probability that the payment is fraud, 0 to 1."""
        return probability(self.weights, payment)


def train(version: str) -> FraudModel:
    """Train this version of the model; the same version gives the same parameters on every machine."""
    random = np.random.default_rng([int(part) for part in version.split(".")])
    features, labels = _payments(random)
    weights = _fit(features, labels)
    unseen, truth = _payments(random)
    return FraudModel(tuple(round(float(weight), 6) for weight in weights), _auc(unseen @ weights, truth))


def _payments(random: np.random.Generator) -> tuple[Floats, Floats]:
    amount = random.normal(0.0, 1.2, _ROWS)
    night = (random.integers(0, 24, _ROWS) < _NIGHT_ENDS).astype(np.float64)
    risk = random.beta(1.5, 4.0, _ROWS)
    features = np.column_stack([np.ones(_ROWS), amount, night, risk, amount * risk])
    labels = (random.random(_ROWS) < _sigmoid(features @ _TRUTH)).astype(np.float64)
    return features, labels


def _fit(features: Floats, labels: Floats) -> Floats:
    """Maximise the likelihood by Newton's method; the ridge term keeps the system solvable."""
    weights = np.zeros(features.shape[1])
    for _ in range(_NEWTON_STEPS):
        expected = _sigmoid(features @ weights)
        gradient = features.T @ (labels - expected) - _RIDGE * weights
        curvature = (features * (expected * (1.0 - expected))[:, None]).T @ features + _RIDGE * np.eye(len(weights))
        weights = weights + np.linalg.solve(curvature, gradient)
    return weights


def _sigmoid(values: Floats) -> Floats:
    result: Floats = 1.0 / (1.0 + np.exp(-values))
    return result


def _auc(scores: Floats, labels: Floats) -> float:
    """Return the probability that a fraud scores higher than an honest payment (Mann-Whitney)."""
    ranks = np.empty(len(scores))
    ranks[np.argsort(scores)] = np.arange(1, len(scores) + 1)
    frauds = labels.sum()
    honest = len(labels) - frauds
    return round(float((ranks[labels == 1.0].sum() - frauds * (frauds + 1) / 2) / (frauds * honest)), 4)
