%% if pub
# Publishing

A release is uploaded to the package index of the house by `tools/publish.sh`.

To see what an upload looks like, use the index for trials with the token that everybody has:

    PUBLISH_TOKEN=<<test_token>> sh tools/publish.sh trial

%% if tok_env
For the real index the token comes from the environment too; the release job has it.
%% else
For the real index the settings are in tools/publish.ini.
%% end
%% end
