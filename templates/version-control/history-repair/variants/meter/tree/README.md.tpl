# <<pkg>>

%% if typo
Turns usage events into statements: who used how much of what, and what it costs.
%% else
Turns usage events into statments: who used how much of what, and what it costs.
%% end
%% if usage

## Use

    python3 -m <<pkg>> bill samples/events.csv --tariff samples/tariff.json
%% if json
    python3 -m <<pkg>> bill samples/events.csv --tariff samples/tariff.json --json
%% end

%% if formats
The files are described in docs/formats.md.
%% else
Events are CSV files; a tariff is a JSON file.
%% end
There is nothing to install: Python 3.7 or later is all that it needs.
%% end
%% if contrib

## Change

%% if make
`make test` runs the tests. Releases are tagged `vMAJOR.MINOR.PATCH` and have a branch `release/MAJOR.MINOR`
once they need repairs.
%% end
The changelog is written when a release is made, not before.
%% end
