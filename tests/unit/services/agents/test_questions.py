"""Questions that are near and still ask different things; most pairs were taken for the same by real vectors."""

import pytest

from perdure.services.agents.questions import differ

OTHER = [
    ("Book a flight from Paris to London.", "Book a flight from London to Paris."),
    ("Convert 10 miles to kilometres.", "Convert 10 kilometres to miles."),
    ("Convert 10 miles to kilometres.", "Convert 100 miles to kilometres."),
    ("How much did we sell in March 2025?", "How much did we sell in March 2026?"),
    ("What is the status of order 48213?", "What is the status of order 48231?"),
    ("Is this product suitable for vegans?", "Is this product not suitable for vegans?"),
    ("List all customers who have paid", "List all customers who haven\N{RIGHT SINGLE QUOTATION MARK}t paid"),
    ("Is it allowed to park here?", "Isn't it allowed to park here?"),
    ("Recipe for pancakes with milk", "Recipe for pancakes without milk"),
    ("How do I enable two-factor authentication?", "How do I disable two-factor authentication?"),
    ("Is it safe while pregnant?", "Is it safe while breastfeeding?"),
    ("How do I undo the last git commit?", "How do I undo the last two git commits?"),
    ("Who is the president of France?", "Who was the first president of France?"),
    ("Ignore the order before and ship it", "ship it"),
    ("Ist das Restaurant offen?", "Ist das Restaurant nicht offen?"),
    ("\u4eca\u5929\u5929\u6c14", "\u660e\u5929\u5929\u6c14\u5982\u4f55"),
    ("Who is responsible for the budget of sales?", "Who in sales is responsible for the budget?"),
    ("", "What?"),
]
SAME = [
    ("What is the tallest mountain?", "what is the  tallest mountain"),
    ("Who wrote Pride and Prejudice?", "Who is the author of Pride and Prejudice?"),
    ("How long does delivery take?", "How many days until my package arrives?"),
    ("What is a mutex?", "Can you explain what a mutex is?"),
    ("Do you accept PayPal as payment?", "Can I pay with PayPal?"),
]


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_what_asks_for_something_else_differs(one, other):
    assert differ(one, other)
    assert differ(other, one)


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_is_said_in_other_words_does_not(one, other):
    assert not differ(one, other)
    assert not differ(other, one)
