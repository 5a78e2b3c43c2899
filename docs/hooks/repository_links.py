"""Links from the documentation to files of the repository outside docs/.

On a code host they lead to the file. The site does not contain these files, so the hook links to ``repo_url`` if
mkdocs.yml sets it, and shows the file's path otherwise. A link to a file that does not exist fails a strict build.
"""

import logging
import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>(?:\.\./)+[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")

_logger = logging.getLogger("mkdocs.hooks.repository_links")


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Replace a page's links to files outside docs/."""
    docs = Path(config["docs_dir"]).resolve()
    folder = (docs / page.file.src_uri).parent

    def replace(link: re.Match[str]) -> str:
        path = (folder / link["target"]).resolve()
        if path.is_relative_to(docs):
            return link[0]
        if not path.exists():
            _logger.warning("%s links to %s, which does not exist", page.file.src_uri, link["target"])
            return link[0]
        name = path.relative_to(docs.parent).as_posix()
        if config["repo_url"]:
            return f"[{link['text']}]({config['repo_url'].rstrip('/')}/blob/main/{name}{link['anchor'] or ''})"
        return f"`{name}`" if name.endswith(link["text"]) or link["text"] == name else f"{link['text']} (`{name}`)"

    return _LINK.sub(replace, markdown)
