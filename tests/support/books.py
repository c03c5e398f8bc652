"""Made-up rule books, seeded: each feature of the grammar stands in some, and every one passes `programme check`.

A book has always a kind of points, a rule for the lines of orders and a use, so that a history has something to move.
What else it has is drawn by FEATURES; figures are small, so that caps fill, tiers are reached and quotas are used up.
"""

import json
from contextlib import suppress
from datetime import UTC, date, datetime
from random import Random
from typing import Any

from ledger.rulebook.checks import parts_of
from ledger.rulebook.compiled import Programme
from ledger.rulebook.schema import BadProgramme
from ledger.rulebook.union import joined
from service.time_zones import with_transitions

Table = dict[str, Any]
FEATURES: dict[str, float] = {  # and in how many books each stands
    "zone": 0.2,
    "late": 0.2,
    "default-kind": 0.15,
    "coins": 0.7,
    "idle": 0.3,
    "stamps": 0.35,
    "attributes": 0.7,
    "monthly": 0.5,
    "daily": 0.3,
    "rolling": 0.45,
    "year": 0.4,
    "life": 0.4,
    "deduct": 0.4,
    "by-shop": 0.4,
    "invited": 0.3,
    "club": 0.7,
    "guests": 0.6,
    "prices": 0.5,
    "who": 0.7,
    "times": 0.5,
    "caps": 0.7,
    "pending": 0.4,
    "payment": 0.4,
    "card-benefits": 0.6,
    "benefits": 0.7,
    "rights": 0.5,
    "exchanges": 0.5,
    "penalties": 0.5,
    "any-fact": 0.7,
    "reached": 0.5,
    "uses": 0.6,
}
CATEGORIES = ("", "phone", "food", "virtual", "car", "books")
SHOPS = ("self", "shop-a", "shop-b")
CHANNELS = ("app", "counter")
ACTIVITIES = ("ride", "post", "violation")
CUSTOMERS = ("person", "enterprise")
REGIONS = ("north", "south")
BEGIN = date(2024, 1, 1)
OWNERS = ("card", "mall", "partner", "zoo")
DAYS = (BEGIN, BEGIN, date(2025, 3, 20), date(2025, 4, 10), date(2025, 6, 1))  # on which files begin


def made_book(random: Random, features: set[str] | None = None) -> str:
    """The TOML of a made-up book; `features` are those that it has, and by chance where they are left out."""
    if features is None:
        features = {name for name, often in FEATURES.items() if random.random() < often}
    return with_transitions(toml_of(Author(random, features).book()))


def made_versions(random: Random) -> tuple[str, str]:
    """Two versions of a made-up book: other rules, uses, bounds of tiers and expiry from some day on."""
    features = {name for name, often in FEATURES.items() if random.random() < often}
    author = Author(random, features)
    first = author.book()
    return with_transitions(toml_of(first)), with_transitions(toml_of(author.next_version(first)))


def made_union(random: Random) -> tuple[str, list[str]]:
    """A made-up book, and what its two or three owners publish of it: one text of all their files, often a second.

    Each name stands in a file of some owner, and each file has a day of its own. In the second text one owner has
    published other rules from some day on. The first text of what is returned says all of it in one file.
    """
    features = {name for name, often in FEATURES.items() if random.random() < often}
    author = Author(random, features)
    whole = author.book()
    while True:
        owners = random.sample(OWNERS, random.choice((2, 3)))
        of = {place: random.choice(owners) for place in _places(whole)}
        days = {owner: random.choice(DAYS) for owner in owners} | {owners[0]: BEGIN}
        files = [part_of(whole, owner, of, days[owner]) for owner in owners]
        with suppress(BadProgramme):
            book = Programme([_union(files)])
            break
    published = [_union(files)]
    if random.random() < 0.4:
        other = author.next_version(whole)
        of = {place: of.get(place, owners[0]) for place in _places(other)}
        later = part_of(other, owners[0], of, random.choice(DAYS[2:]))
        with suppress(BadProgramme):
            book.add(_union([later, *files[1:]]))
            published.append(_union([later, *files[1:]]))
    return with_transitions(toml_of(whole)), published


