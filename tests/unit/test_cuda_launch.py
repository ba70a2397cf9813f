"""The launch handlers: from XLA's call frame to cuLaunchKernel, with a driver and a frame made by hand.

The words that were packed for the GPU then run on the host build of the same kernel: end to end but for the GPU itself.
"""

from pathlib import Path

import jax
import numpy as np
import pytest

from kernels.lob import spec
from kernels.lob.cuda import calls, launch
from kernels.lob.cuda.driver import Driver
from kernels.lob.cuda.errors import CudaMissingError
from kernels.lob.cuda.frame import frame_version
from kernels.lob.cuda.source import MARKET_STEP, PROCESS, kernel_source
from kernels.lob.ffi import FfiVersionError
from kernels.lob.host import empty_output
from kernels.lob.oracle import MarketOracle, Oracle
from kernels.lob.spec import Book, LobConfig
from kernels.lob.step import MarketResult, new_market
from market_models import zero_intelligence as zi
from market_models.registry import get_flow
from tests.support import cuda_host
from tests.support.cuda_driver import FakeDriver, Frame
from tests.support.engine_streams import assert_same, random_messages

CONFIG = LobConfig(64, 9, 3, spec.FILLS_OWNED, spec.SELF_TRADE_DECREMENT, spec.QUEUE_FRONT_FIRST)
MODES = (CONFIG.fills_mode, CONFIG.self_trade, CONFIG.queue_model)
VERSION = (0, 3)


def table_of(driver, kernel=42):
    return np.array([driver.launch_address(), kernel], np.int64)


@pytest.fixture(scope="module")
def driver():
    return FakeDriver(calls.NUM_PROCESS_WORDS)


@pytest.fixture(scope="module")
def handler(driver):
    return launch.make_process_launcher(64, MODES, table_of(driver), VERSION)


def call_arrays(batch, num_messages=70, seed=0):
    rng = np.random.default_rng(seed)
    shape = (batch,) if isinstance(batch, int) else batch
    rows = np.stack([random_messages(rng, num_messages) for _ in range(int(np.prod(shape)))] or [np.zeros((70, 8))])
    messages = rows[: int(np.prod(shape))].reshape(*shape, num_messages, 8).astype(np.int32)
    books = spec.empty_book(CONFIG, shape)
    new_books, out = cuda_host.poisoned(books), cuda_host.poisoned(empty_output(CONFIG, num_messages, shape))
    return books, messages, np.full(shape, 5, np.int32), new_books, out


def test_the_launch_covers_the_books_on_xlas_stream(driver, handler):
    for batch, grid in ((1, 1), (4, 1), (5, 2), ((2, 3), 2)):
        books, messages, reference, new_books, out = call_arrays(batch)
        driver.launches.clear()
        assert Frame([*books, messages, reference], [*new_books, *out], stream=0xABC).call(handler.address) == 0
        (done,) = driver.launches
        assert (done.kernel, done.stream, done.shared_bytes) == (42, 0xABC, 0)
        assert done.grid == (grid, 1, 1) and done.block == (32, 4, 1)


def test_the_packed_words_are_those_of_a_call_by_hand(driver, handler):
    books, messages, reference, new_books, out = call_arrays(3)
    Frame([*books, messages, reference], [*new_books, *out]).call(handler.address)
    by_hand = calls.process_words(books, messages, reference, new_books, out, CONFIG)
    assert driver.launches[-1].words.tolist() == by_hand.tolist()


@pytest.mark.parametrize("aliased", [False, True])
def test_what_would_run_on_the_gpu_gives_the_oracles_bits(driver, handler, aliased):
    books, messages, reference, new_books, out = call_arrays(6, seed=1)
    new_books = books if aliased else new_books
    Frame([*books, messages, reference], [*new_books, *out]).call(handler.address)
    cuda_host.host_kernel(PROCESS, 64)(driver.launches[-1].words)
    for b in range(6):
        judge = Oracle(*CONFIG, reference_tick=5)
        assert_same(judge.apply(messages[b]), type(out)(*(field[b] for field in out)), f"market {b}")
        assert_same(judge.arrays(), Book(*(field[b] for field in new_books)), f"market {b}")


def test_what_would_run_of_a_market_step_gives_the_oracles_bits():
    flow = get_flow("zero_intelligence")
    driver = FakeDriver(calls.NUM_MARKET_WORDS)
    handler = launch.make_market_step_launcher(64, MODES[1:], "market step", table_of(driver), VERSION)
    config = LobConfig(64, 9, 3)
    plain = launch.make_market_step_launcher(64, (0, 0), "market step", table_of(driver), VERSION)
    shape, rng = (2, 3), np.random.default_rng(4)
    markets = new_market(config, spec.empty_book(config, shape), seed=5, reference_tick=1000, inbox=7)
    markets.seed[..., 1] = np.arange(6).reshape(shape)
    sizes = rng.integers(1, 30, zi.NUM_SIZES)
    params = zi.pack(rng.random(10) + 0.2, 1.5, rng.random(10) * 0.2 + 0.02, sizes, sizes)
    inputs = [
        np.zeros((*shape, 4, 8), np.int32),
        np.tile(params, (*shape, 1)),
        np.zeros((*shape, 0, 8), np.int32),
        np.tile(np.array([80, 0], np.int32), (*shape, 1)),
    ]
    shapes = ((9, 8), (), (16,), (2, 3, 2), (2, 2, 6))
    result = MarketResult(*(np.full((*shape, *tail), cuda_host.POISON, np.int32) for tail in shapes))
    new_book = cuda_host.poisoned(markets.book)
    new_inbox, new_meta = np.full_like(markets.inbox, 7), np.full_like(markets.meta, 7)
    arguments = [*markets.book, markets.inbox, markets.meta, markets.seed, *inputs]
    for launcher in (handler, plain):
        assert Frame(arguments, [*new_book, new_inbox, new_meta, *result]).call(launcher.address) == 0
    modes, none = (driver.launches[place].words[-2:].tolist() for place in (0, 1))
    assert (modes, none) == ([3, 2], [0, 0]) and driver.launches[1].grid == (2, 1, 1)
    cuda_host.host_kernel(MARKET_STEP, 64, flow.cuda_source_path)(driver.launches[1].words)
    for place in np.ndindex(shape):
        oracle, options = Oracle(*config), {"inbox": 7, "num_learners": 2}
        judge = MarketOracle(oracle, flow.numba_sampler, **options, meta=markets.meta[place], seed=markets.seed[place])
        agents, params, rows, horizon = (words[place] for words in inputs)
        expected = judge.step(agents, params, rows, horizon)
        assert_same(expected, MarketResult(*(field[place] for field in result)), f"market {place}")
        assert_same(oracle.arrays(), Book(*(field[place] for field in new_book)), f"market {place}")
        np.testing.assert_array_equal(judge.inbox_rows(), new_inbox[place])
        np.testing.assert_array_equal(judge.meta, new_meta[place])


