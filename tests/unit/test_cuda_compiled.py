"""Every kernel compiles to sm_90 machine code without a GPU: no spills, and its resources are known."""

import pytest

from kernels.lob import spec
from kernels.lob.cuda import cubins, nvrtc
from kernels.lob.cuda.resources import Multiprocessor, Resources, occupancy, resources, section_size
from kernels.lob.cuda.source import BLOCKS, MARKET_STEP, PROCESS, WARPS, KernelSource, constants_header, kernel_source
from market_models.registry import MODELS, get_flow

pytestmark = pytest.mark.usefixtures("with_nvrtc")

KERNELS = [(PROCESS, None), *((MARKET_STEP, get_flow(name).cuda_source_path) for name in sorted(MODELS))]


@pytest.mark.parametrize("capacity", spec.CAPACITIES)
@pytest.mark.parametrize(("kernel", "flow_source"), KERNELS)
def test_every_kernel_compiles_without_spills_and_keeps_a_book_in_shared_memory(kernel, flow_source, capacity):
    taken = resources(nvrtc.compile_source(kernel_source(kernel, capacity, flow_source)))
    assert (taken.spill_stores_bytes, taken.spill_loads_bytes, taken.stack_bytes) == (0, 0, 0)
    assert taken.shared_bytes == WARPS[capacity] * (32 * capacity + 32 * 32)
    assert 0 < taken.registers <= 255 and taken.instructions > 500
    # 20 bytes an order slot and side and 256 bytes: 16 for the order, the staged messages are the call's.
    assert 32 * capacity <= 20 * 2 * capacity + 256
    assert occupancy(taken, capacity).blocks >= BLOCKS[kernel][capacity]


def test_occupancy_is_what_the_scarcest_resource_leaves():
    def held(registers, shared, capacity=64):
        return occupancy(Resources(registers, 0, 0, 0, shared, 1000), capacity)

    assert (held(24, 0).warps, held(24, 0).limited_by) == (64, "warps")
    assert (held(65, 0).warps, held(65, 0).limited_by) == (28, "registers")  # 72 x 32 a warp, 28 of them
    assert (held(24, 56 * 1024).warps, held(32, 56 * 1024).limited_by) == (16, "shared memory")
    assert occupancy(Resources(32, 0, 0, 0, 0, 1), 64, Multiprocessor(blocks=2)).limited_by == "blocks"


def test_a_source_that_does_not_compile_is_refused_with_the_compilers_words():
    good = kernel_source(PROCESS, 64)
    broken = KernelSource(good.kernel, 64, good.main.replace("int total", "integer total"), good.headers)
    with pytest.raises(nvrtc.CompileError, match=r"process.cu, capacity 64, for sm_90.*integer"):
        nvrtc.compile_source(broken)


def test_compiled_code_is_kept_and_damage_is_noticed(tmp_path, monkeypatch):
    source = kernel_source(PROCESS, 64)
    first = cubins.cubin(source, "sm_90", tmp_path)
    (kept,) = tmp_path.iterdir()
    compiled = []
    real = nvrtc.compile_source
    monkeypatch.setattr(nvrtc, "compile_source", lambda *given: compiled.append(given) or real(*given))
    assert cubins.cubin(source, "sm_90", tmp_path) == first and not compiled
    kept.write_bytes(kept.read_bytes()[:-1])
    assert cubins.cubin(source, "sm_90", tmp_path) == first and len(compiled) == 1
    assert cubins.cubin(kernel_source(PROCESS, 128), "sm_90", tmp_path) != first
    assert len(list(tmp_path.iterdir())) == 2


def test_a_directory_that_cannot_be_written_only_costs_time(tmp_path):
    (tmp_path / "file").touch()
    code = cubins.cubin(kernel_source(PROCESS, 64), "sm_90", tmp_path / "file" / "below")
    assert section_size(code, ".text.lob_process") > 0


def test_the_machine_code_is_read_as_the_elf_file_that_it_is():
    code = nvrtc.compile_source(kernel_source(PROCESS, 64)).cubin
    with pytest.raises(ValueError, match=r"no section \.text\.other"):
        section_size(code, ".text.other")
    with pytest.raises(ValueError, match="is no 64-bit"):
        section_size(b"MZ" + code, ".text.lob_process")


def test_the_constants_are_those_of_the_table():
    header = constants_header()
    assert f"constexpr int LEVEL_SET = {spec.LEVEL_SET};" in header
    assert f"constexpr int DEPTH_SATURATED = {spec.DEPTH_SATURATED};" in header
    assert "CAPACITIES" not in header
