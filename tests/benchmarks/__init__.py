"""`make bench`: measures the figures of docs/promises/performance.md.

`targets` lists the figures and prints the tables; `__main__` runs everything. `routes`,
`cold_start`, `tables` and `memory` each measure some of them. The measured code runs like the
deployed package, in separate processes: `runtimes` starts them, `worker` and `restored` run in
them, and `tutorial` is the server for comparison. All figures are medians of CPU time unless they
say otherwise. Both sides of a comparison are measured in turns, so that other work on the machine
slows both alike.
"""
