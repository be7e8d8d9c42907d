% What is claimed. Of each, the ways in which it could be violated; it holds if none of them can come about. f is any fleet
% whose authority is honest, h(...) are honest parties of it; `one` and `two`, `a` and `b` stand for any that differ.
cnf(numbers_differ, axiom, differs(one,two)).
cnf(names_differ, axiom, differs(h(a),h(b))).
cnf(honest_is_not_dishonest, axiom, differs(h(X),d(Y))).
cnf(fleets_differ, axiom, differs(f,g)).
cnf(other_fleets_differ, axiom, differs(f,d(X))).
cnf(sensors_differ, axiom, differs(h(s),h(z))).
cnf(consumers_differ, axiom, differs(h(c),h(z))).
cnf(models_differ, axiom, differs(own(X),common(Y))).
cnf(own_models_differ, axiom, differs(own(one),own(two))).
cnf(versions_differ, axiom, differs(version(one,T),version(two,U))).
cnf(the_past_is_another_phase, axiom, differs(now,past)).

%part release: attacker corruption attestation release

%claim content_key_secret | §8 "Key release" | P1 | former_enclaves | Nobody but agents of the publisher's list learns the key of a version
cnf(v, axiom, violated | ~ knows(now,content_key(f,h(p),own(m),version(W,now)))).

%claim module_secret | §8 "Chunks" | P1 | former_enclaves | Nor the module
cnf(v, axiom, violated | ~ knows(now,module(f,h(p),own(m),version(W,now)))).

%part result: attacker corruption interface session result

%claim reading_secret | §9 "Request" | P1 | former_enclaves | A reading is known to its sensor and the agent's enclave alone, whoever gets results
cnf(v, axiom, violated | ~ knows(now,reading(f,h(s),h(a),M,C,J,Q,now))).

%claim session_secret | §9 "Opening" | P1 | former_enclaves | So is the secret of a session
cnf(v, axiom, violated | ~ knows(now,secret(f,h(s),h(a),M,C,J,Kem,now))).

%claim result_secret | §10 "To consumers" | P1 | former_enclaves | A result is known to sensor, enclave and the session's consumer, whatever the module
cnf(v, axiom, violated | ~ knows(now,output(Module,reading(f,h(s),h(a),M,h(c),J,Q,now)))).

%part attestation: attacker corruption attestation

%claim attested_keys_private | §7 "Attestation result" | P5 | former_enclaves | No passport of an honest agent names a key that the attacker has
cnf(v, axiom, violated | ~ appraised(f,h(v),h(a),Nonce,pk(X),Kem,hardware,now) | ~ knows(now,X)).
cnf(v, axiom, violated | ~ appraised(f,h(v),h(a),Nonce,S,pk(X),hardware,now) | ~ knows(now,X)).

%claim evidence_agreement | §7 "Evidence" | P5 | former_enclaves | Who is appraised is one enclave of this fleet, agent, phase, and a machine of the fleet: both keys are its own
cnf(v, axiom, violated | ~ appraised(f,h(v),h(a),Nonce,pk(signing(enclave(F,N,Chip,L,T))),Kem,hardware,now) | ~ differs(f,F)).
cnf(v, axiom, violated | ~ appraised(f,h(v),h(a),Nonce,pk(signing(enclave(F,N,Chip,L,T))),Kem,hardware,now) | ~ differs(h(a),N)).
cnf(v, axiom, violated | ~ appraised(f,h(v),h(a),Nonce,pk(signing(enclave(F,N,Chip,L,T))),Kem,hardware,now) | ~ differs(now,T)).
cnf(v, axiom, violated | ~ appraised(f,h(v),h(a),Nonce,pk(signing(enclave(F,N,Chip,one,T))),pk(kem_of(enclave(G,A,Chip2,two,U),I)),hardware,now)).
cnf(v, axiom, violated | ~ appraised(f,h(v),h(a),Nonce,pk(signing(enclave(F,N,chip(G,X),L,T))),Kem,hardware,now) | ~ differs(f,G)).

%claim evidence_freshness | §7 "Evidence" | P4 | lawless_verifier | It answered this verifier and this nonce, which the verifier chose for it
cnf(v, axiom, violated | ~ appraised(f,h(v),h(a),nonce(f,h(v),h(a),one,now),S,pk(kem_of(E,for(V,nonce(f,h(v),h(a),two,T),I))),hardware,now)).
cnf(v, axiom, violated | ~ appraised(f,h(v),h(a),nonce(f,h(v),h(a),one,now),S,pk(kem_of(E,for(V,nonce(f,h(v),N,one,T),I))),hardware,now) | ~ differs(h(a),N)).
cnf(v, axiom, violated | ~ appraised(f,h(v),h(a),nonce(f,h(v),h(a),one,now),S,pk(kem_of(E,for(V,nonce(f,h(v),h(a),one,now),I))),hardware,now) | ~ differs(h(v),V)).
cnf(v, axiom, violated | ~ appraised(f,h(v),h(a),forged(X),S,Kem,hardware,now)).

