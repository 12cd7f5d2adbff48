"""What happens where models come to this process, or leave it: nothing of an earlier term outlives the handing over.

As after a restart, everything follows from the objects and the metrics. Only the cache of the objects is kept, so that
a shard is taken over without listing the cluster.
"""

from collections.abc import Callable
from dataclasses import dataclass

from serinus.api.names import ObjectKey
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.modelversions.controller import ModelVersionController
from serinus.reconcile.rollouts.queue import RolloutQueue
from serinus.reconcile.rollouts.reconciler import RolloutReconciler


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """Forgets models and begins with them anew.

    Attributes:
        cache: the cluster's objects, of all shards.
        queue: the Rollouts that wait.
        reconciler: reconciles the Rollouts.
        model_versions: reconciles the ModelVersions.
    """

    cache: ClusterCache
    queue: RolloutQueue
    reconciler: RolloutReconciler
    model_versions: ModelVersionController

    def forget_models(self, belongs: Callable[[ObjectKey], bool]) -> None:
        """Forget everything about the models that belong to a shard but their objects."""
        self.reconciler.decider.settle_clocks()
        for record in self.cache.rollouts():
            if belongs(record.model):
                self.queue.forget(record.meta.key)
                self.reconciler.forget(record)
        self.reconciler.forget_departed(belongs)
        for model in self.cache.models():
            if belongs(model):
                self.model_versions.forget(model)

    def take_models(self, belongs: Callable[[ObjectKey], bool]) -> None:
        """Have everything of these models reconciled."""
        self.model_versions.enqueue(model for model in self.cache.models() if belongs(model))
        self.queue.enqueue_all(record.meta.key for record in self.cache.rollouts() if belongs(record.model))
