% What is taken once. after(What, History): the history of one nonce, session or request can come about. That one taking
% answers one asking, and so each agreement of the other parts is injective, is the sum of both: those say what is
% taken was asked with this very nonce or identifier, and these that the same is not taken twice.
cnf(nothing_was_taken_yet, axiom, after(What,nothing)).
cnf(the_first, axiom, first(nothing)).

% SPECIFICATION §7 "Evidence"
% The nonce is consumed, whatever comes of the evidence.
cnf(the_verifier_takes_evidence, axiom,
    ( after(nonce(X),taken(Evidence,Before))
    | ~ after(nonce(X),Before)
    | ~ first(Before) %-[nonce_consumed]
    )).

% SPECIFICATION §8 "Key release"
% An answered key request is not open any more.
cnf(the_enclave_takes_a_release, axiom,
    ( after(key_request(X),taken(Release,Before))
    | ~ after(key_request(X),Before)
    | ~ first(Before) %-[release_consumed]
    )).

% SPECIFICATION §9 "Opening"
% A session id was never opened here.
cnf(the_enclave_takes_an_opening, axiom,
    ( after(session(X),taken(Opening,Before))
    | ~ after(session(X),Before)
    | ~ first(Before) %-[session_id_once]
    )).

% SPECIFICATION §9 "Request"
% The request id is the idempotency key; the sequence number is new.
cnf(the_enclave_takes_a_request, axiom,
    ( after(request(Session,X),taken(Request,Before))
    | ~ after(request(Session,X),Before)
    | ~ first(Before) %-[request_id_once]
    )).

% SPECIFICATION §10 "Receipt"
% A consumer hands over each (sender, request) once.
cnf(the_consumer_takes_a_result, axiom,
    ( after(result(Sender,X),taken(Result,Before))
    | ~ after(result(Sender,X),Before)
    | ~ first(Before) %-[result_once]
    )).