%claim challenge_agreement | §7 "Challenge" | P4 | - | What an enclave answers, a verifier of its fleet chose for its agent
cnf(v, axiom, violated | ~ challenged(enclave(f,h(a),Chip,L,now),V,forged(X))).
cnf(v, axiom, violated | ~ challenged(enclave(f,h(a),Chip,L,now),V,nonce(F,W,N,I,T)) | ~ differs(f,F)).
cnf(v, axiom, violated | ~ challenged(enclave(f,h(a),Chip,L,now),V,nonce(F,W,N,I,T)) | ~ differs(h(a),N)).
cnf(v, axiom, violated | ~ challenged(enclave(f,h(a),Chip,L,now),h(v),nonce(F,d(W),N,I,T))).
cnf(v, axiom, violated | ~ challenged(enclave(f,h(a),Chip,L,now),d(v),nonce(F,h(W),N,I,T))).

%part release: attacker corruption attestation release

%claim newest_version_released | §8 "Key request" | P8 | former_enclaves | No key of an older version is released
cnf(v, axiom, violated | ~ released(f,h(p),N,M,version(W,past),Id,Kem,now)).

%claim key_request_agreement | §8 "Key request" | P3 | former_enclaves | A key is released for what an enclave of the agent asked, to that enclave's KEM key
cnf(v, axiom, violated | ~ released(f,h(p),h(a),M,V,forged(X),Kem,now)).
cnf(v, axiom, violated | ~ released(f,h(p),h(a),M,V,request_id(enclave(F,N,Chip,L,T),P,O,W,J),Kem,now) | ~ differs(h(a),N)).
cnf(v, axiom, violated | ~ released(f,h(p),h(a),M,V,request_id(enclave(F,N,Chip,L,T),P,O,W,J),Kem,now) | ~ differs(now,T)).
cnf(v, axiom, violated | ~ released(f,h(p),h(a),M,V,request_id(enclave(F,N,Chip,L,T),P,O,W,J),Kem,now) | ~ differs(h(p),P)).
cnf(v, axiom, violated | ~ released(f,h(p),h(a),M,V,request_id(enclave(F,N,Chip,L,T),P,O,W,J),Kem,now) | ~ differs(M,O)).
cnf(v, axiom, violated | ~ released(f,h(p),h(a),M,V,request_id(enclave(F,N,Chip,L,T),P,O,W,J),Kem,now) | ~ differs(V,W)).
cnf(v, axiom, violated | ~ released(f,h(p),h(a),M,V,request_id(enclave(F,N,Chip,one,T),P,O,W,J),pk(kem_of(enclave(G,A,Chip2,two,U),I)),now)).

%claim key_release_agreement | §8 "Key release" | P3 | former_enclaves | The lease that an enclave believes, its manifest's publisher wrote for this request, agent, model and version
cnf(v, axiom, violated | ~ lent_to(enclave(f,h(a),chip(f,h(x)),L,now),I,h(p),M,V,Digest,Id,Key,forged(X))).
cnf(v, axiom, violated | ~ lent_to(enclave(f,h(a),chip(f,h(x)),L,now),I,h(p),M,V,Digest,Id,Key,lent(F,P,N,O,W,Id2)) | ~ differs(f,F)).
cnf(v, axiom, violated | ~ lent_to(enclave(f,h(a),chip(f,h(x)),L,now),I,h(p),M,V,Digest,Id,Key,lent(F,P,N,O,W,Id2)) | ~ differs(h(p),P)).
cnf(v, axiom, violated | ~ lent_to(enclave(f,h(a),chip(f,h(x)),L,now),I,h(p),M,V,Digest,Id,Key,lent(F,P,N,O,W,Id2)) | ~ differs(h(a),N)).
cnf(v, axiom, violated | ~ lent_to(enclave(f,h(a),chip(f,h(x)),L,now),I,h(p),M,V,Digest,Id,Key,lent(F,P,N,O,W,Id2)) | ~ differs(M,O)).
cnf(v, axiom, violated | ~ lent_to(enclave(f,h(a),chip(f,h(x)),L,now),I,h(p),M,V,Digest,Id,Key,lent(F,P,N,O,W,Id2)) | ~ differs(V,W)).

