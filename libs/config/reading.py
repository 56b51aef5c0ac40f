"""A configuration file read from its text: what is wrong with it, each with its line. Pure, but for the environment."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import yaml
from pydantic import ValidationError, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

from libs.config.catalog import Catalog
from libs.config.gateway import DocumentPath, GatewayConfig, broken_references
from libs.config.providers import MODEL_ID
from libs.pricing.book import NoPriceError, rules_of

MOST_CHARACTERS = 1_000_000
MOST_NODES = 200_000
"""Values of a document, aliases written out."""
MOST_DEPTH = 64
"""Of brackets; PyYAML looks at all that are open for each token, so that 2,000 in 2 KB took it 5 s."""
_BRACKET = re.compile(r"[\[\]{}]")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    line: int | None
    """From 1; None where no line is to blame."""
    where: str
    """Such as ``models.3.pricing.prompt``."""
    reason: str

    def __str__(self) -> str:
        line = f"line {self.line}: " if self.line else ""
        return f"{line}{self.where}: {self.reason}" if self.where else f"{line}{self.reason}"


class DocumentError(ValueError):
    """A document that cannot be used, with all that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def read_config(text: str, *, environment: bool = True) -> GatewayConfig:
    """A configuration, as a service would read it from a file.

    Args:
        environment: this process's variables stand over it, as they do at a start.

    Raises:
        DocumentError: it is not YAML, or not right, or a model that costs money has no price.
    """
    if len(text) > MOST_CHARACTERS:
        raise DocumentError([Problem(None, "", f"it has more than {MOST_CHARACTERS:,} characters")])
    if _depth(text) > MOST_DEPTH:
        raise DocumentError([Problem(None, "", f"more than {MOST_DEPTH} brackets are open at once")])
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        _check_tree(tree)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise DocumentError([Problem(mark.line + 1 if mark else None, "", error.problem or "not YAML")]) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, DocumentError):
            raise
        raise DocumentError([Problem(None, "", "it is not YAML")]) from None
    if not isinstance(content, dict):
        raise DocumentError([Problem(1, "", "the file is a mapping: providers, models, and so on")])
    problems = [
        Problem(_line(tree, (name,)), str(name), f"no such section; there are: {', '.join(GatewayConfig.model_fields)}")
        for name in content
        if name not in GatewayConfig.model_fields
    ]
    try:
        config = _Unchecked.read(content, environment=environment)
    except ValidationError as error:
        raise DocumentError(problems + [_problem(tree, one) for one in error.errors(include_input=False)]) from None
    problems += [Problem(_line(tree, where), _name(where), reason) for where, reason in _wrong(config)]
    if problems:
        raise DocumentError(problems)
    return config


class _Unchecked(GatewayConfig):
    """Whose references are looked at afterwards, where their lines are known."""

    content: ClassVar[dict[str, Any]] = {}
    environment: ClassVar[bool] = True

    @classmethod
    def read(cls, content: dict[str, Any], *, environment: bool) -> GatewayConfig:
        """The configuration of a document's content."""
        kind = type("_Read", (cls,), {"content": content, "environment": environment, "__module__": __name__})
        found: GatewayConfig = kind()
        return found

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        known = {name: value for name, value in cls.content.items() if name in cls.model_fields}
        given: PydanticBaseSettingsSource = InitSettingsSource(settings_cls, init_kwargs=known)
        return (env_settings, given) if cls.environment else (given,)

    @model_validator(mode="after")
    def _references_exist(self) -> "_Unchecked":
        return self


def _wrong(config: GatewayConfig) -> Iterator[tuple[DocumentPath, str]]:
    broken = list(broken_references(config))
    yield from broken
    if broken:
        return
    indexes = {(model.id, model.provider): index for index, model in enumerate(config.models)}
    catalog = Catalog(config)
    for model_id in catalog.offers:
        for offer in catalog.all_of(model_id):
            if not offer.model.free:
                try:
                    rules_of(offer)
                except NoPriceError as error:
                    yield ("models", indexes[model_id, offer.provider_id]), str(error)


def _problem(tree: Any, error: Any) -> Problem:
    where: DocumentPath = error["loc"]
    if error.get("ctx", {}).get("pattern") == MODEL_ID:
        reason = "a model's ID is a vendor and a name with `/` between, without blanks, for example openai/gpt-5-mini"
    else:
        reason = error["msg"].removeprefix("Value error, ")
    return Problem(_line(tree, where), _name(where), reason)


def _name(where: DocumentPath) -> str:
    return ".".join(map(str, where))


def _line(tree: Any, where: DocumentPath) -> int | None:
    """Of the deepest part of a path that there is."""
    node = tree
    for part in where:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next((value for key, value in node.value if key.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = node.value[part]
        if found is None:
            break
        node = found
    return node.start_mark.line + 1 if node is not None and node is not tree else None


def _depth(text: str) -> int:
    """How many brackets are open at the most, those in texts counted, too."""
    deepest = depth = 0
    for bracket in _BRACKET.findall(text):
        depth = depth + 1 if bracket in "[{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest


def _check_tree(tree: Any) -> None:
    """Raises DocumentError for a name that stands twice in a mapping, and for what aliases blow up."""
    left, count = [tree], 0
    while left:
        node = left.pop()
        count += 1
        if count > MOST_NODES:
            raise DocumentError([Problem(None, "", f"it has more than {MOST_NODES:,} values")])
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if isinstance(key.value, str) and key.value != "<<":
                    if key.value in seen:
                        raise DocumentError([Problem(key.start_mark.line + 1, key.value, "it stands here twice")])
                    seen.add(key.value)
                left.append(value)
        elif isinstance(node, yaml.SequenceNode):
            left += node.value
