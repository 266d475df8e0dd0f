"""Directives that put the tables of `tables` into pages. What a page does not describe fails the build."""

from __future__ import annotations

import tables
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class _Table(SphinxDirective):
    """Parses Markdown that the code makes."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """See Directive."""
        made = tables.directive(self.name, " ".join(self.arguments), "\n".join(self.content))
        node = nodes.Element()
        self.state.nested_parse(StringList(made.splitlines(), self.env.docname), self.content_offset, node)
        return node.children


def setup(app: Sphinx) -> dict[str, bool]:
    """See Sphinx."""
    for name in tables.DIRECTIVES:
        app.add_directive(name, _Table)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
