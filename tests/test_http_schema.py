"""The API keeps its OpenAPI document: requests that Schemathesis makes up from it, against the real server."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CHECKS
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.ledgers import ingested, scratch
from tests.served import Server, grant, served

# A fact can fit its schema and still be none: two lines of one name, a return of nothing, a time to come.
EXCLUDED = [positive_data_acceptance]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with scratch() as folder:
        ingested(folder, [grant("m-17850", f"g-{n}", 5) for n in range(3)]).close()
        with served(folder / "ledger", "--wait", "1") as found:
            yield found


@pytest.fixture
def api(server: Server) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{server.url}/schema/openapi.json")


document = schemathesis.pytest.from_fixture("api")


@document.parametrize()
@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_operation_keeps_its_document(case: schemathesis.Case) -> None:
    case.call_and_validate(excluded_checks=EXCLUDED, timeout=60)


def test_the_checks_are_there() -> None:
    assert {"not_a_server_error", "response_schema_conformance", "status_code_conformance"} <= {
        check.__name__ for check in CHECKS.get_all()
    }
