"""The rules on expressions, templates, URIs and durations: valid, and using only what is offered where they stand.

Language.md 1.1 (arguments), T12 and T21 (variables), T29 and T30 (text around expressions), 5.5 (secrets).
"""

import re
from collections.abc import Callable

from perdure.language import durations, expressions, templates, uri_templates
from perdure.language.expressions import ExpressionFault
from perdure.language.grammar.table import ARGUMENTS
from perdure.language.rules.report import Report, nearest, shown
from perdure.language.rules.survey import Scope, Site, Survey

_bare_path = re.compile(r"\.[A-Za-z_][A-Za-z0-9_.\[\]\"]*\Z")
_bare_variable = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)[A-Za-z0-9_.\[\]\"]*\Z")
_quoted = re.compile(r'"(?:[^"\\]|\\.)*"')
_iteration = re.compile(r"(?<=[\w.\])\"?])\[\]")
_grouped = re.compile(r"\([^()]*\)|\{[^{}]*\}|\[[^\[\]]*\]")
_MANY = "\0"
_computed = re.compile(r"/(?:if|while|when|exceptWhen|until|for/in|correlate/[^/]+/from)\Z")
_compared = re.compile(r"/(?:to|on|until)/(?:one|(?:all|any)/\d+)/(?:with/[^/]+|correlate/[^/]+/expect)\Z")
_ONE_OUTPUT = re.compile(r"\b(reduce|foreach|def|label|empty|if|try)\b|\?//")


def check_expressions(survey: Survey, report: Report, *, loose: bool, declared: frozenset[str]) -> None:
    """Checks every site; `declared` are the names in use.secrets, `loose` is evaluate.mode (A6)."""
    offers: dict[Scope, frozenset[str]] = {}
    for site in survey.sites:
        scope = site.scope
        if scope not in offers:
            offers[scope] = ARGUMENTS[scope.row] | (scope.variables if scope.row != "event" else frozenset())
        try:
            used = _secrets(site, offers[scope], report, loose=loose)
        except ExpressionFault as fault:
            code = "uri" if "uri" in site.form and templates.whole(site.text) is None else "expression"
            report.error(code, site.pointer, _placed(fault, "text" if code == "uri" else "expression"), fault.hint)
            continue
        for name in sorted(used - declared):
            message = f"The secret '{shown(name)}' is not declared."
            hint = nearest(name, declared) or f"Add it: use: {{ secrets: [ {name} ] }}."
            report.error("undeclared-secret", site.pointer, message, hint)


def _placed(fault: ExpressionFault, what: str) -> str:
    """What is wrong and where; faults of the syntax say the place themselves."""
    sentence = fault.message.rstrip(".")
    if fault.offset is None or "at character" in sentence:
        return sentence + "."
    return f"{sentence} (at character {fault.offset + 1} of the {what})."


def _secrets(site: Site, offered: frozenset[str], report: Report, *, loose: bool) -> frozenset[str]:
    """The secrets that a site uses. ExpressionFault when it is wrong."""
    if site.form == "template":
        return _template(site, offered, report, loose=loose)
    return _FORMS[site.form](site, offered, report)


def _field(site: Site, offered: frozenset[str], report: Report) -> frozenset[str]:
    compiled = templates.compile_field(site.text, offered)
    if compiled.secrets and (site.form == "duration" or _computed.search(site.pointer)):
        raise _closed()
    _lint_outputs(compiled.source, site, report)
    return compiled.secrets


def _wrapped(site: Site, offered: frozenset[str], report: Report) -> frozenset[str]:
    if "${" not in site.text:
        raise ExpressionFault("An expression in ${ } is expected here.", hint=f"Write ${{ {shown(site.text)} }}.")
    return _field(site, offered, report)


def _template(site: Site, offered: frozenset[str], report: Report, *, loose: bool) -> frozenset[str]:
    if "${" not in site.text:
        if loose:
            return templates.compile_template(site.text, offered, "loose").secrets
        _lint_bare(site, offered, report)
        return frozenset()
    compiled = templates.compile_template(site.text, offered, "loose" if loose else "strict")
    if compiled.secrets and _compared.search(site.pointer):
        raise _closed()
    source = templates.whole(site.text)
    if source is not None:
        _lint_outputs(source, site, report)
    return compiled.secrets


def _closed() -> ExpressionFault:
    """5.5: a secret stays closed until a function opens it, so it cannot decide or measure anything."""
    return ExpressionFault("A secret cannot stand here: nothing can be computed or compared with one.")


def _uri(site: Site, offered: frozenset[str], report: Report) -> frozenset[str]:
    if site.text.lstrip().startswith("${"):
        return _field(site, offered, report)
    return _uri_template(site, offered, report)


def _fixed_uri(site: Site, offered: frozenset[str], report: Report) -> frozenset[str]:
    _uri_template(site, offered, report)
    if uri_templates.variables(site.text):
        raise ExpressionFault("A fixed URI is expected here: it is fetched when the workflow is published.")
    return frozenset()


def _uri_template(site: Site, _offered: frozenset[str], _report: Report) -> frozenset[str]:
    if not site.text.strip():
        raise ExpressionFault("A URI is expected here, not an empty text.")
    if templates.whole(site.text) is not None:
        raise ExpressionFault("A fixed URI is expected here, not an expression.")
    uri_templates.variables(site.text)
    return frozenset()


def _duration(site: Site, offered: frozenset[str], report: Report) -> frozenset[str]:
    if "${" in site.text:
        return _field(site, offered, report)
    try:
        durations.milliseconds(site.text)
    except ValueError as error:
        report.error("duration", site.pointer, str(error))
    return frozenset()


_FORMS: dict[str, Callable[[Site, frozenset[str], Report], frozenset[str]]] = {
    "field": _field,
    "wrapped": _wrapped,
    "uri": _uri,
    "uri-template": _uri_template,
    "fixed-uri": _fixed_uri,
    "duration": _duration,
}


def _lint_bare(site: Site, offered: frozenset[str], report: Report) -> None:
    """A template that is a bare path or variable is kept as text, which is seldom meant (T31)."""
    variable = _bare_variable.match(site.text)
    if not _bare_path.match(site.text) and (variable is None or variable.group(1) not in offered):
        return
    try:
        expressions.parse(site.text, offered)
    except ExpressionFault:
        return
    message = f"'{shown(site.text)}' stays a text here: only texts in ${{ }} are evaluated."
    report.lint("looks-like-expression", site.pointer, message, f"Write ${{ {shown(site.text)} }}.", at_key=False)


def _lint_outputs(source: str, site: Site, report: Report) -> None:
    """Of several outputs the first counts (T32): a comma or an iteration outside of any bracket may give several."""
    text = _quoted.sub('""', source)
    if _ONE_OUTPUT.search(text):
        return
    previous, text = "", _iteration.sub(_MANY, text)
    while previous != text:
        previous, text = text, _grouped.sub("_", text)
    if _MANY in text or "," in text:
        hint = "Collect them in [ ], or take one with first( )."
        message = "The expression may give several outputs; only the first counts."
        report.lint("several-outputs", site.pointer, message, hint, at_key=False)
