"""Tests of the embedded PostgreSQL server; every test runs real servers."""
