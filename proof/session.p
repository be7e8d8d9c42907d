% SPECIFICATION §9 "Opening"
% The sensor S opens its J-th session of phase T with agent N, for model M, with results for the consumer C. The secret
% is 32 random bytes; who holds it is told by what stands in it.
cnf(the_sensor_believes_a_passport, axiom,
    ( opens(F,S,N,M,C,J,pk(Key),Kem,T)
    | ~ passport_holds(F,N,pk(Key),Kem,hardware@tier_of_session,T)
    | ~ name(S)
    | ~ model(M)
    | ~ name(C) )).

cnf(the_opening_is_sent, axiom,
    ( knows(T,sign(key(F,sensor,S),said(aad(opening,topic(F,openings,N),pk(key(F,sensor,S)),N,session_id(S,J,T)),
        seal(Kem,aad(opening,topic(F,openings,N),pk(key(F,sensor,S)),N,session_id(S,J,T)),
            opening_message(F,N,session_id(S,J,T),S,M,secret(F,S,N,M,C,J,Kem,T),
                sign(authority(F),credential(F,role(consumer),C,pk(key(F,consumer,C)),pk(kem(F,C)))),
                passport(F,N,pk(Key),Kem,hardware,until(T)))))))
    | ~ opens(F,S,N,M,C,J,pk(Key),Kem,T) )).
cnf(the_seal_is_read_by_all_too, axiom,
    ( knows(T,seal(Kem,aad(opening,topic(F,openings,N),pk(key(F,sensor,S)),N,session_id(S,J,T)),
            opening_message(F,N,session_id(S,J,T),S,M,secret(F,S,N,M,C,J,Kem,T),
                sign(authority(F),credential(F,role(consumer),C,pk(key(F,consumer,C)),pk(kem(F,C)))),
                passport(F,N,pk(Key),Kem,hardware,until(T)))))
    | ~ opens(F,S,N,M,C,J,pk(Key),Kem,T) )).

cnf(the_enclave_opens_a_session, axiom,
    ( session(enclave(F,N,Chip,L,T),I,S,pk(K),Id,M,V,Module,Secret,C,Consumer)
    | ~ passport_holds(F,N,pk(signing(enclave(F,N,Chip,L,T))),pk(kem_of(enclave(F,N,Chip,L,T),I)),hardware,T)
    | ~ loaded(enclave(F,N,Chip,L,T),I2,P,M,V,Module)
    | ~ knows(T,sign(authority(F@opening_authority),credential(F@opening_credential_fleet,role(sensor@opening_role),S@opening_reply_to,pk(K),Kem2)))
    | ~ knows(T,sign(K@opening_signature,said(aad(opening,topic(F@opening_topic,openings,N@opening_topic),pk(K@opening_sender),N@opening_recipient,Id@opening_correlation),
            seal(pk(kem_of(enclave(F,N,Chip,L,T),I)),aad(opening,topic(F@opening_seal_topic,openings,N@opening_seal_topic),pk(K@opening_seal_sender),N@opening_seal_recipient,Id@opening_seal_correlation),
                opening_message(F@opening_fleet,N@opening_agent,Id@opening_session,S,M,Secret,
                    sign(authority(F@consumer_authority),credential(F@consumer_credential_fleet,role(consumer@consumer_role),C,ConsumerKey,Consumer)),
                    passport(F,N,pk(signing(enclave(F,N,Chip,L,T)))@opening_passport,pk(kem_of(enclave(F,N,Chip,L,T),I))@opening_passport,hardware,until(T)))))))
    )).

% SPECIFICATION §9 "Accept"
cnf(the_enclave_accepts, axiom,
    ( knows(T,aead(hkdf(Secret,Id,direction(reply)),aad(accept,topic(F,inbox,S),Id,S,Id),accept_message(Id,M,V,window(enclave(F,N,Chip,L,T),S,Id,M,V))))
    | ~ session(enclave(F,N,Chip,L,T),I,S,Key,Id,M,V,Module,Secret,C,Consumer) )).

cnf(the_sensor_is_accepted, axiom,
    ( established(F,S,N,M,V,Window,C,J,Key,Kem,T)
    | ~ opens(F,S,N,M,C,J,Key,Kem,T)
    | ~ knows(T,aead(hkdf(secret(F,S,N,M,C,J,Kem,T),session_id(S,J,T),direction(reply)),
            aad(accept,topic(F,inbox,S),session_id(S,J,T),S,session_id(S,J,T)),accept_message(session_id(S,J,T)@accept_session,M@accept_model,V,Window))) )).

% SPECIFICATION §9 "Request"
% The Q-th request of a session, with a reading that nobody else has.
cnf(the_sensor_asks, axiom,
    ( knows(T,aead(hkdf(secret(F,S,N,M,C,J,Kem,T),session_id(S,J,T),direction(request)),
        aad(request,topic(F,request,N),session_id(S,J,T),N,request_of(S,J,Q,T)),
        request_message(request_of(S,J,Q,T),reading(F,S,N,M,C,J,Q,T),salt(F,S,N,M,C,J,Q,T))))
    | ~ established(F,S,N,M,V,Window,C,J,Key,Kem,T) )).

cnf(the_enclave_computes, axiom,
    ( computed(enclave(F,N,Chip,L,T),I,S,Key,Id,Secret,M,V,Request,Salt,Input,output(Module,Input),C,Consumer)
    | ~ session(enclave(F,N,Chip,L,T),I,S,Key,Id,M,V,Module,Secret,C,Consumer)
    | ~ knows(T,aead(hkdf(Secret,Id,direction(request)),
            aad(request,topic(F,request,N),Id@request_session,N,Request@request_aad_correlation),request_message(Request@request_id,Input,Salt))) )).
