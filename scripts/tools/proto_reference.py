"""Reference pages of the wire format, from the comments of the `.proto` files.

buf gives each file's descriptor together with its comments (`source_code_info`, see
descriptor.proto): a comment belongs to a path of field numbers and indices, such as
`(4, 2, 2, 0)`: message 2 of the file, its field 0.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

MESSAGES, ENUMS, SERVICES = 4, 5, 6  # fields of FileDescriptorProto
FIELDS, NESTED, NESTED_ENUMS = 2, 3, 4  # fields of DescriptorProto
MEMBERS = 2  # methods of a service, values of an enum

Path_ = tuple[int, ...]
"""Field numbers and indices that lead from a file to one of its declarations."""

Comments = dict[Path_, str]
"""The comment before each declaration."""


def pages(proto: Path) -> Iterator[tuple[str, str]]:
    """Write one page for each file of the package, and an index.

    Args:
        proto: The folder that holds `fedcoin/v1/*.proto`.

    Yields:
        Each page's file name and its Markdown.
    """
    listed = ["# Protobuf reference\n", "One page for each file of `proto/fedcoin/v1`.\n"]
    files = [file for file in describe(proto).file if file.package == "fedcoin.v1"]
    homes = {f".{file.package}.{name}": page_of(file) for file in files for name in names_in(file)}
    for file in sorted(files, key=lambda file: file.name):
        page = page_of(file)
        services = ", ".join(f"`{service.name}`" for service in file.service)
        listed.append(
            f"* [{page.removesuffix('.md')}.proto]({page})" + f": {services}" * bool(services)
        )
        yield page, "\n".join(file_page(file, homes))
    yield "index.md", "\n".join(listed)


def describe(proto: Path) -> FileDescriptorSet:
    """Compile the `.proto` files to descriptors, comments included.

    Args:
        proto: The folder that holds `fedcoin/v1/*.proto` and `buf.yaml`.

    Returns:
        The files and those that they import.

    Raises:
        ValueError: buf refused a file; the message says why.
    """
    buf = shutil.which("buf", path=str(Path(sys.executable).parent)) or "buf"
    command = [buf, "build", str(proto), "--as-file-descriptor-set", "--output", "-"]
    built = subprocess.run(command, capture_output=True, check=False)
    if built.returncode != 0:
        raise ValueError(f"{' '.join(command)} failed: {built.stderr.decode()}")
    return FileDescriptorSet.FromString(built.stdout)


def page_of(file: FileDescriptorProto) -> str:
    """Name the page of a file.

    Args:
        file: The file's descriptor.

    Returns:
        `task.md` for `fedcoin/v1/task.proto`.
    """
    return Path(file.name).with_suffix(".md").name


def names_in(file: FileDescriptorProto) -> Iterator[str]:
    """List the types that a file defines.

    Args:
        file: The file's descriptor.

    Yields:
        Names without the package; a nested type's name has its message's name before it.
    """
    for enum in file.enum_type:
        yield enum.name
    for message in file.message_type:
        yield from nested_names(message, message.name)


def nested_names(message: DescriptorProto, name: str) -> Iterator[str]:
    """List a message and the types that are nested in it.

    Args:
        message: The message's descriptor.
        name: The message's name within the package.

    Yields:
        Names within the package.
    """
    yield name
    for enum in message.enum_type:
        yield f"{name}.{enum.name}"
    for inner in message.nested_type:
        yield from nested_names(inner, f"{name}.{inner.name}")


def file_page(file: FileDescriptorProto, homes: dict[str, str]) -> Iterator[str]:
    """Write the page of one file.

    Args:
        file: The file's descriptor.
        homes: The page of each type of the package, by its full name.

    Yields:
        Paragraphs and tables in Markdown.
    """
    located = file.source_code_info.location
    comments = {tuple(each.path): each.leading_comments.strip() for each in located}
    yield f"# {file.name}\n"
    for i, service in enumerate(file.service):
        yield from service_part(service, (SERVICES, i), comments, homes)
    for i, message in enumerate(file.message_type):
        yield from message_part(message, message.name, (MESSAGES, i), comments, homes)
    for i, enum in enumerate(file.enum_type):
        yield from enum_part(enum, enum.name, (ENUMS, i), comments)


def service_part(
    service: ServiceDescriptorProto, path: Path_, comments: Comments, homes: dict[str, str]
) -> Iterator[str]:
    """Write a service and its methods.

    Args:
        service: The service's descriptor.
        path: Where it lies in the file.
        comments: The file's comments by path.
        homes: The page of each type, by its full name.

    Yields:
        Paragraphs in Markdown.
    """
    yield f"## {service.name}\n\n{comments.get(path, '')}\n"
    for i, method in enumerate(service.method):
        asks = "stream of " * method.client_streaming + link(method.input_type, homes)
        gives = "stream of " * method.server_streaming + link(method.output_type, homes)
        yield f"### {service.name}/{method.name}\n\nTakes {asks}, returns {gives}.\n"
        yield f"{comments.get((*path, MEMBERS, i), '')}\n"


def message_part(
    message: DescriptorProto, name: str, path: Path_, comments: Comments, homes: dict[str, str]
) -> Iterator[str]:
    """Write a message with a table of its fields, and what is nested in it.

    Args:
        message: The message's descriptor.
        name: Its name within the package.
        path: Where it lies in the file.
        comments: The file's comments by path.
        homes: The page of each type, by its full name.

    Yields:
        Paragraphs and tables in Markdown.
    """
    yield f"## {name}\n\n{comments.get(path, '')}\n"
    cells = [
        (f"`{field.name}`", kind_of(field, homes), comments.get((*path, FIELDS, i), ""))
        for i, field in enumerate(message.field)
    ]
    if cells:
        yield table(("field", "type", "meaning"), cells)
    for i, inner in enumerate(message.nested_type):
        yield from message_part(inner, f"{name}.{inner.name}", (*path, NESTED, i), comments, homes)
    for i, enum in enumerate(message.enum_type):
        yield from enum_part(enum, f"{name}.{enum.name}", (*path, NESTED_ENUMS, i), comments)


def enum_part(
    enum: EnumDescriptorProto, name: str, path: Path_, comments: Comments
) -> Iterator[str]:
    """Write an enum with a table of its values.

    Args:
        enum: The enum's descriptor.
        name: Its name within the package.
        path: Where it lies in the file.
        comments: The file's comments by path.

    Yields:
        Paragraphs and a table in Markdown.
    """
    yield f"## {name}\n\n{comments.get(path, '')}\n"
    yield table(
        ("value", "number", "meaning"),
        (
            (f"`{value.name}`", str(value.number), comments.get((*path, MEMBERS, i), ""))
            for i, value in enumerate(enum.value)
        ),
    )


def kind_of(field: FieldDescriptorProto, homes: dict[str, str]) -> str:
    """Name the type of a field.

    Args:
        field: The field's descriptor.
        homes: The page of each type, by its full name.

    Returns:
        Markdown, with `repeated` or `optional` before it where the field is.
    """
    scalar = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    kind = link(field.type_name, homes) if field.type_name else f"`{scalar}`"
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"repeated {kind}"
    return f"optional {kind}" if field.proto3_optional else kind


def link(full_name: str, homes: dict[str, str]) -> str:
    """Link a type to where it is described.

    Args:
        full_name: Its name with package and a dot before it.
        homes: The page of each type, by its full name.

    Returns:
        A link, or the name alone for a type of another package.
    """
    name = full_name.removeprefix(".fedcoin.v1.")
    if full_name not in homes:
        return f"`{full_name.lstrip('.')}`"
    anchor = name.lower().replace(".", "")
    return f"[{name}]({homes[full_name]}#{anchor})"


def table(heading: tuple[str, ...], cells: Iterable[tuple[str, ...]]) -> str:
    """Write a table.

    Args:
        heading: The columns' names.
        cells: The cells of each row, one for each column.

    Returns:
        Markdown; line breaks within a cell become spaces.
    """
    lines = [heading, tuple("---" for _ in heading), *cells]
    rows = (" | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in row) for row in lines)
    return "\n".join(f"| {row} |" for row in rows) + "\n"
