"""The files of an artifact directory."""

from typing import Final

MANIFEST_FILE: Final = "manifest.json"
WEIGHTS_FILE: Final = "weights.safetensors"
GOLDEN_FILE: Final = "golden.npz"
SIGNATURE_FILE: Final = "signature"
REQUIRED_FILES: Final = (WEIGHTS_FILE, GOLDEN_FILE)  # listed in the manifest with their digests
OPTIONAL_FILES: Final = ("policy.stablehlo", "policy.onnx")  # listed in the manifest where they exist
MEMBER_WEIGHT_TENSOR: Final = "member_weight"  # float32[M] in weights.safetensors
