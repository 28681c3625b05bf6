"""A Terraform provider as a process: go-plugin's handshake, the gRPC server, and how it ends.

Three facts about go-plugin decide the shape. The engine presents a P-521 client certificate, a curve that gRPC's C core refuses, so
the server asks for none and listens on a socket in a directory that only its user may enter. The engine's interrupt reaches the whole
process group, so the server ignores it and waits for `StopProvider`. An engine that is killed says no good-bye, so the server watches
its parent.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import grpc

from runner.sandbox.provider.contract import Provider
from runner.sandbox.provider.protocol import Service, answering
from runner.sandbox.provider.wire import MESSAGES

_COOKIE = ("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2")
_WORKERS = 24  # the engine walks 10 resources at a time by default; a long poll of one must not hold up the rest
_LONGEST_SOCKET_PATH = 103 if sys.platform == "darwin" else 107  # bytes; the address holds one more, for its end


def _provider_handlers(service: Service[Any]) -> Any:
    def rpc(handler: Callable[[Any], Any], request: str, response: str) -> Any:
        answer = answering(handler, MESSAGES[response])
        return grpc.unary_unary_rpc_method_handler(
            answer, MESSAGES[request].FromString, MESSAGES[response].SerializeToString
        )

    return grpc.method_handlers_generic_handler(
        "tfplugin6.Provider", {name: rpc(*method) for name, method in service.methods().items()}
    )


def _plugin_handlers(done: Event) -> tuple[Any, Any]:
    """go-plugin's own two services: the order to leave, and a stream of output that stays empty because stderr is logged already."""
    empty = MESSAGES["Empty"]

    def shutdown(_request: Any, _context: Any) -> Any:
        done.set()
        return empty()

    def no_output(_request: Any, _context: Any) -> Iterator[Any]:
        yield from ()

    return (
        grpc.method_handlers_generic_handler(
            "plugin.GRPCController",
            {"Shutdown": grpc.unary_unary_rpc_method_handler(shutdown, empty.FromString, empty.SerializeToString)},
        ),
        grpc.method_handlers_generic_handler(
            "plugin.GRPCStdio",
            {
                "StreamStdio": grpc.unary_stream_rpc_method_handler(
                    no_output, empty.FromString, MESSAGES["StdioData"].SerializeToString
                )
            },
        ),
    )


def serve(provider: Provider[Any], certificate: Path) -> None:
    """Serve `provider` until the engine says shut down, goes away, or sends SIGTERM. `certificate` is a PEM file of key and chain."""
    if os.environ.get(_COOKIE[0]) != _COOKIE[1]:
        sys.stderr.write(
            "This program is a Terraform provider of the sandbox: the engine starts it, it does nothing by itself.\n"
        )
        raise SystemExit(1)
    directory = _private_directory()
    socket = f"{directory}/s"
    parent, done = os.getppid(), Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    server = grpc.server(
        ThreadPoolExecutor(_WORKERS),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    service = Service(provider)
    server.add_generic_rpc_handlers((_provider_handlers(service), *_plugin_handlers(done)))
    pem = certificate.read_bytes()
    start = pem.index(b"-----BEGIN CERTIFICATE-----")
    try:
        server.add_secure_port(f"unix:{socket}", grpc.ssl_server_credentials([(pem[:start], pem[start:])]))
        server.start()
        body = b"".join(line for line in pem[start:].splitlines() if not line.startswith(b"-----"))
        sys.stdout.write(f"1|6|unix|{socket}|grpc|{body.decode().rstrip('=')}\n")
        sys.stdout.flush()
        while not done.wait(1):
            if os.getppid() != parent:
                break
        service.stop.set()
        server.stop(0.2).wait(1)
    finally:
        _remove(directory)
    os._exit(0)  # a worker that still waits for a reply must not hold the process


def _private_directory() -> str:
    """Make a directory that only this user may enter, or leave when the socket in it would have too long a path.

    A real provider's socket is `plugin` and up to ten digits in TMPDIR (go-plugin), and where that is too long it does
    not start. This one's path is as long, so what is too long for a real provider shows in the sandbox already.
    """
    root = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - the directory itself is private and has an unguessable name
    path = f"{root.rstrip('/')}/plugin{os.urandom(4).hex()}"
    if len(os.fsencode(f"{path}/s")) > _LONGEST_SOCKET_PATH:
        sys.stderr.write(
            f"The provider cannot listen on {path}/s: a socket's path has at most {_LONGEST_SOCKET_PATH} bytes. "
            "Set TMPDIR to a directory with a shorter path; a real provider needs that as well.\n"
        )
        raise SystemExit(1)
    os.mkdir(path, 0o700)  # noqa: PTH102 - pathlib's mkdir masks the mode the same way; this module needs no path object for it
    return path


def _remove(directory: str) -> None:
    folder = Path(directory)
    (folder / "s").unlink(missing_ok=True)
    folder.rmdir()