def part_of(whole: Table, owner: str, of: dict[tuple[str, str], str], begins: date) -> Table:
    """The file of one owner of the names of a book."""
    part: Table = {"programme": owner, "name": owner, "from": begins, "kinds": {}}
    for key, value in whole.items():
        if isinstance(value, dict):
            found = {name: table for name, table in value.items() if of[key, name] == owner}
            part |= {key: found} if found or key == "kinds" else {}
        elif isinstance(value, list):
            part |= {key: [rule for rule in value if of[key, rule["rule"]] == owner]}
        elif key not in ("programme", "name", "from"):
            part[key] = value
    return part


def _places(whole: Table) -> list[tuple[str, str]]:
    """Each name of a book with the table that it stands in."""
    tables = [(key, name) for key, value in whole.items() if isinstance(value, dict) for name in value]
    return [
        *tables,
        *((key, rule["rule"]) for key, value in whole.items() if isinstance(value, list) for rule in value),
    ]


def _union(files: list[Table]) -> str:
    return joined([part for file in files for part in parts_of(with_transitions(toml_of(file)), file["programme"])])


def toml_of(book: Table) -> str:
    """A book as TOML: a table for each name, all below it inline."""
    lines = [f"{key} = {_inline(value)}" for key, value in book.items() if not isinstance(value, dict | list)]
    for key, value in book.items():
        if isinstance(value, dict):
            lines.append(f"[{key}]")
            lines += [f"{json.dumps(name)} = {_inline(table)}" for name, table in value.items()]
        elif isinstance(value, list):
            for table in value:
                lines += [f"[[{key}]]", *(f"{name} = {_inline(one)}" for name, one in table.items())]
    return "\n".join([*lines, ""])


