"""From a model of any format to a `.tflite` that is proven to compute the same.

One file per source format opens a model and converts it (`table.CONVERTERS`), one per exact rewrite
(`rewrites.table.REWRITES`), one per thing that can be written (`outputs.OUTPUTS`). All of it runs
in a child process with limits of time and memory; `run` is the parent's side, `child` the child's.
"""
