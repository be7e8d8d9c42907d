% The attacker is the broker and everything behind it: each message is handed to it, and each that a party receives
% comes from it. knows(T, X): it has X by the phase T. There are two phases, `past` and `now`; nothing known is forgotten.
% But for claims about what gets out later, the phases of knowledge are one: the attacker has everything at once.
%
% A variable stands for anything: any fleet F, party N, number I. Parties named h(X) are honest; what the attacker has of
% parties named d(X) stands in corruption.p. A fresh value (nonce, key, identifier, reading) is a function of who made it,
% of a number, and of what its maker believed about it: so a receiver that believes otherwise can be told.

%scenario phases: what gets out, gets out after `past`
cnf(what_was_known_stays_known, axiom, knows(now,X) | ~ knows(past,X)).

%scenario always
% Names, topics and public keys are no secrets. f is the fleet that claims are about.
cnf(fleet_of_ours, axiom, fleet(f)).
cnf(honest_names, axiom, name(h(X))).
cnf(other_names, axiom, name(d(X))).
cnf(own_models, axiom, model(own(X))).
cnf(common_models, axiom, model(common(X))).
cnf(fleets_are_public, axiom, knows(T,f)).
cnf(fleets_beside_it_are_public, axiom, knows(T,g)).
cnf(names_are_public, axiom, knows(T,h(X))).
cnf(other_names_are_public, axiom, knows(T,d(X))).
cnf(own_models_are_public, axiom, knows(T,own(X))).
cnf(common_models_are_public, axiom, knows(T,common(X))).
cnf(versions_are_public, axiom, knows(T,version(X,U))).
cnf(public_keys, axiom, knows(T,pk(K))).
cnf(own_values, axiom, knows(T,forged(X))).

% Structures of nothing but what is public: whoever has a key can sign them, with any content.
cnf(external_aad, axiom, knows(T,aad(Type,Topic,Sender,Recipient,Correlation))).
cnf(credentials_are_public, axiom, knows(T,credential(F,R,N,Key,Kem))).
cnf(enrolments_are_public, axiom, knows(T,enrolment(F,N,Chip))).
cnf(challenges_are_public, axiom, knows(T,challenge_message(F,N,V,Nonce,Times))).
cnf(reports_are_public, axiom, knows(T,report(Measurement,Data))).
cnf(passports_are_public, axiom, knows(T,passport(F,N,Key,Kem,Tier,Lease))).
cnf(manifests_are_public, axiom, knows(T,manifest(F,P,M,V,Digest))).
cnf(key_requests_are_public, axiom, knows(T,key_request_message(F,N,P,M,V,Digest,Id))).