def _inline(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_inline(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)


class Author:
    """Writes one book."""

    def __init__(self, random: Random, features: set[str]) -> None:
        self.random = random
        self.has = features
        self.kinds: dict[str, Table] = {}
        self.attributes: dict[str, Table] = {}
        self.scores: dict[str, Table] = {}
        self.memberships: dict[str, Table] = {}
        self.benefits: dict[str, Table] = {}
        self.awards: list[Table] = []
        self.by_shop: set[str] = set()
        self.main = "stars" if "default-kind" in features else "beans"

    def pick(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def book(self) -> Table:
        """The book as the tables of its TOML."""
        book: Table = {"programme": "made-up", "name": "made up", "from": BEGIN}
        book |= {"time_zone": "Europe/Berlin"} if "zone" in self.has else {"utc_offset": self.pick("+08:00", "-05:00")}
        if "late" in self.has:
            book["late_days"] = self.pick(60, 500)
        if "default-kind" in self.has:
            book["default_kind"] = self.main
        self.write_kinds()
        if "attributes" in self.has:
            self.attributes = {
                "customer": {"name": "customer", "values": list(CUSTOMERS)},
                "region": {"name": "region", "type": "text"},
                "rating": {"name": "rating", "type": "number"},
                "birthday": {"name": "birthday", "type": "month-day"},
            }
        self.write_scores(book.get("late_days", 400))
        self.write_memberships()
        self.write_awards()
        tables = {
            "kinds": self.kinds,
            "attributes": self.attributes,
            "scores": self.scores,
            "memberships": self.memberships,
            "uses": self.uses(),
            "benefits": self.write_benefits() if "benefits" in self.has else {},
            "exchanges": self.exchanges() if "exchanges" in self.has and "coins" in self.has else {},
            "penalties": self.penalties() if "penalties" in self.has else {},
        }
        return (
            book | {"award": self.awards} | {name: table for name, table in tables.items() if table or name == "kinds"}
        )

    def next_version(self, first: Table) -> Table:
        """The same kinds, scores, cards and benefits, under other rules."""
        self.awards = []
        self.write_awards()
        for kind in self.kinds.values():
            if "idle_days" not in kind["expiry"][0]:
                kind["expiry"] = self.expiry()
        for score in self.scores.values():
            for tier, least in zip(score["tiers"][-3:], (self.pick(40, 300), 800, 4_000), strict=True):
                tier["at_least"] = least
        other = {"from": date(2025, 6, 17), "award": self.awards, "uses": self.uses()}
        if "penalties" in first:
            other["penalties"] = self.penalties()
        return first | other

    # -- kinds and scores

    def expiry(self) -> list[Table]:
        def period(since: date) -> Table:
            return {"from": since} | self.pick(
                {"days": 30},
                {"days": 180},
                {"end_of_year_after": self.pick(0, 1)},
                {"months": self.pick(1, 6)},
                {"end_of_month_after": self.pick(0, 1, 3)},
                {"never": True},
            )

        return [period(BEGIN), period(date(2025, 9, 1))] if self.chance(0.4) else [period(BEGIN)]

    def write_kinds(self) -> None:
        names = [self.main, *(name for name in ("coins", "stamps", "idle") if name in self.has)]
        for name in names:
            kind: Table = {"name": name, "expiry": self.expiry()}
            kind |= self.pick({}, {"shortfall": "cash"}, {"shortfall": "clamp"}, {"shortfall": "debt"})
            kind |= self.pick({}, {}, {"burn": "oldest"}) | self.pick({}, {"fen": 5})
            if name == "idle":
                kind["expiry"] = [{"from": BEGIN, "idle_days": self.pick(20, 90)}]
            if name == "stamps":
                kind["each"] = "shop"
                self.by_shop.add(name)
            self.kinds[name] = kind

    def write_scores(self, late_days: int) -> None:
        hold = self.pick({"days": self.pick(30, 365)}, {"end_of_year_after": self.pick(0, 1)})
        held = {"hold": hold} | self.pick({}, {}, {"down": "step"})
        months = self.pick(1, 3, 12)
        wanted: dict[str, Table] = {
            "monthly": {"window_months": months} | self.pick({}, {"settle_day": 8}, held),
            "daily": {"settle": "daily", "window_days": self.pick(1, 7, 60)} | self.pick({}, held),
            "rolling": {"settle": "at-once", "window_months": self.pick(1, 3, 12)} | self.pick({}, held, held),
            "year": {"settle": "at-once", "window": "year"} | self.pick({}, held, held),
            "life": {"settle": "at-once", "window": "life"} | self.pick({}, held),
            "deduct": {"settle": "at-once", "window": "life", "hold": self.pick({"days": 30}, {"days": 365}, hold)},
            "by-shop": {"settle": "at-once", "window": "life", "each": "shop"} | self.pick({}, {"joined": True}),
        }
        for name, table in wanted.items():
            if name not in self.has:
                continue
            score: Table = {"name": name, **table, "parts": {"spent": "spent", "done": "done"}}
            tiers = [
                {"at_least": least, "name": tier}
                for least, tier in zip((self.pick(50, 200), 1_000, 5_000), ("low", "middle", "high"), strict=True)
            ]
            if self.chance(0.3):
                tiers.insert(0, {"at_least": 0, "name": "base"})
            if "invited" in self.has and name != "by-shop":
                tiers[-1]["invited"] = True
            score["tiers"] = tiers
            if name == "deduct":
                score["parts"]["deduction"] = "deduction"
                score["deduct"] = {"low": self.pick(0, 20), "middle": 300, "high": 2_000}
            if name == "monthly" and self.chance(0.3):
                score["one_star_limit"] = 60
            if name == "by-shop":
                self.by_shop.add(name)
            self.scores[name] = score

    # -- conditions on the member

    def who(self, *, values: bool = False, shop: bool = False, depth: int = 0) -> Table:
        """Conditions that can be met: `values` of scores may be asked, and what is kept for each shop."""
        scores = [name for name in self.scores if shop or name not in self.by_shop]
        ways = []
        if scores:
            ways += ["tier", "tier"] + (["score"] if values else [])
        if self.attributes:
            ways += ["attribute", "attribute"]
        if self.memberships:
            ways.append("card")
        if depth == 0 and ways and self.chance(0.15):
            return {"any": [self.who(values=values, shop=shop, depth=1) for _ in range(2)]}
        if not ways:
            return {"attribute": {"credit": {"at_least": 30}}}
        way = self.pick(*ways)
        if way == "tier":
            score = self.pick(*scores)
            names = ["", *(tier["name"] for tier in self.scores[score]["tiers"])]
            some = self.random.sample(names, self.pick(1, 2))
            return {"tier": {score: {self.pick("in", "in", "not_in"): some}}}
        if way == "score":
            return {"score": {self.pick(*scores): {self.pick("at_least", "at_most"): self.pick(50, 500, 2_000)}}}
        if way == "card":
            name = self.pick(*self.memberships)
            products = list(self.memberships[name]["products"])
            condition = self.pick({"active": True}, {"active": False}, {"in": products[:1]}, {"not_in": products[:1]})
            return {"card": {name: condition}}
        return {
            "attribute": self.pick(
                {"customer": {"in": ["person"]}},
                {"customer": {"not_in": ["enterprise"]}},
                {"region": {"in": list(REGIONS[:1])}},
                {"rating": {"at_least": 100}},
                {"rating": {"at_most": 99}},
                {"credit": {"at_least": 30}},
                {"birthday": {"not_in": ["08-08"]}},
            )
        }

    def maybe_who(self, share: float, *, values: bool = False, shop: bool = False) -> Table:
        if "who" in self.has and self.chance(share):
            return {"who": self.who(values=values, shop=shop)}
        return {}

    # -- cards

    def write_memberships(self) -> None:
        if "guests" in self.has:
            self.memberships["guests"] = {"name": "guests", "products": {"guests.week": {"days": 7}}}
        if "club" not in self.has:
            return
        back = self.pick({}, {"on_refund": "claw-back"})
        year: Table = self.pick({"years": 1}, {"days": 365}) | back | {"cap": self.pick(300, 5_000)}
        month: Table = self.pick({"months": 1}, {"days": 30}) | back
        year |= self.pick({}, {"fill": True}) | self.pick({}, {"upgrades": ["club.month"]})
        year |= self.pick({}, {"grace_days": 7})
        month |= self.pick({}, {"grace_days": 20}) | self.pick({}, {"cap": 100})
        products = {"club.year": year, "club.month": month}
        if self.chance(0.6):
            products["club.trial"] = {"days": 14, "cap": 400, "trial": True}
        self.memberships["club"] = {"name": "club", "products": products, "release_days": self.pick(0, 30)}
        if "prices" in self.has:
            cheap = {"fen": 4_900, "who": self.who(values=True)}
            year["price"] = self.pick(
                [cheap, {"fen": 14_900}], [{"fen": 14_900, "from": date(2025, 5, 1)}, {"fen": 9_900}]
            )
            month["refund"] = self.pick({"within_days": 7}, {"unused": True}, {"within_days": 30, "unused": True})
            year |= self.maybe_who(0.6, values=True)
            if "who" in year:
                ends = datetime(2025, 7, 3, 11, tzinfo=UTC)
                year |= self.pick({}, {"who_until": ends}, {"who_from": date(2025, 5, 1)})

    # -- rules

    def caps(self, *, of_lines: bool, fields: tuple[str, ...] = (), is_member: bool = False) -> Table:
        if "caps" not in self.has or self.chance(0.4):
            return {}
        ways: list[Table] = [
            {"per": "day", "points": self.pick(20, 150)},
            {"per": "month", "points": self.pick(60, 500)},
            {"per": "year", "points": 1_000},
            {"per": "ever", "points": 2_000},
        ]
        if of_lines:
            ways += [{"per": "line", "points": self.pick(10, 100)}, {"per": "order", "points": self.pick(15, 120)}]
        if is_member:
            ways.append({"per": "term", "points": 150})
        ways += [{"per": self.pick("day", "month"), "points": self.pick(20, 100), "each": one} for one in fields]
        return {"cap": self.random.sample(ways, self.pick(1, 1, 2, 3))}

    def times(self, *, shop: bool, of_lines: bool) -> Table:
        if "times" not in self.has or self.chance(0.5):
            return {}
        entry: Table = {"by": self.pick("2", "3/2", "5/4", "1/2")}
        entry |= self.maybe_who(0.6, shop=shop)
        if of_lines and self.chance(0.3):
            entry["when"] = {"category": {"in": ["food", "books"]}}
        if self.chance(0.3):
            entry |= {"from": date(2025, 4, 1), "until": datetime(2025, 10, 1, 18, tzinfo=UTC)}
        return {"times": [entry, {"by": "3"}] if self.chance(0.2) else [entry]}

    def pending(self, award: Table) -> Table:
        if "pending" not in self.has or self.chance(0.6):
            return {}
        cards = self.memberships.get(award.get("member", ""), {"products": {}})["products"].values()
        if any(card.get("trial") for card in cards):
            return {}
        return {"pending": self.pick({"days": 7}, {"day_of_next_month": 10}, {"claim_days": 30})}

    def award(self, rule: str, on: str, **more: Any) -> None:
        self.awards.append({"rule": rule, "name": rule, "on": on, **more})

    def line_give(self) -> Table:
        return {
            "give": self.pick(
                {"points": 1, "per_fen": 1_000},
                {"points": 10, "per_fen": 10_000, "floor_fen": 1_000},
                {"points": 3, "per_fen": 700},
                {"points": 5},
                {"points": 4, "per_count": 1},
                {"points": 3, "per_count": 2},
                {"steps": [{"at_least_fen": 2_000, "points": 3}, {"at_least_fen": 10_000, "points": 20}]},
            )
        }

    def line_when(self) -> Table:
        return self.pick(
            {},
            {},
            {"when": {"category": {"not_in": ["virtual", "car"]}}},
            {"when": {"paid_fen": {"at_least": 5_000}}},
            {"when": {"unit_fen": {"at_most": 100_000}, "self_operated": {"in": [True]}}},
            {"when": {"tags": {"has": "gift"}}},
            {"when": {"tags": {"has": "own"}}},
            {"when": {"channel": {"in": ["app"]}, "quantity": {"at_least": 2}}},
            {"when": {"shop": {"not_in": ["shop-b"]}}},
        )

    def line_rule(self, rule: str, *, on: str = "order.completed", **more: Any) -> None:
        """A rule for each line of an order, with what else it may have."""
        award: Table = {"each": "line", **more, **self.line_when(), **self.line_give()}
        if "per_fen" in award["give"] and self.chance(0.2):
            award["rates"] = {"phone": self.pick(50, 150)}
        award |= self.maybe_who(0.4, shop=True) | self.times(shop=True, of_lines=True)
        award |= self.caps(of_lines=True, fields=("category", "shop", "sku"), is_member="member" in more)
        if "kind" in more:
            award |= self.pending(award)
        if self.chance(0.1) and "instead_of" not in more:
            award |= {"from": date(2025, 4, 10), "until": date(2026, 1, 1)}
        self.award(rule, on, **award)

    def write_awards(self) -> None:
        if "club" in self.memberships:
            self.line_rule("spent.club", kind=self.main, member="club", instead_of="spent")
        self.line_rule("spent", kind=self.main)
        for kind in self.kinds:
            if kind != self.main and self.chance(0.8):
                self.line_rule(f"spent.{kind}", kind=kind)
        for score in self.scores:
            give = {"points": 1, "per_fen": self.pick(100, 1_000)}
            self.award(f"{score}.spent", "order.completed", each="line", score=score, part="spent", give=give)
            if self.chance(0.5):
                self.line_rule(f"{score}.more", score=score, part="spent")
        first = self.pick({"kind": self.main}, *({"score": s, "part": "spent"} for s in self.scores))
        if self.chance(0.5):
            returns = self.pick({}, {"returns": False})
            give = {"points": 10}
            self.award("first", "order.completed", each="line", first="category", give=give, **first, **returns)
        if "payment" in self.has:
            self.line_rule("paid", on="order.paid", kind=self.main)
            if self.scores:
                self.line_rule("paid.score", on="order.paid", score=self.pick(*self.scores), part="spent")
            if self.chance(0.5):
                self.award("paid.once", "order.paid", kind=self.main, give={"points": 7})
        if self.chance(0.5):
            self.award("three-days", "order.completed", days_in_month=3, give={"points": 30}, **first)
        self.award("sign-in", "member.signed-in", kind=self.main, give={"points": 1}, cap=[{"per": "day", "points": 1}])
        self.award(
            "review",
            "review.posted",
            kind=self.main,
            give={"steps": [{"at_least_fen": 2_000, "points": 10}, {"at_least_fen": 10_000, "points": 20}]},
            **self.pick({}, {"within_days": 30}),
            **self.pick({}, {"unless_returned": True}),
            **self.pick({}, {"when": {"characters": {"at_least": 10}}}),
        )
        if "any-fact" in self.has:
            self.write_rules_on_any_fact()
        if "reached" in self.has:
            score = self.pick("", *(name for name in self.scores if name not in self.by_shop))
            when = {"when": {"score": {"in": [score]}, "tier": {"not_in": ["low"]}}} if score else {}
            give = {"points": 100}
            self.award("reached", "tier.reached", kind=self.main, give=give, **when, **self.pick({}, {"once": True}))

    def write_rules_on_any_fact(self) -> None:
        """Rules on all kinds of facts; each book has some."""
        open_scores = [name for name in self.scores if name not in self.by_shop]
        items: Table = {"score": self.pick(*open_scores), "part": "done"} if open_scores else {"kind": self.main}
        points = {"kind": self.pick(*(kind for kind in self.kinds if kind not in self.by_shop))}
        keyed = [{"kind": n} if n in self.kinds else {"score": n, "part": "done"} for n in sorted(self.by_shop)]
        rules: list[Table] = [
            {"on": "identity.verified", **items, "once": True, "give": {"points": 300}},
            {"on": "wechat.bound", **points, "once": True, "give": {"points": 20}},
            {"on": "qq.bound", **points, "give": {"points": 4}},
            {"on": "profile.completed", **items, "give": {"points": 15}, "cap": [{"per": "ever", "points": 40}]},
            {"on": "question.answered", **points, "give": {"points": 8}, "pending": {"claim_days": 30}},
            {"on": "item.shared", **items, "give": {"points": 2}, "cap": [{"per": "month", "points": 6}]},
            {"on": "shop.visited", **points, "each_day": "shop", "give": {"points": 1}},
            {"on": "activity.done", **points, "give": {"points": 1, "per_count": 1}},
            {"on": "activity.done", **items, "give": {"points": 2, "per_fen": 1_000}, "each-cap": True},
            {"on": "activity.done", **points, "give": {"points": 9}, "once": True},
            {"on": "card.purchased", **points, "give": {"points": 50}, "once": True},
            {"on": "card.purchased", **items, "give": {"points": 1, "per_fen": 100}},
            {"on": "benefit.claimed", **points, "give": {"points": 3}},
            {"on": "reputation.rated", **items, "give": {"points": 2}, "when": {"stars": {"at_least": 5}}},
            {"on": "campaign.granted", **items, "give": {"points": 6}},
            {"on": "redemption.requested", **items, "give": {"points": 5}, "when": {"use": {"in": ["coupon"]}}},
            {"on": "member.described", **points, "give": {"points": 2}, "cap": [{"per": "year", "points": 4}]},
        ]
        rules += [{"on": "member.joined", **one, "give": {"points": 11}} for one in keyed]
        rules += [{"on": "activity.done", **one, "give": {"points": 120}} for one in keyed]
        if "guests" in self.memberships:
            rules.append({"on": "card.purchased", "opens": "guests.week", "when": {"product": {"in": ["club.year"]}}})
            rules.append({"on": "identity.verified", "opens": "guests.week", "once": True})
        for number, rule in enumerate(self.random.sample(rules, self.pick(4, 7, 10))):
            on, more = rule["on"], {key: value for key, value in rule.items() if key not in ("on", "each-cap")}
            if rule.get("each-cap"):
                more["cap"] = [{"per": "day", "points": 10, "each": "shop"}]
            if "opens" not in rule and "once" not in rule:
                more |= self.maybe_who(0.2, shop=on in ("activity.done", "shop.visited", "benefit.claimed"))
                more |= {} if "times" in more else self.times(shop=on == "activity.done", of_lines=False)
            self.award(f"any-{number}.{on}", on, **more)

    # -- what points are for

    def uses(self) -> Table:
        kinds = [name for name in self.kinds if name not in self.by_shop]
        uses: Table = {
            "coupon": {"name": "coupon", "kinds": self.random.sample(kinds, len(kinds))},
            "draw": {"name": "draw", "kinds": [self.main], "exactly": 20},
        }
        uses["offset"] = {"name": "offset", "kinds": [self.main], "order": True, "multiple": self.pick(1, 100)}
        uses["offset"] |= {"share": self.pick("1/2", "1/5"), "balance_at_least": self.pick(0, 100)}
        if "stamps" in self.kinds:
            uses["shelf"] = {"name": "shelf", "kinds": ["stamps"]} | self.maybe_who(0.3, values=True, shop=True)
        if "uses" in self.has:
            caps = [{"per": "month", "points": 300}, {"per": "ever", "points": 1_500}, {"per": "day", "points": 120}]
            uses["gift"] = {"name": "gift", "kinds": kinds, "at_least": 5, "at_most": 400}
            uses["gift"] |= {"cap": self.random.sample(caps, self.pick(1, 2))} | self.maybe_who(0.5, values=True)
            uses["rebate"] = {"name": "rebate", "kinds": kinds, "order": True, "share": "1/2"}
            uses["rebate"] |= {"settlement_at_least_fen": 1_000, "cap": [{"per": "order", "points": 150}]}
        return uses

    def exchanges(self) -> Table:
        rate: list[Table] = [{"from": BEGIN, "take": self.pick(10, 7), "give": self.pick(1, 3)}]
        if "who" in self.has:
            rate.insert(0, {"from": date(2025, 4, 1), "take": 10, "give": 9, "who": self.who(values=True)})
        table: Table = {"name": "exchange", "takes": self.main, "gives": "coins", "rate": rate}
        table |= self.pick({}, {"cap": [{"per": "month", "points": 500}]}) | self.maybe_who(0.3, values=True)
        back = {"name": "back", "takes": "coins", "gives": self.main, "rate": [{"from": BEGIN, "take": 1, "give": 3}]}
        return {"swap": table, "back": back}

    def penalties(self) -> Table:
        penalties: Table = {
            "rejection": {
                **{"name": "rejection", "on": "order.rejected", "kind": self.main, "points": 50},
                **self.pick({}, {"from_in_month": 2}, {"from_in_month": 2, "from_in_year": 4}),
            },
            "violation": {
                **{"name": "violation", "on": "activity.done", "when": {"activity": {"in": ["violation"]}}},
                **{"points": 120, **self.pick({"kind": self.main}, {"kind": self.pick(*self.kinds)})},
            },
        }
        if "club" in self.memberships and self.chance(0.5):
            penalties["rejection"]["exempt"] = {"membership": "club", "in_month": 2}
        if self.scores:
            score = self.pick(*self.scores)
            penalties["score"] = {"name": "score", "on": "activity.done", "score": score, "part": "done", "points": 30}
            penalties["score"] |= {"when": {"activity": {"in": ["violation", "post"]}}}
        return penalties

    # -- benefits

    def opening(self) -> Table:
        ways: list[Table] = [{}, {}, {"open": {"days_of_month": [5, 20]}}]
        ways.append({"open": {"from": date(2025, 4, 1), "until": date(2025, 12, 1)}})
        if "birthday" in self.attributes:
            ways.append({"open": {"month_of": "birthday"}})
        return self.pick(*ways)

    def price(self) -> Table:
        kind = self.pick(*(kind for kind in self.kinds if kind not in self.by_shop))
        last = {"kind": kind, "points": self.pick(10, 60)}
        if "who" in self.has and self.chance(0.5):
            return {"price": [{"kind": kind, "points": 5, "who": self.who(values=True)}, last]}
        return self.pick({}, {"price": [last]})

    def gives(self) -> Table:
        kind = self.pick(*(kind for kind in self.kinds if kind not in self.by_shop))
        gifts: list[Table] = [{"kind": kind, "points": 40} | self.pick({}, {"days": 20})]
        if "guests" in self.memberships:
            gifts.append({"opens": "guests.week"})
        scores = [name for name in self.scores if name not in self.by_shop]
        if scores:
            score = self.pick(*scores)
            tier = self.pick(*self.scores[score]["tiers"])["name"]
            gifts.append({"score": score, "tier": tier, "days": self.pick(10, 90)})
        return {"gives": self.random.sample(gifts, self.pick(0, 1, len(gifts)))}

    def quota(self, products: list[str]) -> Table:
        listed: list[Table] = [{"times": 1}]
        if "who" in self.has:
            listed.insert(0, {"times": 3, "who": self.who(values=True)})
            if self.chance(0.3):
                listed.pop()
        by_product = [{"quota": {product: self.pick(1, 3) for product in products[:2]}}] if products else []
        return self.pick({}, {"quota": self.pick(0, 1, 2)}, {"quota": listed}, *by_product, *by_product)

    def write_benefits(self) -> Table:
        """Benefits that stand by themselves, and those of the card."""
        found: Table = {}
        for name in ("pack", "lounge"):
            table: Table = {"name": name, **self.quota([]), **self.opening(), **self.price(), **self.gives()}
            table |= self.maybe_who(0.5, values=True)
            table |= self.pick({}, {"returns_with_order": True})
            per = self.pick("day", "month", "year", "ever", "days")
            table |= {"per": per} | ({"days": 30} if per == "days" else {})
            if "guests" in json.dumps(table.get("who", {})):  # a card may not lead to itself
                table["gives"] = [gift for gift in table["gives"] if "opens" not in gift]
            found[name] = table
        if "by-shop" in self.scores:
            quota: list[Table] = [{"times": 2, "who": {"score": {"by-shop": {"at_least": 200}}}}, {"times": 1}]
            found["corner"] = {"name": "corner", "quota": quota, "per": self.pick("month", "ever")}
        if "rights" in self.has:
            found["repair"] = self.right([])
        if "club" in self.memberships and "card-benefits" in self.has:
            club = self.memberships["club"]
            products = list(club["products"])
            club["benefits"] = {
                "delivery": {
                    **{"name": "delivery", **self.quota(products)},
                    **self.pick({}, {"per": self.pick("day", "month", "year", "ever")}, {"per": "days", "days": 10}),
                    **self.pick({}, {"returns_with_order": True}),
                },
                "welcome": {"name": "welcome", **self.quota(products), **self.price(), **self.gives()},
            }
            club["benefits"]["welcome"] |= self.maybe_who(0.4, values=True) | self.opening()
            if "rights" in self.has:
                club["benefits"]["swap"] = self.right(products)
        return found

    def right(self, products: list[str]) -> Table:
        table: Table = {"name": "right", "of": "line", "per": "line"} | self.pick({}, {"days": 30}, {"days": 180})
        table |= self.pick({}, {"quota": 1}, {"quota": 2})
        table |= self.pick({}, {"when": {"category": {"in": ["phone", "books"]}}}, {"when": {"shop": {"in": ["self"]}}})
        if self.chance(0.3):
            table["when"] = {"tags": {"has": self.pick("own", "gift")}}
        if products and self.chance(0.3):
            table["quota"] = {products[0]: 1}
        if self.chance(0.4):
            table["at"] = "claim"
        return table | self.maybe_who(0.3, shop=True)
