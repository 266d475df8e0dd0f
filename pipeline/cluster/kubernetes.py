"""Workers that are Kubernetes pods, started by the operator of dask-kubernetes, which the cluster must have.

The operator replaces lost pods. Its scheduler cannot have TLS: the operator's code writes all addresses as tcp://
(dask-kubernetes 2026.3). So this kind is refused unless the job sets `insecure`. A job in parts needs no scheduler.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

from distributed import Client

from pipeline.cluster.liveness import GRACE_SECONDS, Liveness, within
from pipeline.cluster.settings import OWN_SCHEDULER, OWN_WORKERS, as_variables
from pipeline.config import KubernetesConfig
from pipeline.errors import ClusterError, ConfigError
from pipeline.events import Listener

_CLOSE_SECONDS = 60.0
_PORT, _PAGE_PORT = 8786, 8787
_DIGITS = 8


def cluster_spec(config: KubernetesConfig, name: str) -> dict[str, Any]:
    """The DaskCluster resource to give to the operator. Pure.

    Args:
        config: the section `cluster` of a job, of kind kubernetes.
        name: name of the DaskCluster.
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
        "env": [{"name": name, "value": value} for name, value in as_variables(OWN_WORKERS).items()],
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
        "env": [{"name": name, "value": value} for name, value in as_variables(OWN_SCHEDULER).items()],
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
    """A number of bytes as Kubernetes writes it.

    >>> _quantity("8 GB"), _quantity("16GiB")
    ('8G', '16Gi')
    """
    return memory.replace(" ", "").removesuffix("B")


@contextlib.contextmanager
def kubernetes_client(config: KubernetesConfig, listener: Listener) -> Iterator[tuple[Client, Liveness]]:
    """Dask's client of a cluster whose workers are pods. The pods live as long as the context.

    Raises:
        ConfigError: if dask-kubernetes is not installed, or `insecure` is not set: its operator knows no TLS.
        ClusterError: if the pods cannot be started.
    """
    if not config.insecure:
        raise ConfigError(
            "kind: kubernetes has a scheduler without TLS, since the operator of dask-kubernetes does not support it: "
            "anyone who reaches the scheduler can run code on the workers. Set cluster.insecure=true if a "
            "NetworkPolicy keeps others away (configs/kubernetes/network-policy.yaml), or run an indexed Job, which "
            "needs no scheduler (configs/kubernetes/indexed-job.yaml)"
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
            resource_timeout=int(config.waits[0]),
            quiet=True,
        )
    except Exception as error:  # dask-kubernetes passes on the errors of several libraries
        raise ClusterError(
            f"the pods of the cluster {name} cannot be started: {type(error).__name__}: {error}. Check that Kubernetes "
            "can be reached from here (kubectl get pods), and that the operator of dask-kubernetes is installed in it"
        ) from error
    try:
        with Client(cluster, timeout=config.timeout) as client:
            limit = config.waits
            words = f"the pods of the DaskCluster {name} have not started; kubectl describe pods says why"
            yield client, Liveness(client, limit, lambda: words, listener)
    finally:
        with contextlib.suppress(Exception):
            within(_CLOSE_SECONDS + GRACE_SECONDS, lambda: cluster.close(_CLOSE_SECONDS))
