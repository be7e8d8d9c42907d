% What sessions take from attestation and key release, instead of the whole of both. It is what is proven there.

% SPECIFICATION §6 Credentials and revocation
cnf(credentials, axiom,
    ( knows(T,sign(authority(F),credential(F,role(R),N,pk(key(F,R,N)),pk(kem(F,N)))))
    | ~ fleet(F)
    | ~ name(N) )).

% SPECIFICATION §7 "Attestation result"
% By evidence_agreement and attested_keys_private: an honest agent's passport names both keys of one enclave of its, on an
% honest machine of its fleet, in this phase. Other passports name any keys.
cnf(passports_of_honest_agents, axiom,
    ( passport_holds(F,h(X),pk(signing(enclave(F,h(X),chip(F,h(Y)),L,T))),pk(kem_of(enclave(F,h(X),chip(F,h(Y)),L,T),I)),hardware,T)
    | ~ fleet(F) )).
cnf(passports_of_other_agents, axiom, passport_holds(F,d(X),pk(K),pk(K2),Tier,T)).
cnf(passports_of_other_fleets, axiom, passport_holds(d(X),N,pk(K),pk(K2),Tier,T)).
cnf(passports_of_simulated_agents, axiom, passport_holds(F,N,pk(K),pk(K2),simulated,T)).

% SPECIFICATION §8 "Key release"
% By module_agreement: an honest publisher's model is its module; another's is any module.
cnf(modules_of_honest_publishers, axiom, loaded(enclave(F,N,Chip,L,T),I,h(P),M,version(W,U),module(F,h(P),M,version(W,U)))).
cnf(modules_of_other_publishers, axiom, loaded(enclave(F,N,Chip,L,T),I,d(P),M,V,Module) | ~ knows(T,Module)).
