# ruff: noqa: N802 (the methods have the names of the service definition)
"""The bridge's unary calls and the decision stream: translate, ask the session, translate back.

Nothing here decides anything: every rule is in the core and the gate. What arrives from outside is checked for shape
only, and a call that is refused is logged with its caller.
"""

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from threading import Semaphore
from typing import Any, NoReturn, TypeVar

import grpc

from live_bridge import messages, types
from live_bridge.control import SessionControl
from market_models.instrument import Instrument
from protos.bridge.v1 import bridge_pb2 as pb
from protos.bridge.v1 import bridge_pb2_grpc

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Served:
    """A session and what its clients may know about it."""

    session: SessionControl
    instruments: tuple[Instrument, ...]  # by index
    answer_timeout_s: float = 10.0  # how long a call waits for its records to be durable

    def __post_init__(self) -> None:
        if not self.instruments:
            raise ValueError("a served session has at least one instrument")


class ControlServicer(bridge_pb2_grpc.ControlServicer):
    """Look at a session and stop it."""

    def __init__(self, served: Served) -> None:
        self._served = served

    def State(self, request: pb.StateRequest, context: grpc.ServicerContext) -> pb.SessionState:
        """Return the latest snapshot."""
        return messages.state_message(self._served.session.state(), self._served.instruments)

    def Limits(self, request: pb.LimitsRequest, context: grpc.ServicerContext) -> pb.LimitsResponse:
        """Return the instruments and the limits that their strategy has now."""
        limits = self._served.session.limits()[0]
        return pb.LimitsResponse(
            instruments=[messages.limits_message(each, limits) for each in self._served.instruments]
        )

    def SetLimits(self, request: pb.SetLimitsRequest, context: grpc.ServicerContext) -> pb.CommandResponse:
        """Change limits while the session runs."""
        try:
            actor = caller(request.actor, context)
            scope = messages.required("scope", request.scope, messages.MAX_ID)
            reason = messages.optional("reason", request.reason)
            changes = messages.limit_changes(request.changes)
        except messages.BadRequestError as error:
            refuse(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        asked = self._served.session.set_limits(scope, changes, actor, reason)
        return messages.result_message(answer(asked, self._served, context))

    def Kill(self, request: pb.CommandRequest, context: grpc.ServicerContext) -> pb.CommandResponse:
        """Cancel everything and halt."""
        return self._command(self._served.session.kill, request, context)

    def Flatten(self, request: pb.CommandRequest, context: grpc.ServicerContext) -> pb.CommandResponse:
        """Cancel everything, trade the position to zero, halt."""
        return self._command(self._served.session.flatten, request, context)

    def Resume(self, request: pb.CommandRequest, context: grpc.ServicerContext) -> pb.CommandResponse:
        """Go back to ACTIVE."""
        return self._command(self._served.session.resume, request, context)

    def ReduceOnly(self, request: pb.CommandRequest, context: grpc.ServicerContext) -> pb.CommandResponse:
        """Accept only what brings the position nearer to zero."""
        return self._command(self._served.session.reduce_only, request, context)

    def Stop(self, request: pb.CommandRequest, context: grpc.ServicerContext) -> pb.CommandResponse:
        """Drain and end the session."""
        return self._command(self._served.session.stop, request, context)

    def _command(
        self,
        command: Callable[[str, str], Future[types.CommandResult]],
        request: pb.CommandRequest,
        context: grpc.ServicerContext,
    ) -> pb.CommandResponse:
        try:
            actor = caller(request.actor, context)
            reason = messages.optional("reason", request.reason)
        except messages.BadRequestError as error:
            refuse(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return messages.result_message(answer(command(actor, reason), self._served, context))


class OrdersServicer(bridge_pb2_grpc.OrdersServicer):
    """Orders from outside the policy, through the same gate."""

    def __init__(self, served: Served) -> None:
        self._served = served

    def List(self, request: pb.ListOrdersRequest, context: grpc.ServicerContext) -> pb.ListOrdersResponse:
        """Return the session's orders."""
        orders = self._served.session.orders(open_only=not request.include_closed)
        return pb.ListOrdersResponse(orders=[messages.order_message(order) for order in orders])

    def Submit(self, request: pb.SubmitRequest, context: grpc.ServicerContext) -> pb.CommandResponse:
        """Send an order through the gate; the answer comes when its intent or its refusal is durable."""
        try:
            actor = caller(request.actor, context)
            order = messages.order_request(request, len(self._served.instruments), actor)
        except messages.BadRequestError as error:
            refuse(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return messages.result_message(answer(self._served.session.submit(order), self._served, context))

    def Cancel(self, request: pb.CancelRequest, context: grpc.ServicerContext) -> pb.CommandResponse:
        """Cancel an order by its client order id."""
        try:
            cancel = messages.cancel_request(request, caller(request.actor, context))
        except messages.BadRequestError as error:
            refuse(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return messages.result_message(answer(self._served.session.cancel(cancel), self._served, context))


class DecisionsServicer(bridge_pb2_grpc.DecisionsServicer):
    """Decisions for a feed from outside: one book in, one answer out, in order."""

    def __init__(self, served: Served, slots: "StreamSlots") -> None:
        self._served = served
        self._slots = slots

    def Decide(
        self, request_iterator: Iterator[pb.DecisionRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.DecisionResponse]:
        """Feed each book to the core and return its decision or refusal."""
        self._slots.take(context)
        for request in request_iterator:
            try:
                book = messages.book_event(request.book, len(self._served.instruments), time.time_ns())
            except messages.BadRequestError as error:
                refuse(context, grpc.StatusCode.INVALID_ARGUMENT, f"request {request.request_number}: {error}")
            decided = answer(self._served.session.decide(book), self._served, context)
            yield messages.decision_message(request.request_number, decided)


class StreamSlots:
    """How many streams may be open at once; each holds a thread, so the number is bounded."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = Semaphore(limit)

    def take(self, context: grpc.ServicerContext) -> None:
        """Take a slot until the call ends, or refuse the call."""
        if not self._free.acquire(blocking=False):
            refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, f"all {self._limit} streams are in use")
        if not context.add_callback(self._free.release):
            self._free.release()


def caller(actor: str, context: grpc.ServicerContext) -> str:
    """Return who calls, for the record: the stated actor with the certificate's name or the address."""
    names: Any = context.auth_context().get("x509_common_name")  # grpc's stubs have the wrong type here
    place = names[0].decode(errors="replace") if names else context.peer()
    return f"{messages.required('actor', actor, messages.MAX_ID)}@{place}"


def answer(future: Future[_Answer], served: Served, context: grpc.ServicerContext) -> _Answer:
    """Wait for the session within the call's deadline; a late answer is a typed status, never a guess."""
    remaining = context.time_remaining()
    timeout_s = min(served.answer_timeout_s, remaining) if remaining is not None else served.answer_timeout_s
    try:
        return future.result(timeout=max(timeout_s, 0.0))
    except TimeoutError:
        refuse(
            context,
            grpc.StatusCode.DEADLINE_EXCEEDED,
            f"not durable within {timeout_s:.3g} s; the request may still take effect: read Events",
        )
    except (CancelledError, RuntimeError) as error:
        refuse(context, grpc.StatusCode.UNAVAILABLE, f"the session does not answer: {error or 'it has ended'}")


def refuse(
    context: grpc.ServicerContext, code: grpc.StatusCode, message: str, metadata: tuple[Any, ...] = ()
) -> NoReturn:
    """End the call with a typed status and put it on record."""
    _log.warning("refused %s from %s: %s", code.name, context.peer(), message)
    if metadata:
        context.set_trailing_metadata(metadata)
    context.abort(code, message)
    raise AssertionError("abort raises")  # for the type checker
