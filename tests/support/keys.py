"""Certificates for tests, by openssl."""

import subprocess
from pathlib import Path

from pipeline.config import SecurityConfig


def made_keys(folder: Path, name: str) -> SecurityConfig:
    """A certificate that is its own authority, and its key, which nobody else may read."""
    key, certificate = folder / f"{name}-key.pem", folder / f"{name}.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    key.chmod(0o600)
    return SecurityConfig(ca=str(certificate), cert=str(certificate), key=str(key))
