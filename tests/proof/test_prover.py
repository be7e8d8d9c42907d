"""What the theorem prover says of the protocol: claims hold, stories are possible, bindings are needed."""

import pytest

from proof import prover
from proof.model import problem, questions
from proof.prover import ProverError, Verdict, ask
from proof.removals import removals, unneeded

needs_eprover = pytest.mark.skipif(not prover.found(), reason="no eprover (Debian: eprover)")
SECONDS = 120
CLAIMS = [name for name, question in questions().items() if question.claimed]
STORIES = [name for name, question in questions().items() if not question.claimed]
ALONE = [(name, mark) for name, removal in removals().items() if len(removal.marks) > 1 for mark in removal.marks]


@needs_eprover
def test_a_claim_holds_and_fails_without_the_nonce() -> None:
    question = questions()["evidence_agreement"]
    assert ask(problem(question), SECONDS).verdict is Verdict.IMPOSSIBLE
    assert ask(problem(question, frozenset({"report_nonce"})), SECONDS).verdict is Verdict.POSSIBLE


@needs_eprover
def test_clauses_that_are_none_are_an_error() -> None:
    with pytest.raises(ProverError, match="eprover"):
        ask("cnf(a, axiom, p(X.", SECONDS)


@pytest.mark.slow
@needs_eprover
def test_a_prover_that_runs_out_of_time_has_proven_nothing() -> None:
    endless = "cnf(a,axiom,p(X,s(X))).cnf(b,axiom,p(X,Z)|~p(X,Y)|~p(Y,Z)).cnf(c,negated_conjecture,~p(c,c)).\n"
    assert ask(endless, 1).verdict is Verdict.UNKNOWN


@pytest.mark.slow
@needs_eprover
@pytest.mark.parametrize("name", CLAIMS)
def test_no_run_violates_a_claim(name: str) -> None:
    assert ask(problem(questions()[name]), SECONDS).verdict is Verdict.IMPOSSIBLE


@pytest.mark.slow
@needs_eprover
@pytest.mark.parametrize("name", STORIES)
def test_what_honest_parties_do_is_possible(name: str) -> None:
    assert ask(problem(questions()[name]), SECONDS).verdict is Verdict.POSSIBLE


@pytest.mark.slow
@needs_eprover
@pytest.mark.parametrize("name", removals())
def test_a_claim_fails_without_a_binding(name: str) -> None:
    removal = removals()[name]
    assert ask(problem(questions()[removal.breaks], removal.marks), SECONDS).verdict is Verdict.POSSIBLE


@pytest.mark.slow
@needs_eprover
@pytest.mark.parametrize(("name", "mark"), sorted(ALONE))
def test_of_what_is_bound_several_times_each_alone_is_enough(name: str, mark: str) -> None:
    removal = removals()[name]
    problem_with_one = problem(questions()[removal.breaks], removal.marks - {mark})
    assert ask(problem_with_one, SECONDS).verdict is Verdict.IMPOSSIBLE


@pytest.mark.slow
@needs_eprover
@pytest.mark.parametrize("name", CLAIMS)
def test_what_no_removal_names_is_not_what_a_claim_rests_on(name: str) -> None:
    question = questions()[name]
    assert ask(problem(question, unneeded(question)), SECONDS).verdict is Verdict.IMPOSSIBLE
