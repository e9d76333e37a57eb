"""Which environment variables may be kept: those that change how a program computes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from unbug.privacy.names import is_secret_name
from unbug.privacy.redactor import Redactor

__all__ = ["allowed_environment"]

_KEPT = """
    CUDA_VISIBLE_DEVICES CUDA_LAUNCH_BLOCKING CUDA_DEVICE_ORDER CUDA_MODULE_LOADING
    CUBLAS_WORKSPACE_CONFIG HIP_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES NVIDIA_TF32_OVERRIDE XLA_FLAGS
    OPENBLAS_NUM_THREADS NUMEXPR_NUM_THREADS VECLIB_MAXIMUM_THREADS ATEN_CPU_CAPABILITY
    DNNL_MAX_CPU_ISA RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE GROUP_RANK ROLE_RANK NODE_RANK
    SLURM_JOB_ID SLURM_PROCID SLURM_LOCALID SLURM_NTASKS SLURM_NNODES SLURM_CPUS_PER_TASK
    PYTHONHASHSEED PYTHONUNBUFFERED PYTHONWARNINGS PYTHONOPTIMIZE PYTHONMALLOC PYTHONDEVMODE
    PYTHONUTF8 TOKENIZERS_PARALLELISM HF_HUB_OFFLINE TRANSFORMERS_OFFLINE HF_DATASETS_OFFLINE LANG
    LC_ALL TZ CONDA_DEFAULT_ENV NO_COLOR TERM COLUMNS MALLOC_ARENA_MAX LD_PRELOAD
    TF_CPP_MIN_LOG_LEVEL TF_ENABLE_ONEDNN_OPTS KERAS_BACKEND
"""
_NAMES = frozenset(_KEPT.split())
_PREFIXES = (
    "OMP_", "MKL_", "KMP_", "GOMP_", "PYTORCH_", "TORCH_", "TORCHINDUCTOR_", "TORCHDYNAMO_", "NCCL_", "GLOO_",
    "ACCELERATE_", "UNBUG",
)  # fmt: skip


def allowed_environment(
    environ: Mapping[str, str], redactor: Redactor, *, also: Iterable[str] = ()
) -> dict[str, str]:
    """The variables that may be written, redacted, in order of their names.

    Args:
        also: Further names the user allows; `*` at the end stands for any rest. A name that looks like
            a secret's stays out whatever is asked.
    """
    names = frozenset(also) | _NAMES
    prefixes = (*_PREFIXES, *(name[:-1] for name in names if name.endswith("*") and len(name) > 1))
    return {
        name: redactor.text(value)
        for name, value in sorted(environ.items())
        if (name in names or name.startswith(prefixes)) and not is_secret_name(name, variable=True)
    }