%claim key_release_freshness | §8 "Key release" | P3 | former_enclaves | And for this very request, not for one before it
cnf(v, axiom, violated | ~ lent_to(enclave(f,h(a),chip(f,h(x)),L,now),I,h(p),M,V,Digest,request_id(enclave(f,h(a),chip(f,h(x)),L,now),h(p),M,V,one),Key,lent(f,P,N,O,W,request_id(E2,P2,O2,W2,two)))).

%claim module_agreement | §8 "Manifest" | P8 | former_enclaves | What an enclave runs as a version of a publisher's model is that module
cnf(v, axiom, violated | ~ loaded(enclave(f,h(a),chip(f,h(x)),L,now),I,h(p),M,V,forged(X))).
cnf(v, axiom, violated | ~ loaded(enclave(f,h(a),chip(f,h(x)),L,now),I,h(p),M,V,module(F,P,O,W)) | ~ differs(f,F)).
cnf(v, axiom, violated | ~ loaded(enclave(f,h(a),chip(f,h(x)),L,now),I,h(p),M,V,module(F,P,O,W)) | ~ differs(h(p),P)).
cnf(v, axiom, violated | ~ loaded(enclave(f,h(a),chip(f,h(x)),L,now),I,h(p),M,V,module(F,P,O,W)) | ~ differs(M,O)).
cnf(v, axiom, violated | ~ loaded(enclave(f,h(a),chip(f,h(x)),L,now),I,h(p),M,V,module(F,P,O,W)) | ~ differs(V,W)).

%part session: attacker corruption interface session

%claim forward_secrecy | §17 | P1 | phases | A reading of the past stays secret if later every lasting key gets out, and no KEM key of an enclave
cnf(v, axiom, violated | ~ knows(now,reading(f,h(s),h(a),M,C,J,Q,past))).
cnf(v, axiom, violated | ~ knows(now,secret(f,h(s),h(a),M,C,J,Kem,past))).

%claim session_agreement | §9 "Opening" | P2 | former_enclaves | A session of a sensor is one that it opened: with this agent and enclave, for this model and consumer
cnf(v, axiom, violated | ~ session(enclave(f,h(a),chip(f,h(x)),L,now),I,h(s),Key,Id,M,V,Module,forged(X),C,Consumer)).
cnf(v, axiom, violated | ~ session(enclave(f,h(a),chip(f,h(x)),L,now),I,h(s),Key,Id,M,V,Module,secret(F,S,N,O,D,J,Kem,T),C,Consumer) | ~ differs(h(s),S)).
cnf(v, axiom, violated | ~ session(enclave(f,h(a),chip(f,h(x)),L,now),I,h(s),Key,Id,M,V,Module,secret(F,S,N,O,D,J,Kem,T),C,Consumer) | ~ differs(f,F)).
cnf(v, axiom, violated | ~ session(enclave(f,h(a),chip(f,h(x)),L,now),I,h(s),Key,Id,M,V,Module,secret(F,S,N,O,D,J,Kem,T),C,Consumer) | ~ differs(h(a),N)).
cnf(v, axiom, violated | ~ session(enclave(f,h(a),chip(f,h(x)),L,now),I,h(s),Key,Id,M,V,Module,secret(F,S,N,O,D,J,Kem,T),C,Consumer) | ~ differs(M,O)).
cnf(v, axiom, violated | ~ session(enclave(f,h(a),chip(f,h(x)),L,now),I,h(s),Key,Id,M,V,Module,secret(F,S,N,O,D,J,Kem,T),C,Consumer) | ~ differs(D,C)).
cnf(v, axiom, violated | ~ session(enclave(f,h(a),chip(f,h(x)),L,now),I,h(s),Key,session_id(S2,two,T2),M,V,Module,secret(F,S,N,O,D,one,Kem,T),C,Consumer)).
cnf(v, axiom, violated | ~ session(enclave(f,h(a),chip(f,h(x)),L,now),I,h(s),Key,Id,M,V,Module,Secret,h(c),pk(X)) | ~ knows(now,X)).
cnf(v, axiom, violated | ~ session(enclave(f,h(a),chip(f,h(x)),L,now),I,R,Key,Id,M,V,Module,secret(f,h(s),h(a),O,D,J,Kem,now),C,Consumer) | ~ differs(h(s),R)).

