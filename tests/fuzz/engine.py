"""Runs the target under libFuzzer (atheris), with the SIP core instrumented.

python -m tests.fuzz.engine [libFuzzer options] [corpora]
"""

import sys

import atheris

with atheris.instrument_imports(include=["sipis.sip"]):
    from tests.fuzz.target import check

atheris.Setup(sys.argv, check)
atheris.Fuzz()
