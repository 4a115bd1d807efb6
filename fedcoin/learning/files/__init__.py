"""Read and write the files in which people have weights and data.

This folder decides which formats are read, by which names arrays are found in them, and what may be
changed on reading (each change is said in a remark). It knows no model: the names and shapes of a
model's weights are given to it.

* `file_kinds`: which format a file has, and the name of what is not read.
* `array_files`: opens a file of named arrays, whatever its format, and writes one.
* `stored_arrays`: the arrays of an open file, listed before they are read, and the limits.
* `npz_format`, `safetensors_format`, `torch_format`, `hdf5_format`, `artifact_format`: one module
  for each format.
* `weight_names`: finds a model's weights by name or position.
* `examples`, `labels`: find inputs and labels by the names that people give them.
* `targets`: labels, numbers to predict or ids of tokens, as the measure takes them.
* `table_files`: CSV and Parquet.
"""
