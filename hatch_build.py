"""The page of the package on an index: README.md without what leads nowhere from there."""

import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?![a-z]+:|#)[^)]*\)")
PICTURE = re.compile(r"^!\[[^\]]*\]\((?![a-z]+:)[^)]*\)\n+", re.MULTILINE)
ALONE = re.compile(r"^\[[^\]]*\]\((?![a-z]+:)[^)]*\)\n\n", re.MULTILINE)  # a paragraph that is a link


class PackagePage(MetadataHookInterface):
    """Gives the project its description. The repository's own address is not known, so no link can be made whole."""

    def update(self, metadata: dict[str, object]) -> None:
        """Set `readme`."""
        readme = Path(self.root, "README.md").read_text("utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": page(readme)}


def page(readme: str) -> str:
    """Return a README with its pictures left out, and links to files of the repository as plain text."""
    return LINK.sub(r"\1", ALONE.sub("", PICTURE.sub("", readme)))
