"""Certificates on disk, as programs want them."""

from dataclasses import dataclass
from pathlib import Path

from sipis.world.tls import ThrowawayCa


@dataclass(frozen=True)
class Pair:
    """The files of a certificate and its key."""

    chain: Path
    key: Path


class Trust:
    """An authority, its root in a file, and certificates from it."""

    def __init__(self, folder: Path, authority: ThrowawayCa) -> None:
        self.authority = authority
        self.ca_file = authority.write_root(folder)
        self._folder = folder

    def certificate(self, *hosts: str) -> Pair:
        """A certificate for these names and addresses."""
        chain, key = self.authority.issue(*hosts)
        stem = self._folder / "-".join(hosts)
        pair = Pair(Path(f"{stem}.pem"), Path(f"{stem}.key"))
        pair.chain.write_bytes(chain)
        pair.key.touch(mode=0o600)
        pair.key.write_bytes(key)
        return pair
