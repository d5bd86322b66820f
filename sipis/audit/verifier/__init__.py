"""Checks receipts and exports of the transparency log, without trusting who wrote them.

Python's standard library and the `openssl` program, nothing of the server: `sipis audit verifier`
packs this folder into one file that an auditor takes away.

    python verify.pyz --key KEYFILE RECEIPT.tlog-proof     one deletion
    python verify.pyz FOLDER                               a whole export

Refuses to be lenient: what it does not know is a finding.
"""
