"""The paper's claim in miniature: what a policy learns from raw and from purified rollouts, everything else equal.

    make reproduce                                     # the core table: at most two hours on two cores
    python -m benchmarks.reproduction run --more       # further arms
    python -m benchmarks.reproduction report           # docs/reproduction.md and its plots, from the results file

`arms` says what is compared, `runs` runs it, `results` is the file of all numbers, `report` reads nothing else.
"""
