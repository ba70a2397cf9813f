"""XLA FFI handlers that launch the CUDA kernels on XLA's stream. Not run on a GPU yet.

A handler is a numba `cfunc`, as on the CPU: it packs the words of the call from the frame and calls cuLaunchKernel. No
copy and no synchronisation: the kernel reads the old books and writes the new ones, which may be the same memory. A
kernel's handle is valid in every context, and the stream says which GPU it runs on, so one handler serves all GPUs.
"""

from typing import Any, Final

import numpy as np
from numba import cfunc, njit, types
from numba.np.numpy_support import carray

from kernels.lob._memory import INLINE, int64_view, stack_words
from kernels.lob.cuda.calls import (
    MARKET_AGENT_MESSAGES,
    MARKET_BACKGROUND,
    MARKET_BATCH,
    MARKET_FLOW_PARAMS,
    MARKET_INBOX,
    MARKET_INBOX_SIZE,
    MARKET_LEVELS,
    MARKET_MAX_FILLS,
    MARKET_META,
    MARKET_NEW_BOOK,
    MARKET_NUM_AGENT_MESSAGES,
    MARKET_NUM_BACKGROUND,
    MARKET_NUM_LEARNERS,
    MARKET_NUM_PARAMS,
    MARKET_QUEUE_MODEL,
    MARKET_SELF_TRADE,
    NUM_BOOK_FIELDS,
    NUM_MARKET_ARGUMENTS,
    NUM_MARKET_RESULTS,
    NUM_MARKET_WORDS,
    NUM_OUTPUT_FIELDS,
    NUM_PROCESS_WORDS,
    PROCESS_BATCH,
    PROCESS_FILLS_MODE,
    PROCESS_LEVELS,
    PROCESS_MAX_FILLS,
    PROCESS_MESSAGES,
    PROCESS_NEW_BOOK,
    PROCESS_NUM_MESSAGES,
    PROCESS_QUEUE_MODEL,
    PROCESS_REFERENCE,
    PROCESS_SELF_TRADE,
)
from kernels.lob.cuda.cubins import cubin
from kernels.lob.cuda.driver import Driver, the_driver
from kernels.lob.cuda.frame import call_launch, make_error, stream_of
from kernels.lob.cuda.source import WARP, WARPS, KernelSource
from kernels.lob.ffi import Handler, argument, dimension, is_execution, leading, result

# Words of a launch table: what only the machine with the GPU knows.
TABLE_LAUNCH: Final = 0  # address of cuLaunchKernel
TABLE_KERNEL: Final = 1  # handle of the kernel
NUM_TABLE_WORDS: Final = 2


def launch_table(source: KernelSource, driver: Driver | None = None) -> np.ndarray:
    """Compile a kernel for this machine's GPUs (or take it from the cache), load it, and return its table.

    Raises CudaMissingError that says what is missing and how to get it.
    """
    driver = the_driver() if driver is None else driver
    kernel = driver.load(cubin(source, driver.arch()), source.entry)
    table = np.zeros(NUM_TABLE_WORDS, np.int64)
    table[TABLE_LAUNCH], table[TABLE_KERNEL] = driver.launch_address(), kernel
    return table


class LaunchHandler(Handler):
    """A compiled handler together with what its machine code refers to."""

    def __init__(self, function: Any, name: str, *alive: Any) -> None:
        super().__init__(function, name)
        self._alive = alive

    @property
    def address(self) -> int:
        """Address of the machine code, `XLA_FFI_Error* (XLA_FFI_CallFrame*)`."""
        return self._function.address


def compile_launcher(
    pack: Any, name: str, num_words: int, warps: int, table: np.ndarray, version: tuple[int, int]
) -> LaunchHandler:
    """Compile a handler that launches the kernel of `table` on the words that `pack(frame, words)` writes.

    `pack` is an njit function that returns the number of markets; there is no launch for none.
    """
    packed_version = version[0] | version[1] << 32
    table_address = table.ctypes.data
    message = np.frombuffer(f"bookswarm: the CUDA driver refused to launch {name}\0".encode(), np.uint8).copy()
    message_address = message.ctypes.data

    @cfunc(types.int64(types.CPointer(types.int64)), cache=False)
    def handler(call_frame):
        frame = carray(call_frame, (20,))
        if not is_execution(frame, packed_version):
            return 0
        address = stack_words(num_words)
        markets = pack(frame, int64_view(address, (num_words,)))
        if markets == 0:
            return 0
        error, stream = stream_of(frame, stack_words(4))
        if error != 0:
            return error
        parameters_address = stack_words(1)
        int64_view(parameters_address, (1,))[0] = address
        words = int64_view(table_address, (NUM_TABLE_WORDS,))
        grid = (markets + warps - 1) // warps
        status = call_launch(words[TABLE_LAUNCH], words[TABLE_KERNEL], grid, WARP, warps, stream, parameters_address)
        return 0 if status == 0 else make_error(frame, message_address)

    return LaunchHandler(handler, name, table, message)


