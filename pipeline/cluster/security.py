"""Who may talk to a scheduler: TLS, and where its keys lie."""

from __future__ import annotations

import contextlib
import os
import shutil
import ssl
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from distributed import Security

from pipeline.config import SecurityConfig
from pipeline.errors import ClusterError, ConfigError

_ROLES = ("client", "scheduler", "worker")


def given_security(config: SecurityConfig) -> Security:
    """TLS with the files that a job names.

    Raises:
        ConfigError: if one cannot be read or is none, or everybody on this machine may read the key.
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
                f"{stat.S_IMODE(mode):04o}): whoever has it can run code on the workers. chmod 600 {path}"
            )
    security = _security(config.ca, config.cert, config.key)
    try:
        security.get_connection_args("client")
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(
            f"cluster.security: {config.ca}, {config.cert} and {config.key} are no certificates and key that belong "
            f"together ({error})"
        ) from error
    return security


@contextlib.contextmanager
def temporary_security(folder: Path) -> Iterator[Security]:
    """TLS of one run: a key and a certificate made for it, in a folder for this user alone, gone with the context.

    Args:
        folder: that the cluster's nodes share; made if need be.

    Raises:
        ConfigError: if `cryptography` is not installed.
        ClusterError: if nothing can be written there.
    """
    try:
        made = Security.temporary()
    except ImportError as error:
        raise ConfigError("TLS needs cryptography. pip install 'melmill[slurm]'") from error
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
