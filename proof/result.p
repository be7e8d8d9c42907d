% SPECIFICATION §10 "Receipt"
% Signed by the enclave's key: who asked, what was computed, by which model. Input and output are commitments.
cnf(the_enclave_makes_a_result, axiom,
    ( made(enclave(F,N,Chip,L,T),S,Id,Secret,Request,C,Consumer,
        result_message(Output,output_salt(enclave(F,N,Chip,L,T),Secret,Request),
            sign(signing(enclave(F,N,Chip,L,T)),receipt(F,N,Request,Id,M,V,commitment(Salt,Input),commitment(output_salt(enclave(F,N,Chip,L,T),Secret,Request),Output),Key,hardware)))
    )
    | ~ computed(enclave(F,N,Chip,L,T),I,S,Key,Id,Secret,M,V,Request,Salt,Input,Output,C,Consumer) )).

% SPECIFICATION §9 "Reply"
cnf(the_enclave_replies, axiom,
    ( knows(T,aead(hkdf(Secret,Id,direction(reply)),aad(reply,topic(F,inbox,S),Id,S,Request),Result))
    | ~ made(enclave(F,N,Chip,L,T),S,Id,Secret,Request,C,Consumer,Result) )).

% The sensor compares with what it asked: its own session, request, key, model and reading.
cnf(the_sensor_believes_a_reply, axiom,
    ( answered(F,S,N,M,C,J,Q,V2,Output,T)
    | ~ established(F,S,N,M,V,Window,C,J,pk(Signing),Kem,T)
    | ~ knows(T,aead(hkdf(secret(F,S,N,M,C,J,Kem,T),session_id(S,J,T),direction(reply)),
            aad(reply,topic(F,inbox,S),session_id(S,J,T),S,request_of(S,J,Q,T)@reply_correlation),
            result_message(Output,Salt,
                sign(Signing@reply_signature,receipt(F@reply_fleet,N@reply_agent,request_of(S,J,Q,T)@reply_request,session_id(S,J,T)@reply_session,M@reply_model,V2,
                    commitment(salt(F,S,N,M,C,J,Q,T),reading(F,S,N,M,C,J,Q,T))@reply_input,commitment(Salt,Output)@reply_output,pk(key(F,sensor,S))@reply_sender,hardware))))) )).

% SPECIFICATION §10 "To consumers"
% A result key for the session, sealed to the consumer; neither says who sealed.
cnf(the_result_key_is_sealed, axiom,
    ( knows(T,seal(Consumer,result_info(F,Id),result_key(enclave(F,N,Chip,L,T),Secret,Id)))
    | ~ made(enclave(F,N,Chip,L,T),S,Id,Secret,Request,C,Consumer,Result) )).
cnf(the_result_is_delivered, axiom,
    ( knows(T,aead(result_key(enclave(F,N,Chip,L,T),Secret,Id),aad(result,topic(F,inbox,C),Id,none,Request),Result))
    | ~ made(enclave(F,N,Chip,L,T),S,Id,Secret,Request,C,Consumer,Result) )).

% The consumer C of F. Lease: what it takes from a passport whose lease has ended is not claimed.
cnf(the_consumer_believes_a_result, axiom,
    ( consumed(F,C,N,M,V,Request,Key,Input,Output,T)
    | ~ passport_holds(F,N@result_passport_agent,pk(Signing),Kem,hardware@tier_of_result,T)
    | ~ knows(T,seal(pk(kem(F,C)),result_info(F@result_fleet,Id@result_session),ResultKey))
    | ~ knows(T,aead(ResultKey,aad(result,topic(F@result_topic,inbox,C@result_topic),Id@result_session,none,Request@result_correlation),
            result_message(Output,Salt,
                sign(Signing@receipt_signature,receipt(F@receipt_fleet,N@receipt_agent,Request,Session,M,V,Input,commitment(Salt,Output)@receipt_output,Key,hardware))))) )).

% SPECIFICATION §10 "Offline"
% A receipt bundle, by somebody who has nothing but the authority's key.
cnf(a_receipt_is_checked_offline, axiom,
    ( proven(F,N,M,V,Request,Key,Input,Output,T)
    | ~ passport_holds(F,N@bundle_passport_agent,pk(Signing),Kem,hardware,T)
    | ~ knows(T,sign(Signing@bundle_signature,receipt(F@bundle_fleet,N@bundle_agent,Request,Session,M,V,Input,Output,Key,hardware))) )).
