"""A compiled version as plain data: numbers, texts, lists and maps, for an engine that is not written in Python."""

from typing import Any

import msgspec

from ledger.rulebook.compiled import ProgrammeVersion, Rule
from ledger.rulebook.schema import Product


def plain_version(version: ProgrammeVersion) -> bytes:
    """Return all that deciding asks of a version, as MessagePack; rules are named by their places in `rules`."""
    rules = list(version.rules.values())
    places = {rule.name: place for place, rule in enumerate(rules)}

    def placed(found: tuple[Rule, ...]) -> list[int]:
        return [places[rule.name] for rule in found]

    programme = version.programme
    return msgspec.msgpack.encode(
        {
            "name": version.name,
            "zone": version.offset,
            "since": version.since,
            "late": version.late,
            "default_kind": version.default_kind,
            "rules": rules,
            "line_rules": placed(version.line_rules),
            "line_rules_without_card": placed(version.line_rules_without_card),
            "paid_line_rules": placed(version.paid_line_rules),
            "fact_rules": {on: placed(found) for on, found in version.fact_rules.items()},
            "rules_after": list(version.rules_after),
            "asked_behind": [*version.rules_after, *version.penalties],
            "asks_who": version.asks_who,
            "penalties": version.penalties,
            "multiplies": version.multiplies,
            "products": {
                label: _product(version, label, membership, product)
                for label, (membership, product) in version.products.items()
            },
            "perks": version.perks,
            "rights": [perk.name for perk in version.rights],
            "keeps_said": version.keeps_said,
            "claws_back": version.claws_back,
            "release_days": {name: one.release_days for name, one in programme.memberships.items()},
            "uses": {
                name: {"table": use, "share": _share(version, name), "who": version.who_may_use[name]}
                for name, use in programme.uses.items()
            },
            "exchanges": {
                name: {"table": table, "who": version.exchanges[name].who, "rates": version.exchanges[name].rates}
                for name, table in programme.exchanges.items()
            },
            "rankings": version.rankings,
            "live": list(version.live),
            "kinds": programme.kinds,
            "expiries": version.expiries,
            "idle": version.idle,
            "keyed_kinds": version.keyed_kinds,
            "keyed_scores": version.keyed_scores,
            "joined_scores": [name for name, score in programme.scores.items() if score.joined],
            "attributes": programme.attributes,
            "has_pools": bool(version.pools),
        }
    )


def _product(version: ProgrammeVersion, label: str, membership: str, product: Product) -> dict[str, Any]:
    return {
        "membership": membership,
        "table": product,
        "prices": version.prices[label],
        "gate": version.gates[label],
    }


def _share(version: ProgrammeVersion, use: str) -> tuple[int, int] | None:
    share = version.shares[use]
    return None if share is None else (share.numerator, share.denominator)
