"""The documentation names what there is: every key of edgepack.toml, every command."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from pydantic import TypeAdapter

from edgepack.cli import COMMANDS
from edgepack.config import Config


def test_every_key_is_described(checkout: Path) -> None:
    # docs/config.md points to the other pages for the keys of their sections
    pages = [checkout / "docs" / f"{name}.md" for name in ("config", "compress", "quantize", "qat")]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    described = set(re.findall(r"`(\w+)`", text))
    schemas = TypeAdapter(Config).json_schema()["$defs"].values()
    keys = {key for schema in schemas for key in schema["properties"]} - {"method"}
    assert len(keys) > 20
    assert keys <= described, f"not in docs/config.md: {sorted(keys - described)}"


def test_the_example_is_valid(checkout: Path, tmp_path: Path) -> None:
    from edgepack.config import load_config

    text = (checkout / "docs" / "config.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "edgepack.toml").write_text(example, encoding="utf-8")
    config = load_config(tmp_path)
    assert config.build.targets == tuple(tomllib.loads(example)["build"]["targets"])


def test_the_readme_names_every_command(checkout: Path) -> None:
    text = (checkout / "README.md").read_text(encoding="utf-8")
    missing = [name for name, _ in COMMANDS if f"edgepack {name}" not in text]
    assert not missing