def make_process_launcher(
    capacity: int, modes: tuple[int, int, int], table: np.ndarray, version: tuple[int, int]
) -> LaunchHandler:
    """Compile the handler of `process` for books of `capacity` and `modes` (fills mode, self-trade, queue model).

    Arguments and results are those of `kernels.lob.ffi.make_process_handler`.
    """
    fills_mode, self_trade, queue_model = modes

    @njit(**INLINE)
    def pack(frame, words):
        messages = argument(frame, PROCESS_MESSAGES)
        for field in range(NUM_BOOK_FIELDS):
            words[field] = argument(frame, field)[0]
        words[PROCESS_MESSAGES] = messages[0]
        words[PROCESS_REFERENCE] = argument(frame, PROCESS_REFERENCE)[0]
        for field in range(NUM_BOOK_FIELDS + NUM_OUTPUT_FIELDS):
            words[PROCESS_NEW_BOOK + field] = result(frame, field)[0]
        words[PROCESS_BATCH] = leading(messages, 2)
        words[PROCESS_NUM_MESSAGES] = dimension(messages, 1)
        words[PROCESS_MAX_FILLS] = dimension(result(frame, 8), 1)
        words[PROCESS_LEVELS] = dimension(result(frame, 11), 1)
        words[PROCESS_FILLS_MODE] = fills_mode
        words[PROCESS_SELF_TRADE] = self_trade
        words[PROCESS_QUEUE_MODEL] = queue_model
        return words[PROCESS_BATCH]

    name = process_target(capacity, modes)
    return compile_launcher(pack, name, NUM_PROCESS_WORDS, WARPS[capacity], table, version)


def process_target(capacity: int, modes: tuple[int, int, int]) -> str:
    """Return the name under which the handler of `process` is registered; it repeats from process to process."""
    return "_".join(("bookswarm_cuda_process", str(capacity), *map(str, modes)))


def make_market_step_launcher(
    capacity: int, modes: tuple[int, int], name: str, table: np.ndarray, version: tuple[int, int]
) -> LaunchHandler:
    """Compile the handler of the market step for books of `capacity` and `modes` (self-trade, queue model).

    Arguments and results are those of `kernels.lob.ffi.make_market_step_handler`.
    """
    self_trade, queue_model = modes

    @njit(**INLINE)
    def pack(frame, words):
        for field in range(NUM_MARKET_ARGUMENTS):
            words[field] = argument(frame, field)[0]
        for field in range(NUM_MARKET_RESULTS):
            words[MARKET_NEW_BOOK + field] = result(frame, field)[0]
        words[MARKET_BATCH] = leading(argument(frame, MARKET_META), 1)
        words[MARKET_INBOX_SIZE] = dimension(argument(frame, MARKET_INBOX), 1)
        words[MARKET_NUM_AGENT_MESSAGES] = dimension(argument(frame, MARKET_AGENT_MESSAGES), 1)
        words[MARKET_NUM_PARAMS] = dimension(argument(frame, MARKET_FLOW_PARAMS), 0)
        words[MARKET_NUM_BACKGROUND] = dimension(argument(frame, MARKET_BACKGROUND), 1)
        words[MARKET_MAX_FILLS] = dimension(result(frame, 8), 1)
        words[MARKET_LEVELS] = dimension(result(frame, 11), 1)
        words[MARKET_NUM_LEARNERS] = dimension(result(frame, 12), 2)
        words[MARKET_SELF_TRADE] = self_trade
        words[MARKET_QUEUE_MODEL] = queue_model
        return words[MARKET_BATCH]

    return compile_launcher(pack, name, NUM_MARKET_WORDS, WARPS[capacity], table, version)


def market_step_target(flow_name: str, capacity: int, modes: tuple[int, int]) -> str:
    """Return the name under which the handler of the market step with a flow is registered."""
    return "_".join(("bookswarm_cuda_market_step", flow_name, str(capacity), *map(str, modes)))
