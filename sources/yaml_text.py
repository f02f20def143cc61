"""YAML whose values stay text as written: `yes` and 007 are neither a boolean nor a number."""

import re
from pathlib import Path
from typing import Any

import yaml


class YamlTextError(Exception):
    """A file that isn't such YAML. The message shows none of its content, which may be a credential."""


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
        return yaml.load(content.decode("utf-8-sig"), _Text)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise YamlTextError(f"line {line} is not UTF-8: save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = re.sub(r"'[^']{2,}'", "a text", error.problem or "it isn't YAML")
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise YamlTextError(f"{place}{problem}") from None
    except yaml.reader.ReaderError as error:
        line = content.decode("utf-8-sig")[: error.position].count("\n") + 1
        raise YamlTextError(f"line {line} has a character that YAML doesn't take: {error.reason}") from None
    except RecursionError:
        raise YamlTextError("it is nested too deeply") from None
