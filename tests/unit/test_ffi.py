"""The FFI binding refuses a call frame that it does not know, by comparing the header's structs with its offsets."""

from pathlib import Path

import jax
import pytest

from kernels.lob.ffi import FfiVersionError, frame_version


@pytest.fixture(scope="module")
def header():
    return (Path(jax.ffi.include_dir()) / "xla" / "ffi" / "api" / "c_api.h").read_text()


def test_the_installed_header_has_the_layout_that_the_handlers_read(header):
    assert frame_version(header)[0] == 0


def test_a_newer_minor_version_with_the_same_fields_is_reported_as_it_is(header):
    changed = header.replace("#define XLA_FFI_API_MINOR ", "#define XLA_FFI_API_MINOR 9")
    assert frame_version(changed)[1] >= 90


def test_the_names_of_jax_0_11_stand_for_the_same_layout(header):
    changed = header.replace("XLA_FFI_Extension_Base", "XLA_FFI_InternalExtension")
    changed = changed.replace("XLA_FFI_Extension_Type", "XLA_FFI_InternalExtension_Type")
    changed = changed.replace("XLA_FFI_ExecutionContext", "XLA_FFI_InvokeContext")
    assert frame_version(changed) == frame_version(header)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("#define XLA_FFI_API_MAJOR 0", "#define XLA_FFI_API_MAJOR 1", "version is 1"),
        ("#define XLA_FFI_API_MAJOR 0", "", "no match"),
        ("  int64_t rank;", "  int32_t rank;", "struct XLA_FFI_Buffer"),
        ("  XLA_FFI_ExecutionStage stage;\n  XLA_FFI_Args args;", "  XLA_FFI_Args args;", "struct XLA_FFI_CallFrame"),
        ("XLA_FFI_ExecutionStage_EXECUTE = 3", "XLA_FFI_ExecutionStage_EXECUTE = 4", "EXECUTE is 4"),
        ("struct XLA_FFI_Metadata {", "struct XLA_FFI_Something {", "no struct XLA_FFI_Metadata"),
    ],
)
def test_a_header_that_lays_the_frame_out_otherwise_is_refused_with_the_place(header, old, new, message):
    assert old in header
    with pytest.raises(FfiVersionError, match=message):
        frame_version(header.replace(old, new))
