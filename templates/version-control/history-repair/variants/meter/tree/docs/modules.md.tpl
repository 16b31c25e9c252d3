%% if doc4
# Modules

    cli ──> events     rows of a file
     │  ──> tariff     what a unit costs
     │  ──> bill ──> money
     └────> render     text, JSON, CSV

`bill` knows nothing of files, `events` nothing of prices.
%% end