def test_no_books_are_no_launch(driver, handler):
    books, messages, reference, new_books, out = call_arrays(0)
    driver.launches.clear()
    assert Frame([*books, messages, reference], [*new_books, *out]).call(handler.address) == 0
    assert driver.launches == []


def test_an_error_of_xla_for_the_stream_is_handed_back_and_nothing_is_launched(driver, handler):
    books, messages, reference, new_books, out = call_arrays(2)
    driver.launches.clear()
    frame = Frame([*books, messages, reference], [*new_books, *out], error=0xE44)
    assert frame.call(handler.address) == 0xE44
    assert driver.launches == []


def test_a_refused_launch_becomes_an_error_that_names_the_kernel(handler):
    driver = FakeDriver(calls.NUM_PROCESS_WORDS, status=701)
    refused = launch.make_process_launcher(64, MODES, table_of(driver), VERSION)
    books, messages, reference, new_books, out = call_arrays(2)
    frame = Frame([*books, messages, reference], [*new_books, *out])
    assert frame.call(refused.address) == Frame.ERROR
    ((message, code),) = frame.errors
    assert "bookswarm_cuda_process_64_1_3_2" in message and code == 13


def test_only_the_execution_stage_launches(driver, handler):
    books, messages, reference, new_books, out = call_arrays(2)
    frame = Frame([*books, messages, reference], [*new_books, *out])
    driver.launches.clear()
    for stage in (0, 1, 2, 4):
        frame.frame.stage = stage
        assert frame.call(handler.address) == 0
    assert driver.launches == []


def test_the_kernel_is_compiled_for_the_gpus_and_loaded_under_its_name(tmp_path, monkeypatch):
    pytest.importorskip("nvidia.cu13", reason="nvidia-cuda-nvrtc is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    driver = FakeDriver(calls.NUM_PROCESS_WORDS)
    table = launch.launch_table(kernel_source(PROCESS, 64), driver)  # pyright: ignore[reportArgumentType]
    assert table.tolist() == [driver.launch_address(), 1001]
    assert driver.loaded[0][0] > 1000 and driver.loaded[0][1] == "lob_process"


def test_a_machine_without_driver_is_told_so():
    try:
        Driver()
    except CudaMissingError as error:
        assert "no CUDA device" in str(error)
    else:
        pytest.skip("this machine has a GPU")


@pytest.fixture(scope="module")
def header():
    return (Path(jax.ffi.include_dir()) / "xla" / "ffi" / "api" / "c_api.h").read_text()


def test_the_installed_header_has_the_layout_that_the_launchers_read(header):
    assert frame_version(header)[0] == 0


def test_the_names_of_jax_0_11_stand_for_the_same_layout(header):
    changed = header
    for old, new in (
        ("XLA_FFI_Extension_Base", "XLA_FFI_InternalExtension"),
        ("XLA_FFI_Extension_Type", "XLA_FFI_InternalExtension_Type"),
        ("XLA_FFI_ExecutionContext", "XLA_FFI_InvokeContext"),
        ("XLA_FFI_Error_GetMessage", "XLA_FFI_Error_GetDetails"),
    ):
        changed = changed.replace(old, new)
    assert frame_version(changed) == frame_version(header)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  XLA_FFI_ExecutionContext* ctx;\n  void* stream;  // out", "  void* stream;", "XLA_FFI_Stream_Get_Args"),
        ("_XLA_FFI_API_STRUCT_FIELD(XLA_FFI_Handler_Register);", "", "function 4 of struct XLA_FFI_Api"),
        ("  const XLA_FFI_InternalApi* internal_api;\n\n", "", "struct XLA_FFI_Api begins with"),
        ("XLA_FFI_Error_Code_INTERNAL = 13", "XLA_FFI_Error_Code_INTERNAL = 14", "INTERNAL is not 13"),
        ("  const char* message;\n  XLA_FFI_Error_Code errc;", "  XLA_FFI_Error_Code errc;", "Error_Create_Args"),
    ],
)
def test_a_header_that_differs_is_refused_with_the_place(header, old, new, message):
    changed = header.replace("struct XLA_FFI_InvokeContext", "struct XLA_FFI_ExecutionContext")
    changed = changed.replace("XLA_FFI_InvokeContext*", "XLA_FFI_ExecutionContext*")
    assert old in changed
    with pytest.raises(FfiVersionError, match=message):
        frame_version(changed.replace(old, new))
