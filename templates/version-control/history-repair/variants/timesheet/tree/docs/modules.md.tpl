%% if doc4
# Modules

    cli ──> sheet ──> clock
     │  ──> rules
     │  ──> totals ──> weeks
     └────> render     text, JSON, CSV

`totals` knows nothing of files, `clock` nothing of days.
%% end
