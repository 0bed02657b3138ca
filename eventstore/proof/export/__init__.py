"""The export bundle (docs/spec/export.md) read and checked. Pure: an export encloses these modules as its verifier."""
