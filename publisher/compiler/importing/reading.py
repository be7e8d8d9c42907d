"""A model's file, not larger than a model can be."""

import os
import stat
from pathlib import Path

from publisher.compiler.importing.bounds import MODEL_BYTES
from publisher.compiler.importing.refusing import refused


def read_model_untrusted(path: Path) -> bytes:
    """The bytes of a regular file that is not too large. Raises `ConfigurationError`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe without a writer does not keep it waiting
    except OSError as fault:
        raise refused(f"the model {path} cannot be read: {fault.strerror}") from None
    except ValueError:
        raise refused("the model's path has a null byte") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise refused(f"the model {path} is no regular file")
    with os.fdopen(descriptor, "rb") as file:
        if status.st_size > MODEL_BYTES:
            raise refused("the model is too large for ONNX", "bytes", f"at most {MODEL_BYTES}", status.st_size)
        return file.read(MODEL_BYTES)
