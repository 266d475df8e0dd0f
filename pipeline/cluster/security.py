"""TLS between the driver, the scheduler and the workers, and the files that hold its keys."""

from __future__ import annotations

import contextlib
import os
import shutil
import ssl
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dask
from distributed import Security

from pipeline.config import SecurityConfig
from pipeline.errors import ClusterError, ConfigError

_ROLES = ("client", "scheduler", "worker")


def given_security(config: SecurityConfig) -> Security:
    """TLS with the files that a job names.

    Args:
        config: the section `cluster.security` of the job.

    Raises:
        ConfigError: if a file cannot be read or is not valid, or everybody on this machine may read the key.
    """
    for name, path in (("ca", config.ca), ("cert", config.cert), ("key", config.key)):
        try:
            mode = os.stat(path).st_mode
            with open(path, "rb"):
                pass
        except OSError as error:
            raise ConfigError(f"cluster.security.{name}, {path}, cannot be read: {error.strerror}") from error
        if name == "key" and stat.S_IMODE(mode) & 0o007:
            raise ConfigError(
                f"cluster.security.key, {path}, may be read by everybody on this machine (mode "
                f"{stat.S_IMODE(mode):04o}): anyone who has it can run code on the workers. Run: chmod 600 {path}"
            )
    security = _security(config.ca, config.cert, config.key)
    try:
        security.get_connection_args("client")
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(
            f"cluster.security: {config.ca}, {config.cert} and {config.key} are not certificates and a key that "
            f"belong together ({error})"
        ) from error
    return security


def configured_security() -> Security:
    """TLS as this machine's configuration of Dask has it (`distributed.comm.tls`).

    Raises:
        ConfigError: if that names files that cannot be used.
    """
    try:
        security = Security()
        security.get_connection_args("client")
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise ConfigError(
            f"distributed.comm.tls, in this machine's configuration of Dask, cannot be used: {error}. Correct it, or "
            "give cluster.security"
        ) from error
    return security


def check_open_is_allowed(what: str, remedy: str) -> None:
    """Refuse to work without TLS where this machine's configuration of Dask forbids it.

    Args:
        what: name of the scheduler that has no TLS.
        remedy: sentence that says what to do instead.

    Raises:
        ConfigError: if `distributed.comm.require-encryption` is set. Dask's own error does not name it.
    """
    if dask.config.get("distributed.comm.require-encryption"):
        raise ConfigError(
            f"{what} has no TLS, and distributed.comm.require-encryption, in this machine's configuration of Dask, "
            f"forbids that. {remedy}"
        )


@contextlib.contextmanager
def temporary_security(folder: Path) -> Iterator[Security]:
    """TLS of one run: a key and a certificate that are made for it, and deleted when the context ends.

    They lie in a folder that only this user may read.

    Args:
        folder: folder that the nodes of the cluster share; it is made if it does not exist.

    Raises:
        ConfigError: if `cryptography` is not installed.
        ClusterError: if the folder cannot be written.
    """
    try:
        made = Security.temporary()
    except ImportError as error:
        raise ConfigError("TLS needs the package cryptography: pip install 'melmill[slurm]'") from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        keys = Path(tempfile.mkdtemp(prefix="keys-", dir=folder))  # mode 0700
    except OSError as error:
        raise ClusterError(f"no folder for keys can be made in {folder} (cluster.folder): {error.strerror}") from error
    try:
        certificate, key = keys / "cert.pem", keys / "key.pem"
        for path, text in ((certificate, made.tls_ca_file), (key, made.tls_worker_key)):
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(text)
        yield _security(str(certificate), str(certificate), str(key))
    finally:
        shutil.rmtree(keys, ignore_errors=True)


def _security(authority: str, certificate: str, key: str) -> Security:
    files = {"tls_ca_file": authority}
    for role in _ROLES:
        files[f"tls_{role}_cert"], files[f"tls_{role}_key"] = certificate, key
    return Security(require_encryption=True, **files)
