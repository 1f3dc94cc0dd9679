"""Every row of the language and every rule has its scenarios: what is ticked off in the documents is a test here."""

from collections import Counter
from pathlib import Path

from gherkin.parser import Parser

FEATURES = Path(__file__).parent / "features"
ROWS = [
    f"{group}{number}"
    for group, last in (("A", 7), ("B", 26), ("C", 5), ("E", 11), ("L", 2))
    for number in range(1, last + 1)
]
RULES = [f"T{number}" for number in range(1, 34)]
FURTHER = [
    f"further-{topic}"
    for topic in (
        "branch-names catch end-in-fork extensions instance join loose old-base outside own-events password redirect"
        " retry saga secrets text"
    ).split()
]


def scenarios() -> list[tuple[str, frozenset[str]]]:
    """The name of each scenario and its tags."""
    found = []
    for path in sorted(FEATURES.glob("*.feature")):
        feature = Parser().parse(path.read_text())["feature"]
        for child in feature["children"]:
            scenario = child["scenario"]
            found.append((scenario["name"], frozenset(tag["name"].removeprefix("@") for tag in scenario["tags"])))
    return found


def test_every_row_and_every_decision_has_a_scenario() -> None:
    tags = Counter(tag for _, tagged in scenarios() for tag in tagged)
    assert [wanted for wanted in (*ROWS, *FURTHER) if not tags[wanted]] == []


def test_every_rule_has_a_scenario_where_it_holds_and_one_where_the_naive_reading_fails() -> None:
    holds = {tag for _, tagged in scenarios() if "naive" not in tagged for tag in tagged}
    naive = {tag for _, tagged in scenarios() if "naive" in tagged for tag in tagged}
    assert [rule for rule in RULES if rule not in holds or rule not in naive] == []


def test_no_tag_is_misspelt() -> None:
    known = {*ROWS, *RULES, *FURTHER, "naive", "perdure", "saga", "unsafe"}
    assert {tag for _, tagged in scenarios() for tag in tagged} - known == set()


def test_there_are_enough_scenarios_and_no_name_stands_twice() -> None:
    names = [name for name, _ in scenarios()]
    assert len(names) >= 150
    assert [name for name, times in Counter(names).items() if times > 1] == []
