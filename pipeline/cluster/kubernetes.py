"""Workers that are pods, through the operator of dask-kubernetes. It needs a Kubernetes with that operator.

The operator replaces pods that are lost. Its scheduler has no TLS, whatever it is told: its addresses are tcp:// in its
code (dask-kubernetes 2026.3). So this kind is refused unless the job says `insecure`; array mode needs no scheduler.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

from distributed import Client

from pipeline.cluster.liveness import GRACE_SECONDS, Liveness, within
from pipeline.config import KubernetesConfig
from pipeline.errors import ClusterError, ConfigError
from pipeline.events import Listener

_CLOSE_SECONDS = 60.0
_PORT, _PAGE_PORT = 8786, 8787
_DIGITS = 8


def cluster_spec(config: KubernetesConfig, name: str) -> dict[str, Any]:
    """The DaskCluster that the operator is asked for. Pure.

    Args:
        config: of kind kubernetes.
        name: of the cluster.
    """
    resources = {"cpu": str(config.threads_per_worker), "memory": _quantity(config.memory)}
    limits = {"requests": resources, "limits": {"memory": resources["memory"]}}
    worker = {
        "name": "worker",
        "image": config.image,
        "command": ["dask"],  # in place of the image's entrypoint, which is melmill
        "args": [
            *("worker", "--name", "$(DASK_WORKER_NAME)", "--nthreads", str(config.threads_per_worker)),
            *("--memory-limit", "auto", "--dashboard-address", "127.0.0.1:0"),
        ],
        "resources": limits,
    }
    health = {"httpGet": {"port": "http-dashboard", "path": "/health"}}
    scheduler = {
        "name": "scheduler",
        "image": config.image,
        "command": ["dask"],
        "args": ["scheduler", "--host", "0.0.0.0", "--no-show"],
        "ports": [
            {"name": "tcp-comm", "containerPort": _PORT, "protocol": "TCP"},
            {"name": "http-dashboard", "containerPort": _PAGE_PORT, "protocol": "TCP"},
        ],
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
        "readinessProbe": {**health, "periodSeconds": 1, "timeoutSeconds": 300},
        "livenessProbe": {**health, "initialDelaySeconds": 15, "periodSeconds": 20},
    }
    ports = [
        {"name": "tcp-comm", "protocol": "TCP", "port": _PORT, "targetPort": "tcp-comm"},
        {"name": "http-dashboard", "protocol": "TCP", "port": _PAGE_PORT, "targetPort": "http-dashboard"},
    ]
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskCluster",
        "metadata": {"name": name},
        "spec": {
            "worker": {"replicas": config.workers, "spec": {"containers": [worker]}},
            "scheduler": {
                "spec": {"containers": [scheduler]},
                "service": {
                    "type": "ClusterIP",
                    "selector": {"dask.org/cluster-name": name, "dask.org/component": "scheduler"},
                    "ports": ports,
                },
            },
        },
    }


def _quantity(memory: str) -> str:
    """Bytes as Kubernetes writes them.

    >>> _quantity("8 GB"), _quantity("16GiB")
    ('8G', '16Gi')
    """
    return memory.replace(" ", "").removesuffix("B")


@contextlib.contextmanager
def kubernetes_client(config: KubernetesConfig, listener: Listener) -> Iterator[tuple[Client, Liveness]]:
    """The client of pods that live as long as the context.

    Raises:
        ConfigError: if dask-kubernetes is not installed, or `insecure` is not set.
        ClusterError: if the pods cannot be had.
    """
    if not config.insecure:
        raise ConfigError(
            "kind: kubernetes has a scheduler without TLS, which the operator of dask-kubernetes knows nothing of: "
            "whoever reaches it can run code on the workers. Set cluster.insecure=true where a NetworkPolicy keeps "
            "others away (configs/kubernetes/network-policy.yaml), or run an indexed Job, which needs no scheduler "
            "(configs/kubernetes/indexed-job.yaml)"
        )
    try:
        from dask_kubernetes.operator import KubeCluster
    except ImportError as error:
        raise ConfigError(
            f"kind: kubernetes needs dask-kubernetes ({error}). pip install 'melmill[kubernetes]'"
        ) from error
    name = f"melmill-{uuid.uuid4().hex[:_DIGITS]}"
    try:
        cluster = KubeCluster(
            custom_cluster_spec=cluster_spec(config, name),
            namespace=config.namespace,
            resource_timeout=int(config.waits),
            quiet=True,
        )
    except Exception as error:  # of several libraries, which dask-kubernetes hands on
        raise ClusterError(
            f"the pods of {name} cannot be had: {type(error).__name__}: {error}. Is there a Kubernetes here (kubectl "
            "get pods), and has it dask-kubernetes' operator?"
        ) from error
    try:
        with Client(cluster, timeout=config.timeout) as client:
            limit = (config.waits, "cluster.patience")
            words = f"the pods of DaskCluster {name} do not come; kubectl describe pods says why"
            yield client, Liveness(client, limit, lambda: words, listener)
    finally:
        with contextlib.suppress(Exception):
            within(_CLOSE_SECONDS + GRACE_SECONDS, lambda: cluster.close(_CLOSE_SECONDS))
