"""Ours as the `stalls` scenario has it, and the switch of the detector."""

from benchmarks.stalls.contestants import ALL

OURS = ALL[0]
SWITCH = "OBSERVABILITY__STALLS"
