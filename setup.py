"""Generate the gRPC stubs in `fedcoin/v1` from `proto/` before each build.

Metadata and dependencies are in pyproject.toml.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from setuptools import Command, find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.develop import develop
from setuptools.command.editable_wheel import editable_wheel
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
PROTO = ROOT / "proto"
STUBS = ROOT / "fedcoin" / "v1"
# The version of the stubs' generator is in pyproject.toml.
GENERATOR = (ROOT / "setup.py", ROOT / "pyproject.toml")

PACKAGE_DOC = '"""Generated from proto/fedcoin/v1 by the build; do not edit."""\n'


def generate_stubs() -> None:
    """Generate messages, services and type stubs, unless they are newer than their sources."""
    sources = sorted(PROTO.glob("fedcoin/v1/*.proto"))
    package = STUBS / "__init__.py"
    last_change = max(path.stat().st_mtime for path in (*sources, *GENERATOR))
    if package.exists() and package.stat().st_mtime >= last_change:
        return

    from grpc_tools import protoc

    shutil.rmtree(STUBS, ignore_errors=True)
    STUBS.mkdir(parents=True)
    include = Path(protoc.__file__).parent / "_proto"
    services = [path for path in sources if path.stem.endswith("_service")]
    # The scripts of the environment that runs this build may not be on PATH.
    plugins = {
        name: shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
        for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
    }
    arguments = ["protoc", f"-I{PROTO}", f"-I{include}"]
    arguments += [f"--plugin={name}={path}" for name, path in plugins.items() if path]
    # With the comments, for `fedcoin-node api descriptor`.
    described = [f"--descriptor_set_out={STUBS / 'descriptors.binpb'}", "--include_source_info"]
    messages = [f"--python_out={ROOT}", f"--mypy_out=quiet:{ROOT}", *described]
    stubs = [f"--grpc_python_out={ROOT}", f"--mypy_grpc_out=quiet:{ROOT}"]
    for outputs, inputs in ((messages, sources), (stubs, services)):
        if protoc.main([*arguments, *outputs, *map(str, inputs)]) != 0:
            raise SystemExit("protoc failed: see the messages above")
    (STUBS / "py.typed").touch()
    package.write_text(PACKAGE_DOC)


class BuildProto(Command):
    """`python setup.py build_proto`: generate the stubs and nothing else."""

    description = "generate the gRPC stubs from proto/"
    user_options: list[tuple[str, str | None, str]] = []

    def initialize_options(self) -> None:
        pass

    def finalize_options(self) -> None:
        pass

    def run(self) -> None:
        generate_stubs()


def after_stubs(command: type[Command]) -> type[Command]:
    """Return a command that generates the stubs and then does what `command` does."""

    def run(self: Command) -> None:
        generate_stubs()
        # setuptools listed the packages before the stubs existed.
        packages = find_packages(include=["fedcoin", "fedcoin.*"])
        self.distribution.packages = packages
        if isinstance(self, build_py):
            self.packages = packages
        command.run(self)

    return type(command.__name__, (command,), {"run": run})


setup(
    cmdclass={
        "build_proto": BuildProto,
        "build_py": after_stubs(build_py),
        "develop": after_stubs(develop),
        "editable_wheel": after_stubs(editable_wheel),
        "sdist": after_stubs(sdist),
    },
)