% Structures with more in them: whoever has all parts has the whole. Where the parts of one that an honest party sends are
% secrets, or the whole is, both directions stand here.
cnf(makes_evidence, axiom, knows(T,evidence_message(F,N,Nonce,Key,Kem,Quote)) | ~ knows(T,Quote)).
cnf(makes_grants, axiom, knows(T,grant(F,N,M,V,Id,Key,Lease)) | ~ knows(T,Key) | ~ knows(T,Lease)).
cnf(reads_keys_in_grants, axiom, knows(T,Key) | ~ knows(T,grant(F,N,M,V,Id,Key,Lease))).
cnf(reads_leases_in_grants, axiom, knows(T,Lease) | ~ knows(T,grant(F,N,M,V,Id,Key,Lease))).
cnf(makes_openings, axiom, knows(T,opening_message(F,N,Id,S,M,Secret,Credential,Passport)) | ~ knows(T,Secret) | ~ knows(T,Credential)).
cnf(reads_secrets_in_openings, axiom, knows(T,Secret) | ~ knows(T,opening_message(F,N,Id,S,M,Secret,Credential,Passport))).
cnf(makes_accepts, axiom, knows(T,accept_message(Id,M,V,Window)) | ~ knows(T,Window)).
cnf(reads_accepts, axiom, knows(T,Window) | ~ knows(T,accept_message(Id,M,V,Window))).
cnf(makes_requests, axiom, knows(T,request_message(Id,Input,Salt)) | ~ knows(T,Input) | ~ knows(T,Salt)).
cnf(reads_inputs, axiom, knows(T,Input) | ~ knows(T,request_message(Id,Input,Salt))).
cnf(reads_salts, axiom, knows(T,Salt) | ~ knows(T,request_message(Id,Input,Salt))).
cnf(makes_results, axiom, knows(T,result_message(Output,Salt,Receipt)) | ~ knows(T,Output) | ~ knows(T,Salt) | ~ knows(T,Receipt)).
cnf(reads_outputs, axiom, knows(T,Output) | ~ knows(T,result_message(Output,Salt,Receipt))).
cnf(reads_salts_of_outputs, axiom, knows(T,Salt) | ~ knows(T,result_message(Output,Salt,Receipt))).
cnf(reads_receipts, axiom, knows(T,Receipt) | ~ knows(T,result_message(Output,Salt,Receipt))).
cnf(makes_receipts, axiom, knows(T,receipt(F,N,Request,Id,M,V,Input,Output,Key,Tier)) | ~ knows(T,Input) | ~ knows(T,Output)).
cnf(reads_inputs_of_receipts, axiom, knows(T,Input) | ~ knows(T,sign(K,receipt(F,N,Request,Id,M,V,Input,Output,Key,Tier)))).
cnf(reads_outputs_of_receipts, axiom, knows(T,Output) | ~ knows(T,sign(K,receipt(F,N,Request,Id,M,V,Input,Output,Key,Tier)))).

% SPECIFICATION §3 Algorithms and keys
% sign(K, M): M beside a signature over it by K. What an honest party signs and is not public, it also says by itself.
cnf(signs, axiom, knows(T,sign(K,M)) | ~ knows(T,K) | ~ knows(T,M)).
cnf(signs_messages, axiom, knows(T,sign(K,said(Aad,M))) | ~ knows(T,K) | ~ knows(T,M)).

% seal(pk(K), Info, M): HPKE in base mode. Anybody seals; nothing says who did.
cnf(seals, axiom, knows(T,seal(P,Info,M)) | ~ knows(T,M)).
cnf(opens_seals, axiom, knows(T,M) | ~ knows(T,seal(pk(K),Info,M)) | ~ knows(T,K)).

% aead(K, Aad, M): AES-256-GCM with external_aad.
cnf(encrypts, axiom, knows(T,aead(K,Aad,M)) | ~ knows(T,K) | ~ knows(T,M)).
cnf(decrypts, axiom, knows(T,M) | ~ knows(T,aead(K,Aad,M)) | ~ knows(T,K)).

% HKDF; the label says the direction.
cnf(derives, axiom, knows(T,hkdf(Secret,Session,Direction)) | ~ knows(T,Secret)).

% SPECIFICATION §10 "Receipt"
% SHA-256 over salt and value. A reading is one of few: who has the commitment and the salt, tries them all.
cnf(commits, axiom, knows(T,commitment(Salt,X)) | ~ knows(T,Salt) | ~ knows(T,X)).
cnf(guesses_readings, axiom, knows(T,reading(F,S,N,M,C,J,Q,U)) | ~ knows(T,commitment(Salt,reading(F,S,N,M,C,J,Q,U))) | ~ knows(T,Salt)).
%+[salt] cnf(salts_are_known, axiom, knows(T,salt(F,S,N,M,C,J,Q,U))).
cnf(guesses_outputs, axiom, knows(T,output(M,X)) | ~ knows(T,commitment(Salt,output(M,X))) | ~ knows(T,Salt)).

% What a module answers, anybody computes who has the module and the input.
cnf(computes, axiom, knows(T,output(Module,Input)) | ~ knows(T,Module) | ~ knows(T,Input)).
