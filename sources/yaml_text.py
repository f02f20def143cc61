"""YAML whose values stay text as written: `yes` and 007 are neither a boolean nor a number."""

import re
from pathlib import Path
from typing import Any

import yaml

# What the parser's errors mean to people who write settings, by patterns of its context and problem; the first that fits.
MEANINGS = {
    r"found character '\\t'": "the line is indented with a tab: use spaces",
    r"escape": "a backslash in double quotes begins an escape: use single quotes",
    r"alias|anchor|tag|directive|cannot start any token": "a value that begins with *, &, !, %, @ or ` needs quotes",
    r"found '<scalar>'": "text follows a closing quote or bracket: put the whole value into quotes",
    r"quoted scalar": "the quote opened here is never closed, or is in the wrong place",
    r"flow (mapping|sequence)": "the bracket opened here is never closed, or a comma is missing inside",
    r"could not find expected ':'": "a colon with a space after it is missing, or the indentation is wrong",
    r"not allowed here|expected <block end>": (
        "the indentation or a colon is probably wrong here or in the line above; a value with a colon and a space in it needs quotes"
    ),
    r"a name is there twice": "a name is there twice in the same place",
}
# The parser notices these only further down.
NOTICED_LATE = r"quoted scalar|flow (mapping|sequence)|could not find expected ':'"
# A name that messages may show: no service issues tokens of such letters only.
PLAIN_NAME = "[a-z_а-яёА-ЯЁ]{0,40}:*|-"


class YamlTextError(Exception):
    """A file that isn't such YAML. The message shows names at most: a value may be a credential."""


class _Text(yaml.SafeLoader):
    """Recognizes no numbers, dates or booleans; only empty values are null. Rejects duplicate names."""

    yaml_implicit_resolvers = {
        "": [("tag:yaml.org,2002:null", re.compile(r"^$"))],
        "<": [("tag:yaml.org,2002:merge", re.compile(r"^<<$"))],
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for place, (key, _) in enumerate(node.value):
            if isinstance(key, yaml.ScalarNode) and key.value in names[:place] and key.value != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, "a name is there twice in the same place", key.start_mark
                )
        return super().construct_mapping(node, deep)


def read_yaml_text(file: Path) -> Any:
    """A file's content. Raises YamlTextError or OSError."""
    content = file.read_bytes()
    try:
        text = content.decode("utf-8-sig")
        return yaml.load(text, _Text)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise YamlTextError(f"line {line} is not UTF-8: save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        raise YamlTextError(_explained(error, text)) from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise YamlTextError(f"line {line} has a character that YAML doesn't take: {error.reason}") from None
    except RecursionError:
        raise YamlTextError("it is nested too deeply") from None


def _explained(error: yaml.MarkedYAMLError, text: str) -> str:
    """The parser's error in plain words, with its place and the line."""
    problem = f"{error.context or ''}: {error.problem or ''}"
    meanings = (meaning for pattern, meaning in MEANINGS.items() if re.search(pattern, problem))
    message = next(meanings, "it can't be read from here on")
    mark = error.problem_mark
    if error.context_mark and (mark is None or re.search(NOTICED_LATE, problem)):
        mark = error.context_mark
    if mark is None:
        return message
    lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", text)
    line = _shown(lines[mark.line]) if mark.line < len(lines) else ""
    return f"line {mark.line + 1}, column {mark.column + 1}: {message}" + (f" (`{line}`)" if line.strip() else "")


def _shown(line: str) -> str:
    """A line's indentation and name. Three dots stand for all else."""
    indentation, name, gap, rest = re.findall(r"^(\s*)([^\s:]*:*)(\s*)(.*)$", line)[0]
    return f"{indentation}{name if re.fullmatch(PLAIN_NAME, name) else '…'}{gap}{'…' if rest else ''}"
