"""How many answers of the benchmark's models are right, and that each is compared with what it should be."""

import numpy as np
import pytest

from bench import models_accuracy
from bench.models_packages import brain
from bench.models_subjects import first
from bench.models_timed import Built, wide_runtime
from protocol.errors import ConfigurationError

pytestmark = pytest.mark.slow


def test_a_subject_is_compared_with_what_it_should_be() -> None:
    runtime = wide_runtime()
    built = Built(first(), runtime)
    assert built.max_error() < 1e-6
    assert built.reference_error() < 1e-6
    runtime.close()


@pytest.mark.parametrize(
    "name", ["patients_right", "brains_right", "speech_right", "faces_right", "digits_right", "coffee"]
)
def test_as_many_answers_are_right_as_are_asked(name: str) -> None:
    runtime = wide_runtime()
    try:
        row = getattr(models_accuracy, name)(runtime)
    except (ConfigurationError, ImportError) as missing:
        pytest.skip(str(missing))
    finally:
        runtime.close()
    assert row.met, row


def test_eeg_is_means_of_the_signals() -> None:
    try:
        inputs, labels = brain("TEST")
    except ConfigurationError as missing:
        pytest.skip(str(missing))
    assert (inputs.shape, inputs.dtype, labels.shape) == ((293, 168), np.float32, (293,))
    assert 0.4 < labels.mean() < 0.6
