"""Proofs and exports made: from the tables of the proof, for those who check them offline."""
