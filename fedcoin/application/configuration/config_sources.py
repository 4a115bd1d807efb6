"""Where settings come from: flag > variable > file > default.

A variable `FEDCOIN_<TABLE>_<SETTING>` (such as `FEDCOIN_API_LISTEN`) overrides `config.toml`, and a
flag of `fedcoin-node start` overrides both.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fedcoin.application.configuration.config import NodeConfig, TlsConfig, tables
from fedcoin.application.configuration.coordinator_config import CoordinatorConfig
from fedcoin.application.configuration.fields import endpoint_of, refuse
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_TASK_SECONDS = 3_600.0
"""The most time for all windows of a task in a campaign with a receipt window, in seconds; where
the receipt window is longer, its length is the limit. The ledger's `MAX_TASK_MS`; not imported,
since that would load NumPy for each command."""


def load_config(
    path: Path | None,
    environment: Mapping[str, str],
    flags: Mapping[str, object] | None = None,
    recalled: Mapping[str, str] | None = None,
) -> NodeConfig:
    """Read the settings in force and check them.

    Args:
        path: The `config.toml`. None, or a file that does not exist, means no file.
        environment: The environment's variables.
        flags: Values of command-line flags by dotted name, such as `"api.listen"`; None for a flag
            that was not given.
        recalled: What an earlier start was told, as TOML by dotted name: in place of defaults.

    Returns:
        All settings: of each the value of the flag, else of the variable, else of the file, else
        the default.

    Raises:
        RefusalError: BAD_CONFIG for a wrong value, UNKNOWN_SETTING for a name that does not exist,
            EXPOSED for a listener without TLS that other machines can reach.
    """
    given: dict[str, object] = {
        name: _read_value(name, text) for name, text in (recalled or {}).items()
    }
    given.update(_read_toml(path) if path is not None and path.exists() else {})
    given.update(_from_environment(environment))
    given.update({name: value for name, value in (flags or {}).items() if value is not None})
    config = assemble(given)
    _check(config)
    return config


def _read_value(name: str, text: str) -> object:
    try:
        value: object = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise refuse(name, text, f"the campaign's file has no TOML for it: {error}") from None
    return value


def _read_toml(path: Path) -> dict[str, object]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RefusalError(
            ApplicationCode.BAD_CONFIG, f"{path} is not valid TOML: {error}", field=str(path)
        ) from None
    found: dict[str, object] = {}
    for table, content in document.items():
        if not isinstance(content, dict):
            raise _unknown(table, f"{path} sets it outside of any table")
        found.update({f"{table}.{name}": value for name, value in content.items()})
    for name in _amounts() & found.keys():
        # A number has no unit, and is refused as its text would be.
        if type(found[name]) is int:
            found[name] = str(found[name])
    return found


def _amounts() -> frozenset[str]:
    """List the settings that are amounts of coins, by their dotted names."""
    return frozenset(
        f"{table}.{field.name}"
        for table, made in tables().items()
        for field in dataclasses.fields(made)
        if field.metadata["kind"].is_amount
    )


def _from_environment(environment: Mapping[str, str]) -> dict[str, object]:
    # Only variables with a table's prefix: FEDCOIN_HOME and FEDCOIN_PASSPHRASE are no settings.
    found: dict[str, object] = {}
    for variable, value in environment.items():
        for table in tables():
            prefix = f"FEDCOIN_{table.upper()}_"
            if variable.startswith(prefix):
                found[f"{table}.{variable[len(prefix) :].lower()}"] = value
    return found


def assemble(given: Mapping[str, object]) -> NodeConfig:
    """Build a configuration from the defaults and the settings that are given.

    Args:
        given: Unparsed values by dotted name, such as `"api.listen"`.

    Returns:
        The configuration. Combinations of settings are not checked.

    Raises:
        RefusalError: BAD_CONFIG for a wrong value, UNKNOWN_SETTING for a name that does not exist.
    """
    values: dict[str, dict[str, object]] = {table: {} for table in tables()}
    for dotted, value in given.items():
        table, _, name = dotted.partition(".")
        kinds = {
            f.name: f.metadata["kind"] for f in dataclasses.fields(tables().get(table, _NoTable))
        }
        if name not in kinds:
            raise _unknown(dotted, "see the comments in a fresh config.toml for those that exist")
        try:
            values[table][name] = kinds[name].parse(value)
        except ValueError as error:
            raise refuse(dotted, value, f"it {error}") from None
    made = {table: make(**values[table]) for table, make in tables().items()}
    return NodeConfig(**made)


def _check(config: NodeConfig) -> None:
    # Combinations of settings; each value was checked when it was parsed.
    tls = config.tls
    files = {"certificate": tls.certificate, "private_key": tls.private_key}
    files["authority"] = tls.authority
    if any(files.values()) and not all(files.values()):
        missing = ", ".join(f"tls.{name}" for name, value in files.items() if not value)
        raise refuse(missing, "", "TLS needs all of certificate, private_key and authority")
    split = config.coordinator.split
    if len(split) != 3 or not any(split):
        problem = "it must be three whole numbers for clients, server and miners, not all zero"
        raise refuse("coordinator.split", list(split), problem)
    if (config.coordinator.training_reward, config.coordinator.empty) == ("unit_price", "zero"):
        problem = (
            'with coordinator.empty = "zero" a value contains the base model\'s utility, which a'
            ' unit price would pay in every round: use "proportional", or empty = "base"'
        )
        raise refuse("coordinator.training_reward", "unit_price", problem)
    limit = config.coordinator.similarity_limit
    if 0 < limit < 0.5:
        problem = "updates under 0.5 differ by more than they share: use 0.5 or more, or 0 for none"
        raise refuse("coordinator.similarity_limit", limit, problem)
    if limit and config.coordinator.averaging != "equal":
        problem = 'groups of look-alikes count the same in the average: use averaging = "equal"'
        raise refuse("coordinator.similarity_limit", limit, problem)
    _check_private(config.coordinator)
    window, round_seconds = config.coordinator.receipt_seconds, config.coordinator.round_seconds
    if 0 < window < 2 * round_seconds:
        problem = (
            f"a client could register the receipt of its own update and open the round alone before"
            f" the others are ready: use at least twice coordinator.round_seconds, "
            f"{2 * round_seconds:g}, or 0 for no receipts"
        )
        raise refuse("coordinator.receipt_seconds", window, problem)
    _check_task_time(config.coordinator)
    if config.coordinator.max_clients < config.coordinator.clients:
        problem = f"it must be at least coordinator.clients, {config.coordinator.clients}"
        raise refuse("coordinator.max_clients", config.coordinator.max_clients, problem)
    for name in ("peers", "api", "coordinator"):
        refuse_exposed(f"{name}.listen", getattr(config, name).listen, tls)


def _check_private(settings: CoordinatorConfig) -> None:
    """Refuse a private campaign without a list of clients, and readers of one that is not."""
    if settings.private and not settings.clients_file:
        problem = (
            "anybody could join as a client and be sent the model: name the clients in"
            " coordinator.clients_file"
        )
        raise refuse("coordinator.private", settings.private, problem)
    if not settings.readers:
        return
    if not settings.private:
        problem = "the campaign would be open to everybody: set coordinator.private"
        raise refuse("coordinator.readers", list(settings.readers), problem)
    # Imported here, since few commands need it.
    from fedcoin.data.crypto.addresses import parse_address

    for text in settings.readers:
        try:
            parse_address(text)
        except RefusalError as refusal:
            raise refuse("coordinator.readers", text, refusal.message) from None


def _check_task_time(settings: CoordinatorConfig) -> None:
    """Refuse windows that the ledger refuses in a campaign with a receipt window."""
    seconds = settings.attempts * (settings.commit_seconds + 2 * settings.reveal_seconds)
    limit = max(MAX_TASK_SECONDS, settings.receipt_seconds)
    if settings.receipt_seconds and seconds > limit:
        problem = (
            f"with coordinator.reveal_seconds and coordinator.attempts, all windows of a task take "
            f"{seconds:g} s; with coordinator.receipt_seconds = {settings.receipt_seconds:g} they "
            f"take at most {limit:g}: lower one of them, or raise coordinator.receipt_seconds"
        )
        raise refuse("coordinator.commit_seconds", settings.commit_seconds, problem)


def refuse_exposed(name: str, listen: str, tls: TlsConfig) -> None:
    """Refuse a plaintext listener that other machines can reach, unless it was asked for.

    Args:
        name: The setting, such as `api.listen`.
        listen: The setting's value, as host:port.
        tls: The TLS settings.

    Raises:
        RefusalError: EXPOSED when the address is not loopback, there are no TLS files, and
            plaintext was not allowed.
    """
    if tls.enabled or tls.insecure or endpoint_of(listen).loopback:
        return
    raise RefusalError(
        ApplicationCode.EXPOSED,
        f"{name} is {listen}, which other machines can reach, and there is no TLS: set the files "
        "of [tls], or allow plaintext with --insecure or tls.insecure = true",
        field=name,
    )


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Say in refusals of a listener's address where the address is set.

    Args:
        path: The `config.toml` of the node or coordinator that starts in the `with` block.

    Yields:
        Nothing.

    Raises:
        RefusalError: PORT_IN_USE of the block, with the file and the variable in its sentence.
    """
    try:
        yield
    except RefusalError as refusal:
        table, _, name = refusal.field.partition(".")
        if str(refusal.code.value) != ApplicationCode.PORT_IN_USE.value or table not in tables():
            raise
        raise RefusalError(
            refusal.code,
            f"{refusal.message}, in {path} (FEDCOIN_{table.upper()}_{name.upper()} and flags come "
            "before the file)",
            field=refusal.field,
            limit=refusal.limit,
        ) from refusal


