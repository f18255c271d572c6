"""The only place that renders Jinja2 templates."""

from __future__ import annotations

from typing import Any

from edgepack.resources import templates_dir


def render(name: str, **context: Any) -> str:
    """Render templates/`name`; an undefined variable is an error."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates_dir()),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # C and build files, never HTML
    )
    return environment.get_template(name).render(**context)