%claim accept_agreement | §9 "Accept" | P2 | former_enclaves | A session that a sensor takes for accepted, the agent's enclave accepted, as this session, for this model
cnf(v, axiom, violated | ~ established(f,h(s),h(a),M,V,forged(X),C,J,Key,Kem,now)).
cnf(v, axiom, violated | ~ established(f,h(s),h(a),M,V,window(enclave(F,N,Chip,L,T),S,Id,O,W),C,J,Key,Kem,now) | ~ differs(h(a),N)).
cnf(v, axiom, violated | ~ established(f,h(s),h(a),M,V,window(enclave(F,N,Chip,L,T),S,Id,O,W),C,J,Key,Kem,now) | ~ differs(h(s),S)).
cnf(v, axiom, violated | ~ established(f,h(s),h(a),M,V,window(enclave(F,N,Chip,L,T),S,Id,O,W),C,J,Key,Kem,now) | ~ differs(M,O)).
cnf(v, axiom, violated | ~ established(f,h(s),h(a),M,V,window(enclave(F,N,Chip,L,T),S,session_id(S2,two,U),O,W),C,one,Key,Kem,now)).

%claim request_agreement | §9 "Request" | P2 | former_enclaves | What an enclave computes for a sensor, the sensor asked: this reading, under this id, in this session, for this model
cnf(v, axiom, violated | ~ computed(enclave(f,h(a),chip(f,h(x)),L,now),I,h(s),Key,Id,Secret,M,V,Request,Salt,forged(X),Output,C,Consumer)).
cnf(v, axiom, violated | ~ computed(enclave(f,h(a),chip(f,h(x)),L,now),I,h(s),Key,Id,Secret,M,V,Request,Salt,reading(F,S,N,O,D,J,Q,T),Output,C,Consumer) | ~ differs(h(s),S)).
cnf(v, axiom, violated | ~ computed(enclave(f,h(a),chip(f,h(x)),L,now),I,h(s),Key,Id,Secret,M,V,Request,Salt,reading(F,S,N,O,D,J,Q,T),Output,C,Consumer) | ~ differs(h(a),N)).
cnf(v, axiom, violated | ~ computed(enclave(f,h(a),chip(f,h(x)),L,now),I,h(s),Key,Id,Secret,M,V,Request,Salt,reading(F,S,N,O,D,J,Q,T),Output,C,Consumer) | ~ differs(M,O)).
cnf(v, axiom, violated | ~ computed(enclave(f,h(a),chip(f,h(x)),L,now),I,h(s),Key,Id,Secret,M,V,request_of(S2,J2,two,T2),Salt,reading(F,S,N,O,D,J,one,T),Output,C,Consumer)).
cnf(v, axiom, violated | ~ computed(enclave(f,h(a),chip(f,h(x)),L,now),I,h(s),Key,session_id(S2,two,T2),Secret,M,V,Request,Salt,reading(F,S,N,O,D,one,Q,T),Output,C,Consumer)).

%part result: attacker corruption interface session result

%claim reply_agreement | §10 "Receipt" | P2 | former_enclaves | What a sensor takes for the answer, the agent's enclave computed from this very reading by the version it names
cnf(v, axiom, violated | ~ answered(f,h(s),h(a),M,C,J,Q,V,forged(X),now)).
cnf(v, axiom, violated | ~ answered(f,h(s),h(a),M,C,J,Q,V,output(Module,forged(X)),now)).
cnf(v, axiom, violated | ~ answered(f,h(s),h(a),M,C,J,Q,V,output(Module,reading(F,S,N,O,D,K,R,T)),now) | ~ differs(h(s),S)).
cnf(v, axiom, violated | ~ answered(f,h(s),h(a),M,C,J,Q,V,output(Module,reading(F,S,N,O,D,K,R,T)),now) | ~ differs(h(a),N)).
cnf(v, axiom, violated | ~ answered(f,h(s),h(a),M,C,J,one,V,output(Module,reading(F,S,N,O,D,K,two,T)),now)).
cnf(v, axiom, violated | ~ answered(f,h(s),h(a),M,C,one,Q,V,output(Module,reading(F,S,N,O,D,two,R,T)),now)).
cnf(v, axiom, violated | ~ answered(f,h(s),h(a),M,C,J,Q,V,output(module(f,h(p),O,W),Input),now) | ~ differs(M,O)).
cnf(v, axiom, violated | ~ answered(f,h(s),h(a),M,C,J,Q,V,output(module(f,h(p),O,W),Input),now) | ~ differs(V,W)).

