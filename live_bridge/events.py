# ruff: noqa: N802 (the methods have the names of the service definition)
"""The event stream: journalled records to any number of readers, none of which can slow the session down.

The session's bus gives each reader a bounded queue. A reader that lets it overflow is told where to continue and
dropped (RESOURCE_EXHAUSTED). One that stops reading altogether blocks its thread in the transport, where no status can
reach it: the watch cuts such a call after `stall_s`.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

import grpc

from live_bridge import messages
from live_bridge.control import EventBus, Subscription
from live_bridge.servicer import StreamSlots, refuse
from live_bridge.types import SubscriptionDropped
from protos.bridge.v1 import bridge_pb2 as pb
from protos.bridge.v1 import bridge_pb2_grpc

NEXT_SEQUENCE_KEY = "bookswarm-next-sequence"
_POLL_S = 0.25  # how soon a stream notices that its reader or the server is gone


class EventsServicer(bridge_pb2_grpc.EventsServicer):
    """Serve the bus."""

    def __init__(self, bus: EventBus, slots: StreamSlots, watch: "StallWatch") -> None:
        self._bus = bus
        self._slots = slots
        self._watch = watch
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End every stream soon."""
        self._stopping.set()

    def Subscribe(self, request: pb.SubscribeRequest, context: grpc.ServicerContext) -> Iterator[pb.Event]:
        """Stream records from a sequence number on."""
        try:
            kinds = messages.record_kinds(list(request.kinds))
        except messages.BadRequestError as error:
            refuse(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        self._slots.take(context)
        try:
            subscription = self._bus.subscribe(request.from_sequence)
        except ValueError as error:
            refuse(context, grpc.StatusCode.OUT_OF_RANGE, f"from_sequence {request.from_sequence}: {error}")
        if not context.add_callback(subscription.close):
            subscription.close()
            return
        yield from self._stream(subscription, kinds, context)

    def _stream(
        self, subscription: Subscription, kinds: frozenset[type] | None, context: grpc.ServicerContext
    ) -> Iterator[pb.Event]:
        while context.is_active():
            item = subscription.get(timeout_s=_POLL_S)
            if item is None:
                if subscription.ended:
                    return
                if self._stopping.is_set():
                    refuse(context, grpc.StatusCode.UNAVAILABLE, "the server is stopping")
                continue
            if isinstance(item, SubscriptionDropped):
                _drop(item, context)
            if kinds is None or type(item.body) in kinds:
                with self._watch.sending(context):
                    yield messages.event_message(item)


def _drop(item: SubscriptionDropped, context: grpc.ServicerContext) -> NoReturn:
    refuse(
        context,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        f"reader too slow ({item.reason}); subscribe again from sequence {item.next_sequence}",
        ((NEXT_SEQUENCE_KEY, str(item.next_sequence)),),
    )


class StallWatch:
    """Cuts calls whose client has not taken a message for `stall_s`; `every_s` also runs `tick`, the health check."""

    def __init__(self, stall_s: float, tick: Callable[[], None], every_s: float = 0.5) -> None:
        self._stall_s = stall_s
        self._tick = tick
        self._every_s = every_s
        self._since: dict[int, tuple[float, grpc.ServicerContext]] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="grpc-watch", daemon=True)

    def start(self) -> None:
        """Begin watching."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching and wait for the thread."""
        self._stopped.set()
        self._thread.join()

    def sending(self, context: grpc.ServicerContext) -> "_Sending":
        """Mark, for a `with` block, that a message is on its way to this client."""
        return _Sending(self, context)

    def enter(self, key: int, context: grpc.ServicerContext) -> None:
        """Note that a message was handed to the transport."""
        with self._lock:
            self._since[key] = (time.monotonic(), context)

    def leave(self, key: int) -> None:
        """Note that the transport took it."""
        with self._lock:
            self._since.pop(key, None)

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            self._tick()
            now = time.monotonic()
            with self._lock:
                stalled = [context for since, context in self._since.values() if now - since > self._stall_s]
            for context in stalled:
                context.cancel()


class _Sending:
    def __init__(self, watch: StallWatch, context: grpc.ServicerContext) -> None:
        self._watch = watch
        self._context = context

    def __enter__(self) -> None:
        self._watch.enter(id(self), self._context)

    def __exit__(self, *_: object) -> None:
        self._watch.leave(id(self))
