"""What the server promises to cost, measured beside the programs that do the same job.

    make bench    or    python -m bench [--quick] [NAME ...]

Every bench yields figures; a line shows ours, the peer's of the same run, their ratio and the
target. Refuses to compare with figures of another machine or another day.
"""
