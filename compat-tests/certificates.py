"""Certificates that live as long as a test: an authority of its own, and what it signs."""

from __future__ import annotations

import subprocess
from pathlib import Path

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(*argv: str | Path) -> None:
    """One command of its."""
    subprocess.run(["openssl", *argv], check=True, capture_output=True, timeout=60)


class Authority:
    """Who signs; `file` is what a client trusts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        # The database's user must be able to pass through.
        folder.chmod(0o711)
        self.file, self.key = folder / "authority.pem", folder / "authority.key"
        subject = ["-subj", f"/CN={folder.name}", "-addext", "keyUsage=critical,keyCertSign", "-days", "2"]
        openssl("req", "-x509", *KEY, *subject, "-keyout", self.key, "-out", self.file)

    def sign(self, stem: str, host: str, days: int = 2) -> tuple[Path, Path]:
        """A certificate for a host, and its key; with days below zero one whose time is over."""
        certificate, key, asked, extension = (
            self.folder / f"{stem}.{end}" for end in ("pem", "key", "csr", "ext")
        )
        extension.write_text(f"subjectAltName=DNS:{host}\nbasicConstraints=CA:FALSE\n")
        openssl("req", *KEY, "-subj", f"/CN={host}", "-keyout", key, "-out", asked)
        by: list[str | Path] = ["-CA", self.file, "-CAkey", self.key, "-CAcreateserial", "-days", str(days)]
        openssl("x509", "-req", "-in", asked, *by, "-extfile", extension, "-out", certificate)
        return certificate, key