%claim result_agreement | §10 "To consumers" | P2 | former_enclaves | What a consumer takes for a sensor's result, the agent's enclave computed from that sensor's reading
cnf(v, axiom, violated | ~ consumed(f,h(c),h(a),M,V,Request,pk(key(f,sensor,h(s))),Input,forged(X),now)).
cnf(v, axiom, violated | ~ consumed(f,h(c),h(a),M,V,Request,pk(key(f,sensor,h(s))),Input,output(Module,forged(X)),now)).
cnf(v, axiom, violated | ~ consumed(f,h(c),h(a),M,V,Request,pk(key(f,sensor,h(s))),Input,output(Module,reading(F,S,N,O,C,J,Q,T)),now) | ~ differs(h(s),S)).
cnf(v, axiom, violated | ~ consumed(f,h(c),h(a),M,V,Request,pk(key(f,sensor,h(s))),Input,output(Module,reading(F,S,N,O,C,J,Q,T)),now) | ~ differs(h(a),N)).
cnf(v, axiom, violated | ~ consumed(f,h(c),h(a),M,V,Request,pk(key(f,sensor,h(s))),Input,output(Module,reading(F,S,N,O,C,J,Q,T)),now) | ~ differs(M,O)).
cnf(v, axiom, violated | ~ consumed(f,h(c),h(a),M,V,request_of(S2,J2,two,T2),pk(key(f,sensor,h(s))),Input,output(Module,reading(F,S,N,O,C,J,one,T)),now)).

%claim receipt_agreement | §10 "Offline" | P10 | former_enclaves | A receipt with the agent's name is of its enclave, and of an answer of a module
cnf(v, axiom, violated | ~ proven(f,h(a),M,V,Request,Key,Input,commitment(Salt,forged(X)),now)).
cnf(v, axiom, violated | ~ proven(f,h(a),M,V,Request,pk(key(f,sensor,h(s))),Input,commitment(Salt,output(Module,forged(X))),now)).
cnf(v, axiom, violated | ~ proven(f,h(a),M,V,Request,pk(key(f,sensor,h(s))),Input,commitment(Salt,output(Module,reading(F,S,N,O,C,J,Q,T))),now) | ~ differs(h(a),N)).

%part once: once

%claim nonce_once | §7 "Evidence" | P4 | - | A nonce is answered once
cnf(v, axiom, violated | ~ after(nonce(X),taken(Y,taken(Z,Before)))).

%claim release_once | §8 "Key release" | P7 | - | A key request is answered once
cnf(v, axiom, violated | ~ after(key_request(X),taken(Y,taken(Z,Before)))).

%claim session_once | §9 "Opening" | P7 | - | A session is opened once
cnf(v, axiom, violated | ~ after(session(X),taken(Y,taken(Z,Before)))).

%claim request_once | §9 "Request" | P7 | - | A request is computed once in a session
cnf(v, axiom, violated | ~ after(request(W,X),taken(Y,taken(Z,Before)))).

%claim result_once | §10 "Receipt" | P7 | - | A consumer hands a result over once
cnf(v, axiom, violated | ~ after(result(W,X),taken(Y,taken(Z,Before)))).

%part attestation: attacker corruption attestation

%story passport_issued | An honest agent gets a passport
cnf(v, axiom, violated | ~ appraised(f,h(v),h(a),nonce(f,h(v),h(a),I,now),pk(signing(enclave(f,h(a),chip(f,h(a)),L,now))),Kem,hardware,now)).

%story simulation_affirmed | A simulated one too, of its own tier
cnf(v, axiom, violated | ~ passport_holds(f,h(a),S,Kem,simulated,now)).

%part release: attacker corruption attestation release

%story module_loaded | A key is released, a module loaded
cnf(v, axiom, violated | ~ loaded(enclave(f,h(a),chip(f,h(a)),L,now),I,h(p),own(m),version(W,now),module(f,h(p),own(m),version(W,now)))).

%part result: attacker corruption interface session result

%story reading_answered | A reading is answered
cnf(v, axiom, violated | ~ answered(f,h(s),h(a),own(m),h(c),one,one,version(W,now),output(module(f,h(p),own(m),version(W,now)),reading(f,h(s),h(a),own(m),h(c),one,one,now)),now)).

%story result_delivered | A consumer gets the result
cnf(v, axiom, violated | ~ consumed(f,h(c),h(a),own(m),version(W,now),Request,pk(key(f,sensor,h(s))),Input,output(module(f,h(p),own(m),version(W,now)),reading(f,h(s),h(a),own(m),h(c),one,one,now)),now)).

%story receipt_proven | A receipt is checked offline
cnf(v, axiom, violated | ~ proven(f,h(a),own(m),version(W,now),Request,pk(key(f,sensor,h(s))),Input,commitment(Salt,output(module(f,h(p),own(m),version(W,now)),X)),now)).
