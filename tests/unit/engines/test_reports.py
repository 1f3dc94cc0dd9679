"""Reports of calls on their way through a server that keeps the last one only."""

from perdure.engines.temporal.reports import _WHOLE, Heard, Report


def taken(report, *texts, at=0):
    for text in texts:
        report.take({"text": text, "at": at})
        at += len(text)
    return report.shown()


def test_the_last_report_is_shown_and_goes_with_the_answer():
    report = Report("/do/0/a", "/do/0/a")
    assert report.shown() is report.last() is None
    report.take({"percent": 10})
    report.take({"percent": 20})
    assert report.shown() == report.last() == [2, "/do/0/a", "/do/0/a", {"percent": 20}]
    assert report.changed.is_set()


def test_a_text_that_comes_in_pieces_is_shown_whole():
    report = Report("p", "r")
    assert taken(report, "one ", "two ", "three")[3] == {"text": "one two three", "at": 0}
    assert report.last() is None, "the answer has it"
    assert taken(report, "again")[3] == {"text": "again", "at": 0}, "the request was made anew"


def test_of_a_long_text_its_end_is_shown():
    report = Report("p", "r")
    shown = taken(report, "x" * _WHOLE, "y" * 10)[3]
    assert (len(shown["text"]), shown["at"] + len(shown["text"])) == (16_000, _WHOLE + 10)
    assert shown["text"].endswith("xy" + "y" * 9)


def test_a_piece_after_one_that_was_never_reported_stands_for_itself():
    report = Report("p", "r")
    assert taken(report, "late", at=7)[3] == {"text": "late", "at": 7}


def test_who_watches_is_told_what_is_new():
    heard = Heard()
    assert heard.news("c", 1, {"text": "one ", "at": 0}) == {"text": "one ", "at": 0}
    assert heard.news("c", 1, {"text": "one ", "at": 0}) is None
    assert heard.news("c", 5, {"text": "one two three", "at": 0}) == {"text": "two three", "at": 4}
    assert heard.news("c", 6, {"text": "three four", "at": 8}) == {"text": " four", "at": 13}
    assert heard.news("c", 9, {"text": "nine", "at": 90}) is None, "what is missing comes with the answer"
    assert heard.news("d", 1, {"half": True}) == {"half": True}


def test_another_attempt_counts_anew():
    heard = Heard()
    assert heard.news("c", 3, {"text": "one two", "at": 0}) == {"text": "one two", "at": 0}
    assert heard.news("c", 2, {"text": "one two", "at": 0}) is None, "it says the same"
    assert heard.news("c", 4, {"text": "one two three", "at": 0}) == {"text": " three", "at": 7}
    assert heard.news("c", 1, {"text": "four", "at": 0}) == {"text": "four", "at": 0}, "it says something else"
