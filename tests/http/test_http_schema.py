"""The API keeps its OpenAPI document: requests that Schemathesis makes up from it, against the real server."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from projections.views.builtin.finding import Finding
from projections.views.files import Folder
from projections.views.runner import run
from tests.support.ledgers import ingested, scratch
from tests.support.served import Server, grant, served

# A fact can fit its schema and still be none: two lines of one name, a return of nothing, a time to come.
EXCLUDED = [positive_data_acceptance]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with scratch() as folder:
        ledger = ingested(folder, [grant("m-17850", f"g-{n}", 5) for n in range(3)])
        run(ledger, Folder(folder / "ledger" / "views"), [Finding()])  # which a server builds beside itself
        ledger.close()
        with served(folder / "ledger", "--wait", "1") as found:
            yield found


@schemathesis.serializer("application/x-ndjson")
def as_lines(_: schemathesis.SerializationContext, value: object) -> bytes:
    return str(value).encode(errors="replace")


SETTINGS = settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_every_operation_keeps_its_document(server: Server) -> None:
    document = schemathesis.openapi.from_url(f"{server.url}/schema/openapi.json")
    operations = [found.ok() for found in document.get_all_operations()]
    assert len(operations) > 25
    for operation in operations:
        # a body of many facts is told line by line what is wrong with it
        for mode in [GenerationMode.POSITIVE] if operation.path.endswith(":bulk") else list(GenerationMode):

            @SETTINGS
            @given(case=operation.as_strategy(generation_mode=mode))
            def keeps(case: schemathesis.Case) -> None:
                case.call_and_validate(excluded_checks=EXCLUDED, timeout=60)

            with suppress(Unsatisfiable):  # nothing can be made wrong of what takes nothing
                keeps()
