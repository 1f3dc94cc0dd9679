"""The language as data: every shape of a document, its fields, their kinds and their row of the specification."""
