"""A model that tells malignant from benign breast tumours by 30 measurements of cell nuclei: 30-16-1, in C.

The data are scikit-learn's (Wisconsin diagnostic breast cancer, 569 patients). `build.build` trains and compiles;
`build.held_out` gives the patients that the training never saw.
"""
