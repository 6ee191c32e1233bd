"""`make bench`: measures the figures of docs/promises/performance.md.

`targets` lists the figures and prints the table; `__main__` runs everything. `routes`,
`cold_start`, `tables` and `memory` each measure some of them. What is measured runs as the deployed
package does, in processes of its own: `runtimes` makes those, `worker` is what runs in them,
`tutorial` the server that ours is compared with. All figures are medians of CPU time unless they
say otherwise, and what is compared is measured in turns, since other work on the machine then slows
both sides alike.
"""
