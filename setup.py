"""Builds the kernel, a plain C library without Python's or torch's headers; the rest is in pyproject.toml.

The library is optional: where there is no compiler, or one that cannot build it, the package is installed
without it and computes the same in numpy. `UNBUG_KERNEL=require` makes that an error, for those who build
wheels.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

SOURCES = Path("src/unbug/numerics/kernel")
START = Path("src/unbug/hooks/child/unbug.pth")
OPTIONS = (
    "-std=c11",
    "-O3",
    "-g0",
    "-fvisibility=hidden",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
)


class Library(build_ext):
    """A shared library that ctypes loads: its name carries no version of Python, it exports no `PyInit`."""

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split(".")).with_suffix(".so"))

    def get_export_symbols(self, ext: Extension) -> list[str]:
        return []

    def get_libraries(self, ext: Extension) -> list[str]:
        return list(ext.libraries)

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except Exception as error:
            note = f"unbug's native kernel was not built, numpy is used in its place: {error}"
            print(f"\n{note}\n", file=sys.stderr)
            raise


class Modules(build_py):
    """Puts `unbug.pth` beside the package: Python reads it when it starts, which `UNBUG=1 python …` needs."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            self.copy_file(START.as_posix(), str(Path(self.build_lib) / START.name))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        own = [] if self.editable_mode else [str(Path(self.build_lib) / START.name)]
        return [*super().get_outputs(include_bytecode), *own]


class Wheel(bdist_wheel):
    """One wheel for every Python on a platform."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


setup(
    ext_modules=[
        Extension(
            "unbug.numerics._kernel",
            sources=sorted(path.as_posix() for path in SOURCES.glob("*.c")),
            depends=sorted(path.as_posix() for path in SOURCES.glob("*.h")),
            extra_compile_args=list(OPTIONS),
            libraries=[] if sys.platform == "win32" else ["m"],
            optional=os.environ.get("UNBUG_KERNEL") != "require",
        )
    ],
    cmdclass={"build_ext": Library, "build_py": Modules, "bdist_wheel": Wheel},
)
