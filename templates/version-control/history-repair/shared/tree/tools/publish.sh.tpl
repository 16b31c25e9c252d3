%% if pub
#!/bin/sh
# Uploads the files in dist/ to an index of tools/publish.ini.
set -eu
index=${1:-index}
%% if tok_env
: "${PUBLISH_TOKEN:?is not set}"
%% end
for file in dist/*; do
    python3 -m upload --settings tools/publish.ini --index "$index" "$file"
done
%% end
