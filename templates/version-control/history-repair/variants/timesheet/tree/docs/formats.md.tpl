%% if formats
# Formats

## Sheets

A text file in UTF-8 with one entry a line: `DAY PERSON START-END PROJECT NOTE`. The project and the note may be
missing; empty lines and lines that begin with `#` are left out. A span whose end comes before its start runs past
midnight: 22:00-06:00 is eight hours.
%% if x5
A line that says exactly what one before it says is ignored.
%% end
%% if range
`--since` and `--until` choose days; both ends belong to the range.
%% end
%% if fix_c
A span whose end is its start is refused: the command ends with code 2 and a message with the number of the line.
%% end

## Rules

A JSON file. Every rule may be missing.
%% if x1
From spans longer than `break_after` minutes `break` minutes are taken off.
%% end
%% if x2
What is left of each entry is rounded to whole units of `round_to` minutes, half a unit upwards.
%% end

## Weeks

Weeks are those of ISO 8601 and are named by its year: 2021-01-02 belongs to 2020-W53.
%% if r2_later
`--week` counts the entries of one week.
%% end

## JSON

`rows` is a list of `name` and `hours`.
%% if format_x
Hours are strings with two decimal places, because some readers lose the last digit of a number.
%% else
Hours are numbers with up to two decimal places.
%% end
%% if r1_later
With `--night` each row has the hours between 22:00 and 06:00 in `night`, without breaks or rounding.
%% end
%% if l1

## Totals

`cap` in the rules is the most that is counted in a row, in minutes. What is above it is in the field `over`.
%% end
%% if l2
`unit` in the rules stands behind hours, and is a field of the JSON document.
%% end
%% if l3
An entry without a project gets the project of the person's entry before it.
%% end
%% if l4
`--quiet` leaves out rows without hours.
%% end
%% if l5
The sum of all rows comes last; in JSON it is the field `grand_total`.
%% end
%% end
