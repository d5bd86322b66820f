"""SIPp as a caller: the scenarios beside this file, run once, judged by their exit code."""

from pathlib import Path

from tests.support.processes import Program, free_port, require

SCENARIOS = Path(__file__).with_name("scenarios")


def start(
    folder: Path,
    scenario: str,
    user: str,
    port: int,
    *,
    caller: str = "127.0.0.1",
    transport: str = "u1",
    rings: float = 0.3,
    calls: int = 1,
    rate: int = 1,
    patience: int = 25,
    subject: str = "lunch",
) -> Program:
    """Start SIPp toward the provider on `port`, calling `user`, from the address `caller`.

    `rings` is how many seconds a caller who gives up lets it ring.
    """
    command = [
        require("sipp"), f"127.0.0.1:{port}", "-sf", str(SCENARIOS / f"{scenario}.xml"),
        "-s", user, "-i", caller, "-p", str(free_port(host=caller)), "-t", transport,
        "-m", str(calls), "-r", str(rate), "-d", str(round(rings * 1000)),
        "-key", "subject", subject, "-timeout", f"{patience}s", "-timeout_error", "-nostdin",
        "-trace_err", "-trace_msg",
        "-message_file", str(folder / f"{scenario}.messages"),
        "-error_file", str(folder / f"{scenario}.errors"),
    ]  # fmt: skip
    return Program(command, folder, name=f"sipp-{scenario}")


def finish(program: Program, patience: float = 40.0) -> None:
    """Wait for the end of a scenario; a failure shows what SIPp saw."""
    code = program.wait(patience)
    if code != 0:
        folder = program.log.parent
        seen = "\n".join(p.read_text(errors="replace")[-4000:] for p in folder.glob("*.messages"))
        raise AssertionError(
            f"{program.name} exited with {code}:\n{seen}\n{program.output()[-800:]}"
        )
