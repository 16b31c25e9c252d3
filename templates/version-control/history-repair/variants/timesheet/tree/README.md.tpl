# <<pkg>>

%% if typo
Adds up working times that are kept in plain text: by person, by week, by project.
%% else
Adds up working times that are keept in plain text: by person, by week, by project.
%% end
%% if usage

## Use

    python3 -m <<pkg>> report samples/sheet.txt --rules samples/rules.json
%% if json
    python3 -m <<pkg>> report samples/sheet.txt --rules samples/rules.json --by week --json
%% end

%% if formats
The files are described in docs/formats.md.
%% else
A sheet is a text file; rules are a JSON file.
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
