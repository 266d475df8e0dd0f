"""Compiled loops, written in Python as LLVM IR.

A kernel is a Python function that writes formulas over vectors; called once, it emits the code of a function, which
LLVM compiles for the processor at hand. Every sum has a fixed order, and a product is fused into a sum only where `fma`
says so. So the results are the same, bit for bit, on every processor and for every length of its vectors.
"""
