"""Check that public functions document their parameters, results and errors.

Usage: `python scripts/tools/check_docstrings.py fedcoin scripts`. Prints one line for each fault
and exits with 1 when there is one. ruff checks the form of docstrings (`D`, Google convention);
this script checks that the sections are there:

* `Args:` names every parameter of a public function or method that takes any, and says more of it
  than its name;
* `Returns:` or `Yields:` is there when a function with parameters gives something back;
* `Raises:` is there when the function's own body raises an exception;
* the docstring of a class, or that of its `__init__`, does the same for the constructor.

Exempt are private names, other special methods, properties, nested functions,
`typing.overload`s, gRPC methods (documented in `proto/`), click commands (their docstring is the
help text), and methods whose docstring begins with "Implement `Name.method`", which the named
Protocol documents.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

SECTION = re.compile(r"^(Args|Returns|Yields|Raises):$", re.MULTILINE)
"""Matches the heading of a section."""

IMPLEMENTS = re.compile(r"Implement `[\w.]+`")
"""Matches the summary of a method that another class documents."""

RPC_METHOD = re.compile(r"[A-Z][A-Za-z]+$")
"""Matches the name of a method that serves an RPC."""

EXEMPT_DECORATORS = ("property", "cached_property", "overload", "command", "group", "setter")
"""Functions with one of these need no sections."""

FILLERS = frozenset(["a", "an", "as", "it", "its", "of", "that", "the", "their", "this"])
"""Words that say nothing of a parameter."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def decorator_names(function: Function) -> set[str]:
    """List the last part of each decorator's name: `click.command()` gives `command`.

    Args:
        function: A function's syntax tree.

    Returns:
        The names, without modules and arguments.
    """
    names = set()
    for decorator in function.decorator_list:
        node = decorator.func if isinstance(decorator, ast.Call) else decorator
        names.add(node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", ""))
    return names


def is_exempt(function: Function, docstring: str) -> bool:
    """Tell whether the sections of a function are not asked for.

    Args:
        function: A function's syntax tree.
        docstring: Its docstring, or an empty string.

    Returns:
        True for private functions and those that this module's docstring lists.
    """
    return (
        function.name.startswith("_")
        or RPC_METHOD.match(function.name) is not None
        or not decorator_names(function).isdisjoint(EXEMPT_DECORATORS)
        or IMPLEMENTS.match(docstring) is not None
    )


def public_functions(tree: ast.Module) -> Iterator[tuple[str, Function, str]]:
    """List a module's public functions, and the public methods of its public classes.

    Args:
        tree: The module's syntax tree.

    Yields:
        The name, with the class before it, the syntax tree, and the docstring of each function
        that is not exempt. A constructor's docstring is that of its class and its own.
    """
    for node in tree.body:
        if isinstance(node, Function):
            docstring = ast.get_docstring(node) or ""
            if not is_exempt(node, docstring):
                yield node.name, node, docstring
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for child in node.body:
                if not isinstance(child, Function):
                    continue
                docstring = ast.get_docstring(child) or ""
                if child.name == "__init__":
                    docstring = "\n\n".join((ast.get_docstring(node) or "", docstring))
                elif is_exempt(child, docstring):
                    continue
                yield f"{node.name}.{child.name}", child, docstring


def own_nodes(function: Function) -> Iterator[ast.AST]:
    """Walk a function's body without the functions and classes that are nested in it.

    Args:
        function: A function's syntax tree.

    Yields:
        The nodes, in no particular order.
    """
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        if isinstance(node, Function | ast.ClassDef | ast.Lambda):
            continue
        yield node
        pending.extend(ast.iter_child_nodes(node))


def sections_of(docstring: str) -> dict[str, str]:
    """Split a docstring into its Google sections.

    Args:
        docstring: A cleaned docstring (`ast.get_docstring`).

    Returns:
        The text of each section that is there, by its heading.
    """
    parts = SECTION.split(docstring)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def parameter_texts(section: str) -> dict[str, str]:
    """Split the section `Args:` into its entries.

    Args:
        section: The section's text, indented as in a cleaned docstring.

    Returns:
        What is said of each parameter, by its name without stars.
    """
    entry = r"^ {4}\*{0,2}(\w+)(?: \([^)]*\))?:(.*(?:\n {5,}.*)*)"
    return dict(re.findall(entry, section, re.MULTILINE))


def only_repeats(name: str, text: str) -> bool:
    """Tell whether a sentence like "The clock." only repeats a parameter's name.

    Args:
        name: The parameter's name.
        text: The sentence.

    Returns:
        True when every word of it is a part of the name, but for singular, plural and `FILLERS`.
    """
    words = {word.rstrip("s") for word in re.findall("[a-z]+", text.lower()) if word not in FILLERS}
    return words <= {part.rstrip("s") for part in re.findall("[a-z]+", name.lower())}


def faults_of(function: Function, docstring: str) -> Iterator[str]:
    """List what a function's docstring lacks.

    Args:
        function: A public function's syntax tree.
        docstring: What documents it.

    Yields:
        One sentence for each fault.
    """
    sections = sections_of(docstring)
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    names = [argument.arg for argument in named if argument.arg not in ("self", "cls")]
    names += [argument.arg for argument in (arguments.vararg, arguments.kwarg) if argument]
    texts = parameter_texts(sections.get("Args", ""))
    for name in names:
        if name.startswith("_"):
            continue
        if name not in texts:
            yield f"Args: does not name `{name}`"
        elif only_repeats(name, texts[name]):
            yield f"Args: says no more of `{name}` than its name"
    nodes = list(own_nodes(function))
    yields = any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes)
    returns = any(isinstance(node, ast.Return) and node.value is not None for node in nodes)
    if names and yields and "Yields" not in sections:
        yield "has no Yields: section"
    elif names and returns and not yields and "Returns" not in sections:
        yield "has no Returns: section"
    raises = any(isinstance(node, ast.Raise) and node.exc is not None for node in nodes)
    if raises and "Raises" not in sections:
        yield "has no Raises: section"


def main(arguments: list[str]) -> int:
    """Check all modules below the folders and files that are named.

    Args:
        arguments: Paths.

    Returns:
        The exit status: 1 when a docstring lacks something.
    """
    status = 0
    for argument in arguments:
        path = Path(argument)
        for module in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            if module.parts[:2] == ("fedcoin", "v1"):
                continue
            tree = ast.parse(module.read_text("utf-8"))
            for name, function, docstring in public_functions(tree):
                for fault in faults_of(function, docstring):
                    print(f"{module}:{function.lineno}: {name}: {fault}")
                    status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
