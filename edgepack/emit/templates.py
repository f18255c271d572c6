"""The only place that renders Jinja2 templates."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from edgepack.resources import templates_dir

if TYPE_CHECKING:
    import jinja2


def render(name: str, **context: Any) -> str:
    """Render templates/`name`; an undefined variable is an error."""
    return _environment().get_template(name).render(**context)


@cache
def _environment() -> jinja2.Environment:
    """One for all renderings: it keeps the templates that it has compiled (30 ms each)."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates_dir()),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # C and build files, never HTML
    )
