% SPECIFICATION §8 "Manifest"
% The publisher P of F signs what a version of its model M is. module(...) is the module, its digest stands for it.
cnf(the_publisher_signs_manifests, axiom,
    ( knows(T,sign(key(F,publisher,P),manifest(F,P,M,version(W,T),digest(module(F,P,M,version(W,T))))))
    | ~ fleet(F)
    | ~ name(P)
    | ~ model(M) )).

% SPECIFICATION §8 "Chunks"
% Retained on the broker, under the content key of the version.
cnf(the_publisher_publishes_chunks, axiom,
    ( knows(T,aead(content_key(F,P,M,version(W,T)),aad(chunk,M,F,none,version(W,T)),module(F,P,M,version(W,T))))
    | ~ fleet(F)
    | ~ name(P)
    | ~ model(M) )).

% SPECIFICATION §8 "Key request"
% An enclave that holds a passport asks the publisher that a manifest names; the J-th request.
cnf(the_enclave_asks, axiom,
    ( asked(enclave(F,N,Chip,L,T),I,P,M,W,Digest,request_id(enclave(F,N,Chip,L,T),P,M,W,J))
    | ~ passport_holds(F,N,pk(signing(enclave(F,N,Chip,L,T))),pk(kem_of(enclave(F,N,Chip,L,T),I)),Tier,T)
    | ~ knows(T,sign(authority(F@manifest_authority),credential(F@manifest_credential_fleet,role(publisher@manifest_role),P@manifest_publisher,pk(K),Kem)))
    | ~ knows(T,sign(K@manifest_signature,manifest(F@manifest_fleet,P,M,W,Digest))) )).

cnf(the_request_is_sent, axiom,
    ( knows(T,sign(signing(enclave(F,N,Chip,L,T)),
        said(aad(key_request,topic(F,model_key,M),pk(signing(enclave(F,N,Chip,L,T))),P,Id),
            key_request_message(F,N,P,M,W,Digest,Id))))
    | ~ asked(enclave(F,N,Chip,L,T),I,P,M,W,Digest,Id) )).

% The publisher lends `own` models to the agents of its list alone, those named h(X); `common` ones to every agent.
% It releases the newest version alone: that of the phase.
cnf(the_newest_version, axiom, newest(version(W,T),T)).
cnf(own_models_are_lent_to_some, axiom, lends(own(X),h(Y))).
cnf(common_models_are_lent_to_all, axiom, lends(common(X),N)).

cnf(the_publisher_releases, axiom,
    ( released(F,P,N,M,version(W,U),Id,Kem,T)
    | ~ passport_holds(F,N@request_passport_agent,pk(S),Kem,hardware@tier_of_release,T)
    | ~ knows(T,sign(S@request_signature,said(aad(key_request,topic(F@request_topic,model_key,M@request_topic),pk(S@request_sender),P@request_recipient,Id@request_correlation),
            key_request_message(F@request_fleet,N@request_agent,P@request_publisher,M,version(W,U),Digest,Id))))
    | ~ newest(version(W,U),T) %-[newest_version]
    | ~ lends(M,N) %-[list_of_agents]
    )).

% SPECIFICATION §8 "Key release"
% Sealed to the passport's KEM key. lent(...) stands for what the publisher writes into the grant: a lease of its own.
cnf(the_release_is_sent, axiom,
    ( knows(T,sign(key(F,publisher,P),said(aad(key_release,topic(F,inbox,N),pk(key(F,publisher,P)),N,Id),
        seal(Kem,aad(key_release,topic(F,inbox,N),pk(key(F,publisher,P)),N,Id),
            grant(F,N,M,V,Id,content_key(F,P,M,V),lent(F,P,N,M,V,Id))))))
    | ~ released(F,P,N,M,V,Id,Kem,T) )).

cnf(the_seal_is_read_by_all, axiom,
    ( knows(T,seal(Kem,aad(key_release,topic(F,inbox,N),pk(key(F,publisher,P)),N,Id),
            grant(F,N,M,V,Id,content_key(F,P,M,V),lent(F,P,N,M,V,Id))))
    | ~ released(F,P,N,M,V,Id,Kem,T) )).

cnf(the_enclave_believes_a_release, axiom,
    ( lent_to(enclave(F,N,Chip,L,T),I,P,M,V,Digest,Id,Key,Lease)
    | ~ asked(enclave(F,N,Chip,L,T),I,P,M,V,Digest,Id) %-[release_asked]
    | ~ knows(T,sign(authority(F@release_authority),credential(F@release_credential_fleet,role(publisher@release_role),P@release_publisher,pk(K),Kem2)))
    | ~ knows(T,sign(K@release_signature,said(aad(key_release,topic(F@release_topic,inbox,N@release_topic),pk(K@release_sender),N@release_recipient,Id@release_correlation),
            seal(pk(kem_of(enclave(F,N,Chip,L,T),I)),aad(key_release,topic(F@release_seal_topic,inbox,N@release_seal_topic),pk(K@release_seal_sender),N@release_seal_recipient,Id@release_seal_correlation),
                grant(F@grant_fleet,N@grant_agent,M@grant_model,V@grant_version,Id@grant_request,Key,Lease))))) )).

% The module is decrypted with the key and compared with the manifest.
cnf(the_enclave_loads_the_module, axiom,
    ( loaded(enclave(F,N,Chip,L,T),I,P,M,V,Module)
    | ~ lent_to(enclave(F,N,Chip,L,T),I,P,M,V,digest(Module@manifest_digest),Id,Key,Lease)
    | ~ knows(T,aead(Key,aad(chunk,M@chunk_model,F@chunk_fleet,none,V@chunk_version),Module)) )).
