"""Writes docs/reference/config.md: every key of the config, with its type, its default and its comment.

python docs/make_config_reference.py

Nothing is written twice: words stand beside the keys in conf/ and in the dataclasses of the plugins, types in the
dataclasses and in the signatures of searchers and schedulers.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import importlib
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from hposweep.app import schema

DOCS = Path(__file__).resolve().parent
CONF = DOCS.parent / "conf"
PAGE = DOCS / "reference" / "config.md"

HEAD = """\
# Config keys

Made by `python docs/make_config_reference.py` from the comments beside the keys in `conf/` and from the types that
check them; edit those, not this page. On a command line `python -m hposweep --cfg job` prints the config, and
`python -m hposweep --cfg hydra -p hydra.sweeper` the sweeper's part of it.
"""
OF_THE_SWEEPER = """\
Keys below `hydra.sweeper`, in any Hydra app with `hydra/sweeper=hposweep`. Where `python -m hposweep` has another
default, it follows "ours".
"""
OF_THE_LAUNCHER = """\
Keys below `hydra.launcher`, in any Hydra app with `hydra/launcher=hposweep`; `python -m hposweep` has
it from the start.
"""
OF_TRIALS = "Keys of a trial in `python -m hposweep`."
OF_THE_SEARCHER = """\
`searcher=NAME` in `python -m hposweep`, `hydra/sweeper/searcher=NAME` in any other Hydra app; keys below
`hydra.sweeper.searcher`.
[Which one to take](../guides/searchers.md).
"""
OF_THE_SCHEDULER = """\
`scheduler=NAME` in `python -m hposweep`, `hydra/sweeper/scheduler=NAME` in any other Hydra app; keys below
`hydra.sweeper.scheduler`.
[Which one to take](../schedulers.md).
"""


class Key(NamedTuple):
    """A row of a table; `text` is empty where nobody has said anything."""

    name: str
    type: str
    default: str
    text: str


class Commented(NamedTuple):
    """A value of a YAML file, and the comment beside it."""

    value: Any
    comment: str


class Section(NamedTuple):
    """A heading, what is said under it, and the table."""

    level: int
    title: str
    text: str
    keys: list[Key]


def main() -> None:
    """Writes the page."""
    PAGE.write_text(page(sections()), encoding="utf-8")


def page(all_sections: list[Section]) -> str:
    """The page's Markdown."""
    parts = [HEAD]
    for section in all_sections:
        parts.append(f"{'#' * section.level} {section.title}\n")
        if section.text:
            parts.append(f"{section.text.strip()}\n")
        if section.keys:
            rows = [f"| `{key.name}` | {key.type} | {key.default} | {key.text} |" for key in section.keys]
            parts.append("\n".join(["| key | type | default | |", "|---|---|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def sections() -> list[Section]:
    """The page's parts, in order."""
    main_file = read(CONF / "config.yaml")
    found = [
        Section(2, "The sweeper", OF_THE_SWEEPER, sweeper_keys(main_file)),
        Section(2, "The launcher", OF_THE_LAUNCHER, dataclass_keys("hposweep_launcher", "HposweepLauncherConf")),
        Section(2, "A trial", OF_TRIALS, trial_keys(main_file)),
    ]
    for group, text in (("trainer", ""), ("task", ""), ("model", ""), ("data", ""), ("optimizer", "")):
        found += group_sections(group, text)
    for role, text in (("searcher", OF_THE_SEARCHER), ("scheduler", OF_THE_SCHEDULER)):
        found += group_sections(role, text)
    return found


def sweeper_keys(main_file: Mapping[str, Commented]) -> list[Key]:
    """The fields of the plugin's dataclass, with the words and the values of conf/config.yaml."""
    keys = []
    for key in dataclass_keys("hposweep_sweeper", "HposweepSweeperConf"):
        ours = main_file.get(f"hydra.sweeper.{key.name}")
        if ours is not None:
            default = key.default if shown(ours.value) == key.default else f"{key.default}, ours {shown(ours.value)}"
            key = key._replace(default=default, text=escaped(ours.comment) or key.text)
        keys.append(key)
    return keys


def dataclass_keys(module: str, name: str) -> list[Key]:
    """The fields of a plugin's dataclass that are keys of its node, with the comments beside them."""
    kind = getattr(importlib.import_module(f"hydra_plugins.{module}"), name)
    hints, comments = typing.get_type_hints(kind), field_comments(kind)
    keys = []
    for field in dataclasses.fields(kind):
        if field.name.startswith("_") or field.name == "defaults":
            continue
        default = field.default if field.default is not dataclasses.MISSING else field.default_factory()  # type: ignore[misc]
        text = escaped(comments.get(field.name, ""))
        keys.append(Key(field.name, type_text(hints[field.name], default), shown(default), text))
    return keys


def field_comments(kind: type) -> dict[str, str]:
    """The comments at the ends of a dataclass's fields."""
    lines = inspect.getsource(kind).splitlines()
    (definition,) = ast.parse("\n".join(lines)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for statement in definition.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            assert statement.end_lineno is not None
            comment = lines[statement.end_lineno - 1].encode()[statement.end_col_offset :].decode().strip()
            found[statement.target.id] = comment.removeprefix("#").strip()
    return found


def trial_keys(main_file: Mapping[str, Commented]) -> list[Key]:
    """What conf/config.yaml says of a trial itself."""
    hints = types_of(schema.Config)
    return [
        Key(name, type_text(hints[name], value), shown(value), escaped(comment))
        for name, (value, comment) in main_file.items()
        if name in hints
    ]


def group_sections(group: str, text: str) -> list[Section]:
    """A part for the group, and one for each of its choices."""
    files = sorted((CONF / group).glob("*.yaml"))
    everything = [read(path) for path in files]
    if group == "trainer":  # the only choice
        return [Section(3, "`trainer`", description(files[0]), group_keys(group, files[0], everything))]
    level = 2 if group in ("searcher", "scheduler") else 3
    found = [Section(level, f"The {group}" if level == 2 else f"`{group}`", text, [])]
    for path in files:
        built = read(path).get(f"{prefix(group)}._target_")
        by = "" if built is None else f"\n\nBuilt by `{built.value}`."
        keys = group_keys(group, path, everything)
        found.append(Section(level + 1, f"`{group}={path.stem}`", description(path) + by, keys))
    return found


def prefix(group: str) -> str:
    """The node that the group's files are put at."""
    return f"hydra.sweeper.{group}" if group in ("searcher", "scheduler") else group


def group_keys(group: str, path: Path, everything: list[dict[str, Commented]]) -> list[Key]:
    """The keys of one file; where it has no comment the group's other files may."""
    file = read(path)
    hints = option_types(group, path)
    keys = []
    for name, (value, comment) in file.items():
        key = name.removeprefix(f"{prefix(group)}.")
        if key == name or key in ("_target_", "kind"):
            continue
        others = [other[name].comment for other in everything if name in other and other[name].comment]
        words = comment or (others[0] if others else "")
        shown_name = name if prefix(group) == group else key
        keys.append(Key(shown_name, type_text(hints.get(key, Any), value), shown(value), escaped(words)))
    return keys


def option_types(group: str, path: Path) -> dict[str, Any]:
    """The types of a file's keys: from its dataclass or, of searchers and schedulers, from the class that is built."""
    if group == "trainer":
        return types_of(schema.Trainer)
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if group in ("searcher", "scheduler"):
        module, _, name = content["_target_"].rpartition(".")
        return typing.get_type_hints(getattr(importlib.import_module(module), name).__init__)
    option = next(
        choice
        for entry in content["defaults"]
        if isinstance(entry, dict)
        for named, choice in entry.items()
        if named.split("@")[0] == f"/schema/{group}"
    )
    return types_of(next(kind for of_group, name, kind in schema.OPTIONS if (of_group, name) == (group, option)))


def types_of(kind: type) -> dict[str, Any]:
    """The types of a dataclass's keys, those of dataclasses inside of it too, by their dotted names."""
    found: dict[str, Any] = {}
    for name, hint in typing.get_type_hints(kind).items():
        found[name] = hint
        if dataclasses.is_dataclass(hint):
            found |= {f"{name}.{inner}": each for inner, each in types_of(typing.cast(type, hint)).items()}
    return found


def type_text(hint: Any, value: Any) -> str:
    """A type in the words of YAML; that of the value where the hint says nothing."""
    if hint is Any:
        says_it = value is not None and value != {} and not str(value).startswith("${")
        return type(value).__name__ if says_it else "any"
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return ", ".join(member.name for member in hint)
    if isinstance(hint, types.UnionType):
        return " or ".join("null" if part is types.NoneType else type_text(part, 0) for part in hint.__args__)
    name = str(hint) if typing.get_origin(hint) else hint.__name__
    return f"{name} or null" if value is None else name


def shown(value: Any) -> str:
    """A value as YAML writes it, for a cell."""
    if value == {}:
        return "`{}`"
    if isinstance(value, str):
        return f"`{value}`"
    return f"`{yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix('...' + chr(10)).strip()}`"


def escaped(text: str) -> str:
    """A comment as Markdown: keys as code, and nothing that is read otherwise."""
    plain = re.sub(r"[*|]", r"\\\g<0>", text.strip())
    return re.sub(r"_target_|[\w./]*\w[_./][a-z][\w.]*(=NAME)?(\(\))?", r"`\g<0>`", plain)


def description(path: Path) -> str:
    """What a file says of itself at its top, and the first command that it shows."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if "@package" not in line:
            lines.append(line.removeprefix("#"))
    text = []
    for line in lines:
        words, command, rest = line.partition("python -m hposweep")
        if not command and line.startswith("  ") and text and text[-1].endswith("`\n\n"):  # more of the command above
            text[-1] = text[-1].removesuffix("`\n\n").removesuffix(" \\") + f" {' '.join(line.split())}`\n\n"
            continue
        text.append(f"{escaped(words)}\n\n`{command}{rest}`\n\n" if command else escaped(words))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(text)).strip()


def read(path: Path) -> dict[str, Commented]:
    """The values of a YAML file by their dotted names, those at the ends of branches alone, with their comments."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    where = next((line.split()[-1] for line in lines if line.startswith("# @package")), "_group_")
    start = "" if where == "_global_" else where if where != "_group_" else path.parent.name
    if path.name == "config.yaml":
        start = ""
    return dict(walk(yaml.compose(text), lines, start))


def walk(node: yaml.MappingNode, lines: list[str], start: str) -> Iterator[tuple[str, Commented]]:
    """The keys below a node, but for its `defaults`."""
    for key, value in node.value:
        if key.value == "defaults":
            continue
        name = f"{start}.{key.value}" if start else key.value
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from walk(value, lines, name)
        else:
            plain = yaml.safe_load(yaml.serialize(value))
            beside = comment_beside(lines, value.end_mark.line, value.end_mark.column)
            yield name, Commented(plain, beside or comment_above(lines, key.start_mark.line))


def comment_beside(lines: list[str], line: int, column: int) -> str:
    """The comment behind a place of a file, with the lines that go on below it."""
    rest = lines[line][column:]
    if "#" not in rest:
        return ""
    at = column + rest.index("#")
    parts = [lines[line][at:]]
    for following in lines[line + 1 :]:
        if following[:at].strip() or following[at : at + 1] != "#":
            break
        parts.append(following[at:])
    return " ".join(part.lstrip("# ").strip() for part in parts)


def comment_above(lines: list[str], line: int) -> str:
    """The lines of comment right above a key that are not the head of the file."""
    start = line
    while start and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return " ".join(each.strip().lstrip("# ") for each in lines[start:line]) if start else ""


if __name__ == "__main__":
    main()