def _unknown(name: str, hint: str) -> RefusalError:
    return RefusalError(
        ApplicationCode.UNKNOWN_SETTING, f"there is no setting {name}: {hint}", field=name
    )


@dataclass(frozen=True, slots=True)
class _NoTable:
    """In place of a table that does not exist: it has no settings."""


HEADER = """\
# Settings of a FedCoin node. Each setting is listed with its default, commented out.
# A variable FEDCOIN_<TABLE>_<SETTING> (such as FEDCOIN_API_LISTEN) overrides this file.
# A flag of `fedcoin-node start` overrides both.
"""


def render_config(settings: Mapping[str, object] | None = None) -> str:
    """Format a config.toml that lists every setting with its documentation.

    Args:
        settings: Values to set, by dotted name; all other settings are commented out.

    Returns:
        The file's text.

    Raises:
        RefusalError: BAD_CONFIG or UNKNOWN_SETTING for a setting that is given.
    """
    given = dict(settings or {})
    chosen = assemble(given)
    lines = [HEADER]
    for table, make in tables().items():
        lines += [f"# {make.__doc__}", f"[{table}]"]
        for entry in dataclasses.fields(make):
            value = getattr(getattr(chosen, table), entry.name)
            mark = "" if f"{table}.{entry.name}" in given else "# "
            lines.append(f"# {entry.metadata['doc']}")
            lines.append(f"{mark}{entry.name} = {entry.metadata['kind'].render(value)}")
        lines.append("")
    return "\n".join(lines)
