"""What a recurrent node says about itself: directions, functions, and how its tensors lie."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node
from publisher.compiler.step import Step, literal

FUNCTIONS: Final[Mapping[str, tuple[str, tuple[float, ...]]]] = {
    "affine": ("AFFINE", (1.0, 0.0)),
    "elu": ("ELU", (1.0,)),
    "hardsigmoid": ("HARD_SIGMOID", (0.2, 0.5)),
    "leakyrelu": ("LEAKY_RELU", (0.01,)),
    "relu": ("RELU", ()),
    "scaledtanh": ("SCALED_TANH", (1.0, 1.0)),
    "sigmoid": ("SIGMOID", ()),
    "softplus": ("SOFTPLUS", ()),
    "softsign": ("SOFTSIGN", ()),
    "tanh": ("TANH", ()),
    "thresholdedrelu": ("THRESHOLDED_RELU", (1.0,)),
}
"""By ONNX's names in small letters: kernels/recurrent.h's, and the defaults of alpha and beta where it has them."""

_DEFAULTS: Final = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_GATES: Final = {"LSTM": 4, "GRU": 3, "RNN": 1}


@dataclass(frozen=True, slots=True)
class Form:
    """Sizes and strides in elements. `backwards` and `functions` have one entry a direction.

    layout 0: X [steps, batch, inputs], Y [steps, directions, batch, hidden], states [directions, batch, hidden];
    layout 1: X [batch, steps, inputs], Y [batch, steps, directions, hidden], states [batch, directions, hidden].
    """

    operator: str
    steps: int
    batch: int
    inputs: int
    hidden: int
    batch_first: bool
    backwards: tuple[bool, ...]
    functions: tuple[tuple[str, ...], ...]
    clip: float

    @property
    def gates(self) -> int:
        """How many gates a unit has."""
        return _GATES[self.operator]

    @property
    def directions(self) -> int:
        """One or two."""
        return len(self.backwards)

    @property
    def padded(self) -> int:
        """Units, filled up to a multiple of four."""
        return -(-self.hidden // 4) * 4

    @property
    def row_strides(self) -> tuple[int, int]:
        """How many rows of X the next step is away, and the next sequence."""
        return (1, self.steps) if self.batch_first else (self.batch, 1)

    @property
    def y_strides(self) -> tuple[int, int, int]:
        """Of Y: to the next step, sequence and direction."""
        if self.batch_first:
            step = self.directions * self.hidden
            return step, self.steps * step, self.hidden
        return self.directions * self.batch * self.hidden, self.hidden, self.batch * self.hidden

    @property
    def state_strides(self) -> tuple[int, int]:
        """Of the states: to the next sequence and direction."""
        return (
            (self.directions * self.hidden, self.hidden)
            if self.batch_first
            else (self.hidden, self.batch * self.hidden)
        )


def form_of(node: Node, step: Step) -> Form:
    """What the node says. Raises `UnsupportedError` and, where shapes or words are impossible, `ConfigurationError`."""
    x, recurrent = step.value(node.inputs[0]), step.value(node.inputs[2])
    if x.dtype != "float32":
        raise UnsupportedError(node.operator, f"of {x.dtype} is not known", "export the model in float32")
    if (len(x.shape), len(recurrent.shape)) != (3, 3):
        raise ConfigurationError(f"{node.operator} is of three dimensions, and so are its weights")
    batch_first = bool(node.integer("layout", 0))
    first, second, inputs = x.shape
    steps, batch = (second, first) if batch_first else (first, second)
    directions, hidden = recurrent.shape[0], recurrent.shape[2]
    clip = node.number("clip", float("inf"))
    form = Form(
        *(node.operator, steps, batch, inputs, hidden, batch_first),
        *(_backwards(node), tuple(_functions(node)), clip if clip > 0 else float("inf")),
    )
    _check(node, step, form, directions)
    return form


def _check(node: Node, step: Step, form: Form, directions: int) -> None:
    rows, state = form.gates * form.hidden, (form.batch, form.directions, form.hidden)
    if not form.batch_first:
        state = (form.directions, form.batch, form.hidden)
    expected = {
        1: (form.directions, rows, form.inputs),
        2: (form.directions, rows, form.hidden),
        3: (form.directions, 2 * rows),
        4: (form.batch,),
        5: state,
        6: state,
        7: (form.directions, 3 * form.hidden),
    }
    given = {number: step.value(node.inputs[number]) for number in expected if node.has(number)}
    wrong = [k for k, each in given.items() if each.shape != expected[k]]
    wrong += [k for k, each in given.items() if each.dtype != ("int32" if k == 4 else "float32")]
    if directions != form.directions or node.integer("hidden_size", form.hidden) != form.hidden or wrong:
        raise ConfigurationError(f"{node.operator}: the shapes or types of its inputs do not fit one another")


def _backwards(node: Node) -> tuple[bool, ...]:
    known = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
    direction = node.text("direction", "forward")
    if direction not in known:
        raise ConfigurationError(f"{node.operator} has the directions {', '.join(known)}")
    return known[direction]


def _functions(node: Node) -> Iterator[tuple[str, ...]]:
    """For each direction the C of its functions: `(struct function){TANH, 0.0f, 0.0f}`."""
    default = _DEFAULTS[node.operator]
    directions = len(_backwards(node))
    names = node.texts("activations") or default * directions
    # ONNX's default of an RNN is two functions, also for one direction.
    if len(names) < len(default) * directions:
        raise ConfigurationError(f"{node.operator} has {len(default)} activation(s) for each direction")
    alphas, betas = (iter(node.numbers(f"activation_{word}")) for word in ("alpha", "beta"))
    made = []
    for name in names[: len(default) * directions]:
        if name.lower() not in FUNCTIONS:
            raise UnsupportedError(node.operator, "has an activation that is not known", f"use {', '.join(FUNCTIONS)}")
        kind, defaults = FUNCTIONS[name.lower()]
        # Each function takes the next of the values, if it has use for one.
        alpha = next(alphas, defaults[0]) if defaults else 0.0
        beta = next(betas, defaults[1]) if len(defaults) > 1 else 0.0
        made.append(f"{{{kind}, {literal(float(alpha))}, {literal(float(beta))}}}")
    for number in range(directions):
        yield tuple(made[number * len(default) : (number + 1) * len(default)])
