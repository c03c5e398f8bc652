"""Where the views of a ledger are kept: in a folder, or in PostgreSQL where the settings say so (`[views] store`)."""

from pathlib import Path
from pkgutil import resolve_name

from consumers.kafka.settings import load_tables
from ledger.errors import WrongUse
from ledger.journal.ledger import is_address
from projections.answers.sidecar import VIEWS
from projections.views.files import Folder
from projections.views.port import ViewStore
from service.configuration import config_file

LEDGER = "ledger"  # the store is the ledger's own database


def said_store(place: str) -> str | None:
    """Return the address of the views' store that the settings say for a ledger; None: a folder. Raises `WrongUse`."""
    said = load_tables(config_file()).views.store
    if said is None:
        return None
    if said == LEDGER and not is_address(place):
        raise WrongUse(
            "views.store: the ledger is in a folder; give postgresql://…, or leave it out to keep views there"
        )
    if said != LEDGER and not is_address(said):
        raise WrongUse(f'views.store: "{said}" is no address; give postgresql://…, or ledger for the ledger\'s own')
    return place if said == LEDGER else said


def view_store(place: str, folder: Path | None) -> ViewStore:
    """Return where the views of a ledger are kept, by the folder that lies beside it. Raises `WrongUse`."""
    address = said_store(place)
    if address is not None:
        store: ViewStore = resolve_name("projections.views.postgres:Tables")(address)
        return store
    if folder is None:
        raise WrongUse(
            "a ledger in a database keeps its views in a folder of your choice: give --folder DIR,"
            " or set views.store to keep them in PostgreSQL"
        )
    return Folder(folder / VIEWS)
