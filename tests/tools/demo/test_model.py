"""The fraud detector is a real model: deterministic, better than chance, and plausible."""

import pytest

from demo.fraud import FraudModel, train
from demo.manifests import VERSIONS
from demo.portable.server import Payment


@pytest.mark.parametrize("number", [version.number for version in VERSIONS])
def test_each_version_separates_fraud_from_honest_payments_in_unseen_data(number: str) -> None:
    assert train(number).auc > 0.75


def test_training_is_deterministic_and_differs_between_versions() -> None:
    assert train("2.3.0") == train("2.3.0")
    assert train("2.3.0").weights != train("2.3.1").weights


def test_a_spree_at_night_scores_higher_than_a_lunch_and_both_are_probabilities() -> None:
    model: FraudModel = train("2.3.0")

    lunch, spree = model.score(Payment(12.5, 13, 0.05)), model.score(Payment(2400.0, 3, 0.9))

    assert 0 < lunch < 0.1
    assert 0.9 < spree < 1


def test_a_payment_of_zero_has_a_score() -> None:
    assert 0 < train("2.3.0").score(Payment(0.0, 0, 0.0)) < 1
