%% if ci
#!/bin/sh
# What the build server runs besides the tests.
set -eu
python3 -m compileall -q <<pkg>>
test -z "$(grep -rn 'breakpoint()' <<pkg>>)"
%% end
