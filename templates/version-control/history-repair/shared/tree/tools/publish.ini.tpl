%% if pub
[index]
url = https://index.<<domain>>/simple
retries = 3
%% if tok_env
token = ${PUBLISH_TOKEN}
%% elif tok_b
token = <<token_b>>
%% elif tok_a
token = <<token_a>>
%% end

[trial]
url = https://trial.<<domain>>/simple
token = <<test_token>>
checksum = <<checksum>>
%% end
