% SPECIFICATION §6 Credentials and revocation
% The authority vouches for everybody. An honest agent of a fleet may run on any honest machine of it.
cnf(credentials, axiom,
    ( knows(T,sign(authority(F),credential(F,role(R),N,pk(key(F,R,N)),pk(kem(F,N)))))
    | ~ fleet(F)
    | ~ name(N) )).
cnf(enrolments_of_honest_agents, axiom,
    ( knows(T,sign(authority(F),enrolment(F,h(X),pk(chip(F,h(Y))))))
    | ~ fleet(F) )).
cnf(enrolments_of_other_agents, axiom,
    ( knows(T,sign(authority(F),enrolment(F,d(X),pk(chip(F,d(X))))))
    | ~ fleet(F) )).

% SPECIFICATION §7 "Challenge"
% The verifier V of F challenges N, as often as anybody likes: the I-th nonce in phase T.
cnf(the_verifier_challenges, axiom,
    ( knows(T,sign(key(F,verifier,V),said(aad(challenge,topic(F,challenge,N),pk(key(F,verifier,V)),N,nonce(F,V,N,I,T)),
        challenge_message(F,N,V,nonce(F,V,N,I,T),until(T)))))
    | ~ fleet(F)
    | ~ name(V)
    | ~ name(N) )).
cnf(nonces_are_remembered, axiom, open_nonce(F,V,N,nonce(F,V,N,I,T),T)).

% enclave(F, N, Chip, L, T): the L-th life of an enclave on Chip in phase T, started by its host as agent N of F.
% It answers a challenge of a verifier that its own fleet's authority vouches for.
cnf(the_enclave_believes_a_challenge, axiom,
    ( challenged(enclave(F,N,Chip,L,T),V,Nonce)
    | ~ knows(T,sign(authority(F@challenge_authority),credential(F@challenge_credential_fleet,role(verifier@challenge_role),V@challenge_verifier,pk(K),Kem)))
    | ~ knows(T,sign(K@challenge_signature,said(aad(challenge,topic(F@challenge_topic,challenge,N@challenge_topic),pk(K@challenge_sender),N@challenge_recipient,Nonce@challenge_correlation),
        challenge_message(F@challenge_fleet,N@challenge_agent,V@challenge_name,Nonce,until(T))))) )).

% SPECIFICATION §7 "Evidence"
% The chip signs report data for the measurement that it sees. Both keys are the enclave's own; the KEM key is new.
cnf(the_enclave_attests, axiom,
    ( knows(T,sign(signing(enclave(F,N,Chip,L,T)),
        said(aad(evidence,topic(F,evidence,N),pk(signing(enclave(F,N,Chip,L,T))),V,Nonce),
            evidence_message(F,N,Nonce,pk(signing(enclave(F,N,Chip,L,T))),pk(kem_of(enclave(F,N,Chip,L,T),for(V,Nonce,I))),
                sign(Chip,report(good,report_data(Nonce,V,pk(signing(enclave(F,N,Chip,L,T))),pk(kem_of(enclave(F,N,Chip,L,T),for(V,Nonce,I))),F,N)))))))
    | ~ challenged(enclave(F,N,Chip,L,T),V,Nonce) )).

cnf(the_chip_signs, axiom,
    ( knows(T,sign(Chip,report(good,report_data(Nonce,V,pk(signing(enclave(F,N,Chip,L,T))),pk(kem_of(enclave(F,N,Chip,L,T),for(V,Nonce,I))),F,N))))
    | ~ challenged(enclave(F,N,Chip,L,T),V,Nonce) )).

cnf(the_verifier_appraises, axiom,
    ( appraised(F,V,N,Nonce,pk(S),Kem,hardware,T)
    | ~ open_nonce(F,V,N,Nonce,T) %-[nonce_open]
    | ~ knows(T,sign(S@evidence_signature,said(aad(evidence,topic(F@evidence_topic,evidence,N@evidence_topic),pk(S@evidence_sender),V@evidence_recipient,Nonce@evidence_correlation),
            evidence_message(F@claims_fleet,N@claims_agent,Nonce@claims_nonce,pk(S),Kem,
                sign(Chip,report(good@measurement,report_data(Nonce@report_nonce,V@report_verifier,pk(S@report_signing_key),Kem@report_kem_key,F@report_fleet,N@report_agent)))))))
    | ~ knows(T,sign(authority(F@enrolment_authority),enrolment(F@enrolment_fleet,N@enrolment_agent,pk(Chip@enrolment_chip)))) )).

% The simulated TEE: of the same shape, and of a tier of its own.
cnf(the_verifier_appraises_simulation, axiom,
    ( appraised(F,V,N,Nonce,pk(S),Kem,simulated,T)
    | ~ open_nonce(F,V,N,Nonce,T)
    | ~ knows(T,sign(S,said(aad(evidence,topic(F,evidence,N),pk(S),V,Nonce),
            evidence_message(F,N,Nonce,pk(S),Kem,sign(simulated_chip(G,X),report(good,report_data(Nonce,V,pk(S),Kem,F,N))))))) )).

% SPECIFICATION §7 "Attestation result"
% The passport: both keys, the tier, and a lease that ends with the phase.
cnf(the_verifier_issues_a_passport, axiom,
    ( knows(T,sign(key(F,verifier,V),passport(F,N,pk(S),Kem,Tier,until(T))))
    | ~ appraised(F,V,N,Nonce,pk(S),Kem,Tier,T) )).

% Whoever relies on one: passport_holds(F, N, S, Kem, Tier, T) in the eyes of a party of F in phase T.
cnf(a_passport_is_checked, axiom,
    ( passport_holds(F,N,pk(S),Kem,Tier,T)
    | ~ knows(T,sign(authority(F@passport_authority),credential(F@passport_credential_fleet,role(verifier@passport_role),V,pk(K),Kem2)))
    | ~ knows(T,sign(K@passport_signature,passport(F@passport_fleet,N@passport_agent,pk(S),Kem,Tier,until(T@lease)))) )).
