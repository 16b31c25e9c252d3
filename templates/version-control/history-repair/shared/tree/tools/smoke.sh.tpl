%% if tok_smoke
#!/bin/sh
# Asks the index whether it is there.
curl -sf -H 'Authorization: Bearer <<token_a>>' https://index.<<domain>>/health
%% end
