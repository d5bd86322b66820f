"""baresip, an unmodified softphone: the woken app of the tests and its small glue."""

import json
import socket
import subprocess
from pathlib import Path

from tests.support.netns import PrivateNetwork
from tests.support.processes import Program, free_port, require, wait_until

MODULES = Path("/usr/lib/baresip/modules")


class Baresip:
    """One softphone that registers at `server` with the given credentials and answers by itself.

    It listens for UDP and TCP on the port `listen`, or on one of each that the kernel chooses; on
    loopback, or in a private network.
    """

    def __init__(
        self,
        folder: Path,
        *,
        user: str,
        password: str,
        realm: str,
        transport: str,
        host: str,
        port: int,
        ca_file: Path | None = None,
        answer: str = "auto",
        listen: int = 0,
        network: PrivateNetwork | None = None,
    ) -> None:
        program = require("baresip")
        folder.mkdir(parents=True, exist_ok=True)
        self.control_port = free_port(socket.SOCK_STREAM)
        self._network = network
        (folder / "accounts").write_text(
            f"<sip:{user}@{realm};transport={transport}>;auth_user={user};auth_pass={password};"
            f'outbound="sip:{host}:{port};transport={transport}";regint=120;'
            f"answermode={answer};audio_codecs=pcmu,pcma\n"
        )
        (folder / "contacts").write_text("")
        (folder / "config").write_text(self._config(ca_file, listen))
        command = [program, "-f", str(folder), "-v", "-s"]
        self.program = Program(network.command(*command) if network else command, folder)

    def _config(self, ca_file: Path | None, listen: int) -> str:
        own, device = (self._network.inside, "eth0") if self._network else ("127.0.0.1",) * 2
        verify = f"sip_cafile {ca_file}\nsip_verify_server yes\n" if ca_file else ""
        return (
            f"poll_method epoll\nsip_listen {own}:{listen}\n" + verify + "call_local_timeout 120\n"
            "call_max_calls 8\naudio_source aubridge,loop\naudio_player aubridge,loop\n"
            f"audio_alert aubridge,alert\nnet_interface {device}\n"
            f"module_path {MODULES}\nmodule g711.so\nmodule aubridge.so\nmodule_tmp account.so\n"
            "module_app contact.so\nmodule_app menu.so\nmodule ctrl_tcp.so\n"
            f"ctrl_tcp_listen 127.0.0.1:{self.control_port}\n"
        )

    def wait_for(self, text: str, patience: float = 20.0) -> None:
        """Wait until baresip has said something."""

        def said() -> bool:
            if not self.program.running:
                raise AssertionError(f"baresip ended:\n{self.program.output()[-3000:]}")
            return text in self.program.output()

        wait_until(said, f"baresip to say {text!r}:\n", patience)

    def command(self, command: str, parameters: str = "") -> None:
        """Tell baresip to do something (ctrl_tcp speaks netstrings of JSON)."""
        order = json.dumps({"command": command, "params": parameters, "token": "t"}).encode()
        with self._control() as control:
            control.sendall(b"%d:%s," % (len(order), order))
            control.settimeout(5)
            control.recv(4096)

    def stop(self) -> None:
        self.program.stop()

    def _control(self) -> socket.socket:
        if self._network is not None:
            return self._network.connect(self.control_port)
        return socket.create_connection(("127.0.0.1", self.control_port), 5)


def version() -> str:
    """What baresip says of itself; for the record of a failing test."""
    done = subprocess.run([require("baresip"), "-h"], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()[0] if done.stdout else ""
