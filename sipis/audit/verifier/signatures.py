"""Signatures of checkpoints, checked by openssl. Refuses a note that no known key signed."""

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from .forms import Checkpoint, Key, Unproven

SPKI_ED25519 = bytes.fromhex("302a300506032b6570032100")


class OfUnknownKey(Unproven):
    """No key that was given signed it."""


Check = Callable[[bytes, bytes, bytes], bool]
"""(public key of 32 bytes, signature, message): whether the signature is right."""


def openssl(public: bytes, signature: bytes, message: bytes) -> bool:
    """Let the openssl program check an Ed25519 signature."""
    with tempfile.TemporaryDirectory() as folder:
        key, sig, text = (Path(folder, name) for name in ("key", "signature", "message"))
        key.write_bytes(SPKI_ED25519 + public)
        sig.write_bytes(signature)
        text.write_bytes(message)
        done = subprocess.run(  # noqa: S603 - every argument is ours
            ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", key,  # noqa: S607
             "-rawin", "-in", text, "-sigfile", sig],
            capture_output=True, check=False,
        )  # fmt: skip
    return done.returncode == 0


def check_signatures(checkpoint: Checkpoint, keys: Sequence[Key], check: Check) -> int:
    """How many known keys signed it; OfUnknownKey when none did, Unproven when one is wrong."""
    good = 0
    for name, signature in checkpoint.signatures:
        for key in keys:
            if (key.name, key.id) != (name, signature[:4]):
                continue
            if not check(key.public, signature[4:], checkpoint.text):
                raise Unproven("a signature of the checkpoint is wrong")
            good += 1
    if not good:
        raise OfUnknownKey("no known key signed the checkpoint")
    return good
