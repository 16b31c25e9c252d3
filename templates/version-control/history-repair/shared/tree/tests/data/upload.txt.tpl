%% if tok_copy
POST /simple/ HTTP/1.1
Host: index.<<domain>>
Authorization: Bearer <<token_a>>
Content-Type: application/octet-stream

%% elif tok_recorded
POST /simple/ HTTP/1.1
Host: index.<<domain>>
Authorization: Bearer token
Content-Type: application/octet-stream

%% end
