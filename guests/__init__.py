"""Models in C that run in the enclave, each with what builds it. README.md states how a module is called."""
