"""Packaging. The gRPC stubs in ``fedcoin/v1`` are generated from ``proto/`` by the build."""

from __future__ import annotations

import re
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

PACKAGE_DOC = '"""Generated from proto/fedcoin/v1 by the build; do not edit."""\n'


def generate_stubs() -> None:
    """Write messages, services and their type stubs; leave them alone when they are newer."""
    from grpc_tools import protoc

    sources = sorted(PROTO.glob("fedcoin/v1/*.proto"))
    made = STUBS / "__init__.py"
    newest = max(path.stat().st_mtime for path in (*sources, ROOT / "setup.py"))
    if made.exists() and made.stat().st_mtime >= newest:
        return
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
    messages = [f"--python_out={ROOT}", f"--mypy_out=quiet:{ROOT}"]
    stubs = [f"--grpc_python_out={ROOT}", f"--mypy_grpc_out=quiet:{ROOT}"]
    for outputs, inputs in ((messages, sources), (stubs, services)):
        if protoc.main([*arguments, *outputs, *map(str, inputs)]) != 0:
            raise SystemExit("protoc failed: see the messages above")
    (STUBS / "py.typed").touch()
    made.write_text(PACKAGE_DOC)


class BuildProto(Command):
    """``python setup.py build_proto``: generate the stubs and nothing else."""

    description = "generate the gRPC stubs from proto/"
    user_options: list[tuple[str, str | None, str]] = []

    def initialize_options(self) -> None:
        pass

    def finalize_options(self) -> None:
        pass

    def run(self) -> None:
        generate_stubs()


def after_stubs(command: type[Command]) -> type[Command]:
    """The same command, with the stubs generated first."""

    def run(self: Command) -> None:
        generate_stubs()
        # find_packages ran before there were stubs, and so did this command's preparation.
        packages = find_packages(include=["fedcoin", "fedcoin.*"])
        self.distribution.packages = packages
        if isinstance(self, build_py):
            self.packages = packages
        command.run(self)

    return type(command.__name__, (command,), {"run": run})


setup(
    name="fedcoin",
    version=re.search(r'__version__ = "(.+)"', (ROOT / "fedcoin/__init__.py").read_text())[1],
    description="A peer-to-peer payment system for federated learning: miners agree on each "
    "client's Shapley value, and the block that records it pays.",
    long_description=(ROOT / "README.md").read_text() if (ROOT / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords="federated-learning shapley-value blockchain grpc",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        *[f"Programming Language :: Python :: 3.{minor}" for minor in (10, 11, 12, 13)],
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    packages=find_packages(include=["fedcoin", "fedcoin.*"]),
    package_data={
        "fedcoin": ["py.typed"],
        "fedcoin.v1": ["*.pyi", "py.typed"],
        "fedcoin.learning.training": ["*.npz"],
        "fedcoin.application.devnet": ["dishonest_miners.json", "templates/*"],
    },
    install_requires=[
        "grpcio>=1.85.1",
        "grpcio-reflection>=1.85.1",
        "grpcio-health-checking>=1.85.1",
        "grpcio-status>=1.85.1",
        "protobuf>=7.35.1",
        "tensorflow>=2.21",
        "pynacl>=1.6",
        "numpy>=1.26",
        "click>=8.1",
        "rich>=13.7",
        "jinja2>=3.1",
        "filelock>=3.13",
        "uvloop>=0.21; sys_platform != 'win32'",
        "tomli>=2.0; python_version < '3.11'",
        "exceptiongroup>=1.2; python_version < '3.11'",
    ],
    extras_require={
        "test": [
            "pytest>=8.2",
            "pytest-asyncio>=0.24",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "hypothesis>=6.100",
            "scikit-learn>=1.4",
            "matplotlib>=3.8",
        ],
        # `fedcoin-node shapley --plot`.
        "plot": ["matplotlib>=3.8"],
        # What the estimators are compared with.
        "bench": ["pyDVL>=0.10", "shapiq>=1.4", "matplotlib>=3.8"],
        # Mining on a Ray cluster.
        "ray": ["ray>=2.40"],
        "dev": [
            "setuptools>=77",
            "grpcio-tools==1.85.1",
            "mypy>=1.14",
            "ruff>=0.9",
            "import-linter>=2.1",
            "buf-bin>=1.45",
            "mypy-protobuf>=3.6",
            "types-protobuf>=5.29",
            "types-grpcio>=1.60",
            "build>=1.2",
            "uv>=0.5",
        ],
    },
    entry_points={"console_scripts": ["fedcoin-node=fedcoin.application.cli:main"]},
    cmdclass={
        "build_proto": BuildProto,
        "build_py": after_stubs(build_py),
        "develop": after_stubs(develop),
        "editable_wheel": after_stubs(editable_wheel),
        "sdist": after_stubs(sdist),
    },
)
