"""How fast a venue may be asked, and what is asked again after a failure."""

import asyncio
import email.utils
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

# W / interval requests fit in a window of W and one at its edge: spaced a little wider, that one fits as well.
_MARGIN = 1.05


class Pacer:
    """One request at a time; one of cost c keeps the next away for c intervals after its response.

    The pause begins with the response, so that a request that travels long cannot arrive beside the next: at the venue
    no window of W seconds holds more cost than W / interval_s. Time is monotonic: a jump of the wall clock neither
    stalls nor floods (ccxt's own throttler runs on wall clock).
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s, self._free_at = interval_s * _MARGIN, 0.0
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, cost: float) -> AsyncIterator[None]:
        """Wait for the turn of a request of this cost, and hold it until the response is there."""
        async with self._lock:
            while (wait_s := self._free_at - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            try:
                yield
            finally:
                self.hold(cost * self._interval_s)

    def hold(self, seconds: float) -> None:
        """Send nothing for this long."""
        self._free_at = max(self._free_at, time.monotonic() + seconds)


class RetryableError(Exception):
    """A request that may succeed when repeated; `reason` is what is counted, `retry_after_s` what the venue asked."""

    def __init__(self, reason: str, sentence: str, retry_after_s: float | None = None) -> None:
        super().__init__(sentence)
        self.reason, self.retry_after_s = reason, retry_after_s


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential back-off: attempt n waits base_s x 2^n, at most cap_s, times a random share of 1/2 to 1."""

    attempts: int = 8
    base_s: float = 0.25
    cap_s: float = 30.0
    longest_retry_after_s: float = 900.0

    def wait_s(self, attempt: int, rng: random.Random) -> float:
        """Return how long to wait after failure number `attempt`, from 0."""
        return min(self.cap_s, self.base_s * 2 ** min(attempt, 30)) * (0.5 + rng.random() / 2)


class GaveUpError(Exception):
    """The venue could not be asked, however often."""


async def with_retries(
    request: Callable[[], Awaitable[T]],
    policy: RetryPolicy,
    rng: random.Random,
    hold: Callable[[float], None],
    on_retry: Callable[[str], None],
) -> T:
    """Repeat a request while it raises RetryableError; any other error ends it at once.

    Raises:
        GaveUpError: after `policy.attempts`, or if the venue asks for a wait beyond `longest_retry_after_s`.
    """
    for attempt in range(policy.attempts):
        try:
            return await request()
        except RetryableError as error:
            asked_s = error.retry_after_s
            if attempt == policy.attempts - 1:
                raise GaveUpError(f"{error} ({policy.attempts} attempts)") from error
            if asked_s is not None and asked_s > policy.longest_retry_after_s:
                raise GaveUpError(f"{error}; it asks to wait {asked_s:.0f} s") from error
            on_retry(error.reason)
            hold(policy.wait_s(attempt, rng) if asked_s is None else asked_s)
    raise ValueError(f"attempts is {policy.attempts}: at least 1 is needed")


def parse_retry_after(text: str | None) -> float | None:
    """Return the seconds of a Retry-After header (a number or an HTTP date); None where there is none to be read."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError):
            return None
    return None if math.isnan(seconds) else max(0.0, seconds)
