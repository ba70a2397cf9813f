"""The gRPC server around a session: loopback by default, any other address only with mutual TLS.

Bounded everywhere: message size, number of streams, queue of each reader. Health and reflection are served.
"""

import ipaddress
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from live_bridge.events import EventsServicer, StallWatch
from live_bridge.servicer import ControlServicer, DecisionsServicer, OrdersServicer, Served, StreamSlots
from live_bridge.types import Phase
from protos.bridge.v1 import bridge_pb2, bridge_pb2_grpc

DEFAULT_PORT = 50051
SERVICES = tuple(service.full_name for service in bridge_pb2.DESCRIPTOR.services_by_name.values())
_UNARY_WORKERS = 8


class ServerError(Exception):
    """The server cannot start; the message says why and what would work."""


@dataclass(frozen=True)
class TlsFiles:
    """PEM files of mutual TLS: ours, and the authority whose clients are let in."""

    certificate: Path
    key: Path
    client_authority: Path


@dataclass(frozen=True)
class ServerConfig:
    """Where and how to serve. Raises ServerError at construction for an address that may not be served so."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT  # 0 picks a free one
    tls: TlsFiles | None = None  # needed for any address but loopback
    max_message_bytes: int = 1 << 20
    max_streams: int = 16  # event and decision streams together
    keepalive_s: int = 30
    stall_s: float = 30.0  # a stream whose client takes no message for so long is cut

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ServerError(f"port {self.port} is outside 0..65535")
        if self.tls is None and not is_loopback(self.host):
            raise ServerError(
                f"host {self.host!r} is not loopback: without TLS only 127.0.0.1, ::1 or localhost may be served; "
                "give a certificate, its key and the client authority"
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address; a name other than localhost is taken for reachable."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class BridgeServer:
    """A running server; `start_server` makes one. Use it in a `with` statement or call `stop`."""

    def __init__(self, served: Served, config: ServerConfig) -> None:
        self._served = served
        self._health = health.HealthServicer()
        self._watch = StallWatch(config.stall_s, self._set_health)
        slots = StreamSlots(config.max_streams)
        self._events = EventsServicer(served.session.bus, slots, self._watch)
        self._server = grpc.server(
            ThreadPoolExecutor(config.max_streams + _UNARY_WORKERS, thread_name_prefix="grpc"),
            options=_options(config),
        )
        bridge_pb2_grpc.add_ControlServicer_to_server(ControlServicer(served), self._server)
        bridge_pb2_grpc.add_OrdersServicer_to_server(OrdersServicer(served), self._server)
        bridge_pb2_grpc.add_DecisionsServicer_to_server(DecisionsServicer(served, slots), self._server)
        bridge_pb2_grpc.add_EventsServicer_to_server(self._events, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        self.port = _bind(self._server, config)
        self.address = f"{_literal(config.host)}:{self.port}"

    def start(self) -> Self:
        """Begin to serve."""
        self._set_health()
        self._server.start()
        self._watch.start()
        return self

    def stop(self, grace_s: float = 2.0) -> None:
        """Report NOT_SERVING, end the streams, let calls finish within the grace, and close the port."""
        self._health.enter_graceful_shutdown()
        self._events.stop()
        self._server.stop(grace_s).wait()
        self._watch.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def _set_health(self) -> None:
        alive = self._served.session.state().phase is not Phase.STOPPED
        status = health_pb2.HealthCheckResponse.SERVING if alive else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *SERVICES):
            self._health.set(name, status)


def start_server(served: Served, config: ServerConfig | None = None) -> BridgeServer:
    """Serve a session; the chosen port is in the result's `port`.

    Raises:
        ServerError: the address is taken, or a TLS file cannot be read.
    """
    return BridgeServer(served, config or ServerConfig()).start()


def _options(config: ServerConfig) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", config.max_message_bytes),
        ("grpc.max_send_message_length", config.max_message_bytes),
        ("grpc.keepalive_time_ms", config.keepalive_s * 1000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.max_concurrent_streams", 4 * (config.max_streams + _UNARY_WORKERS)),
        ("grpc.so_reuseport", 0),  # two bridges on one port would share its calls
    ]


def _bind(server: grpc.Server, config: ServerConfig) -> int:
    address = f"{_literal(config.host)}:{config.port}"
    try:
        if config.tls is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, _credentials(config.tls))
    except RuntimeError as error:
        raise ServerError(
            f"cannot serve on {address}: {error}; is the port in use? --port 0 picks a free one"
        ) from error
    if port == 0:
        raise ServerError(f"cannot serve on {address}: the address is in use; --port 0 picks a free one")
    return port


def _literal(host: str) -> str:
    # A name is resolved by nobody: localhost could be pointed elsewhere.
    if host == "localhost":
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _credentials(files: TlsFiles) -> grpc.ServerCredentials:
    try:
        key, certificate, authority = (
            path.read_bytes() for path in (files.key, files.certificate, files.client_authority)
        )
    except OSError as error:
        raise ServerError(f"TLS file {error.filename}: {error.strerror}") from error
    return grpc.ssl_server_credentials([(key, certificate)], root_certificates=authority, require_client_auth=True)
