% Who is on the attacker's side from the beginning, and what gets out later.

% SPECIFICATION §1 Parties
% Of fleets named d(X), the authority is the attacker.
cnf(other_fleets, axiom, knows(T,authority(d(X)))).

% SPECIFICATION §6 Credentials and revocation
% A fleet's sensors, consumers and publishers named d(X) are the attacker. For them the authority signs any key that they
% bring, also one of somebody else.
cnf(sensors_can_be_lawless, axiom, lawless(sensor)).
cnf(consumers_can_be_lawless, axiom, lawless(consumer)).
cnf(publishers_can_be_lawless, axiom, lawless(publisher)).
cnf(lawless_keys, axiom, knows(T,key(F,R,d(X))) | ~ lawless(R)).
cnf(lawless_kem_keys, axiom, knows(T,kem(F,d(X)))).
cnf(lawless_credentials, axiom,
    ( knows(T,sign(authority(F),credential(F,role(R),d(X),pk(K),pk(K2))))
    | ~ fleet(F)
    | ~ lawless(R) )).

% A name is a party's in its role alone: the attacker is consumers that are named like others.
cnf(a_consumer_named_like_a_publisher, axiom, knows(T,sign(authority(F),credential(F,role(consumer),h(p),pk(K),pk(K2)))) | ~ fleet(F)).
cnf(a_consumer_named_like_a_sensor, axiom, knows(T,sign(authority(F),credential(F,role(consumer),h(s),pk(K),pk(K2)))) | ~ fleet(F)).
cnf(a_consumer_named_like_a_verifier, axiom, knows(T,sign(authority(F),credential(F,role(consumer),h(v),pk(K),pk(K2)))) | ~ fleet(F)).

% The authority of f has another fleet besides, where every party is the attacker.
cnf(credentials_of_the_same_authority, axiom, knows(T,sign(authority(f),credential(g,role(R),N,pk(K),pk(K2))))).
cnf(enrolments_of_the_same_authority, axiom, knows(T,sign(authority(f),enrolment(g,N,pk(K))))).

% SPECIFICATION §7 "Evidence"
% Chips of agents named d(X) are broken: their keys, and those of all enclaves on them, are known. They are enrolled
% like any other.
cnf(broken_chips, axiom, knows(T,chip(F,d(X)))).
cnf(signing_keys_on_broken_chips, axiom, knows(T,signing(enclave(F,N,chip(G,d(X)),L,T)))).
cnf(kem_keys_on_broken_chips, axiom, knows(T,kem_of(enclave(F,N,chip(G,d(X)),L,T),I))).

% Every other chip signs for any software that its owner runs, over any report data: for this measurement only.
cnf(other_software_on_genuine_chips, axiom, knows(T,sign(chip(F,N),report(other_software,Data)))).

% The simulated TEE's key lies on the agent's disk, with the agent's owner.
cnf(simulated_chips, axiom, knows(T,simulated_chip(F,N))).

%scenario former_enclaves: what enclaves held whose lease has ended gets out, on whatever chip
cnf(former_signing_keys, axiom, knows(now,signing(enclave(F,N,C,L,past)))).
cnf(former_kem_keys, axiom, knows(now,kem_of(enclave(F,N,C,L,past),I))).

%scenario lawless_verifier: verifiers named d(X) are the attacker, in every fleet
cnf(verifiers_can_be_lawless, axiom, lawless(verifier)).

%scenario phases: afterwards every key that is kept gets out, the authority's too
cnf(lasting_keys, axiom, knows(now,key(F,R,N))).
cnf(lasting_authorities, axiom, knows(now,authority(F))).
cnf(lasting_chips, axiom, knows(now,chip(F,N))).
cnf(former_signing_keys_too, axiom, knows(now,signing(enclave(F,N,C,L,past)))).
