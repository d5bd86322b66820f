"""The regime of a container around a server, by the kernel's own means, where there is no engine.

The root is a bare tree, mounted read-only, without the machine's home, temporary and state folders;
the process has the image's user, environment and volumes, no capability, and cannot gain any.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import require, require_namespaces
from tests.support.server import Server

DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/dev", "/proc")
USER = 10_001

BUILD_AND_ENTER = """
root=$1 volumes=$2; shift 2
mount -t tmpfs -o mode=0755 image "$root"
for each in $SHOWN; do
  mkdir -p "$root$(dirname "$each")"
  if [ -L "$each" ]; then cp -P "$each" "$root$each"; continue; fi
  mkdir -p "$root$each"
  mount --bind "$each" "$root$each"
  mount -o remount,ro,bind "$root$each"
done
for each in $VOLUMES; do
  mkdir -p "$root$each" "$volumes$each"
  chown -R $USER_ID "$volumes$each"
  mount --bind "$volumes$each" "$root$each"
done
mount -o remount,ro "$root"
exec chroot "$root" setpriv --reuid=$USER_ID --regid=$USER_ID --clear-groups \
  --bounding-set=-all --inh-caps=-all --no-new-privs \
  env -i -C /var/lib/sipis $SETTINGS "$@"
"""


def require_container_means() -> None:
    """Skip or fail where a container cannot be had by hand."""
    for program in ("setpriv", "chroot"):
        require(program)
    require_namespaces("mount")


def image_environment() -> dict[str, str]:
    """The variables that the image sets, save the search path."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    lines = re.findall(r"^ENV (.*)$", text, re.MULTILINE)
    pairs = dict(re.findall(r"(\w+)=(\S+)", " ".join(lines)))
    pairs.pop("PATH", None)
    return pairs


def image_volumes() -> list[str]:
    """The folders that the image declares as volumes."""
    return re.findall(r'"([^"]+)"', re.findall(r"^VOLUME (.*)$", DOCKERFILE.read_text(), re.M)[0])


class Contained(Server):
    """A server in a container; what it writes lies in the volumes."""

    def __init__(self, folder: Path, **sections: Mapping[str, object]) -> None:
        self.root, self.volumes = folder / "root", folder / "volumes"
        self.root.mkdir(parents=True)
        super().__init__(folder, **sections)
        data, epoch = image_volumes()
        self.data = self.volumes / data.lstrip("/")
        self.in_epoch = self.volumes / epoch.lstrip("/")
        self._install()

    def command(self, *words: str) -> list[str]:
        """What the engine does before it starts the image's command."""
        settings = {**image_environment(), "PYTHONPATH": str(DOCKERFILE.parent)}
        variables = {
            "SHOWN": " ".join((*SYSTEM, *_python(), str(DOCKERFILE.parent))),
            "VOLUMES": " ".join(image_volumes()),
            "USER_ID": str(USER),
            "SETTINGS": " ".join(f"{name}={value}" for name, value in settings.items()),
        }
        assigned = [f"{name}={value}" for name, value in variables.items()]
        inside = [sys.executable, "-m", "sipis", *words, "--config", self._config_inside]
        enter = ["unshare", "--mount", "--propagation=private", "sh", "-euc", BUILD_AND_ENTER, "sh"]
        return ["env", *assigned, *enter, str(self.root), str(self.volumes), *inside]

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Another command in a container with the same volumes."""
        return subprocess.run(self.command(*words), capture_output=True, text=True, check=False)

    def status(self) -> dict[str, str]:
        """What the kernel says of the process."""
        assert self.program is not None
        lines = Path(f"/proc/{self.program.pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (it.partition(":") for it in lines)}

    def writable_mounts(self) -> set[str]:
        """Where the process's file systems can be written, as it sees them."""
        assert self.program is not None
        lines = Path(f"/proc/{self.program.pid}/mountinfo").read_text().splitlines()
        mounts = [line.split()[4:6] for line in lines]
        return {place for place, options in mounts if "rw" in options.split(",")}

    def _install(self) -> None:
        """Put the files that an operator mounts into the volume."""
        inside = image_volumes()[0]
        self.data.mkdir(parents=True)
        text = self.config.read_text().replace(str(self.folder), inside)
        text = text.replace(f'directory = "{inside}/data"', f'directory = "{inside}"')
        (self.data / "sipis.toml").write_text(text)
        for name in ("app.key", "admin.token"):
            shutil.move(self.folder / name, self.data / name)
        self._config_inside = f"{inside}/sipis.toml"


def _python() -> list[str]:
    """Where the interpreter and its packages are, shortest paths first, none inside another."""
    shown = [Path(it) for it in SYSTEM] + [DOCKERFILE.parent]
    found = sorted({Path(sys.prefix), Path(sys.base_prefix)}, key=lambda it: len(str(it)))
    return [str(it) for it in found if not any(it.is_relative_to(one) for one in shown)]
