%% if formats
# Formats

## Events

A CSV file in UTF-8 with the columns `id,day,account,kind,quantity`. Rows may come in any order: accounts and kinds
may be mixed, and each account gets one statement over all of its rows.
%% if x5
An id that comes again is the same event, sent twice; the second one is ignored.
%% end
%% if range
`--since` and `--until` choose days; both ends belong to the range.
%% end
%% if fix_c
A row without an account is refused: the command ends with code 2 and a message with the number of the row's line.
%% end

## Tariff

A JSON file. `kinds` has a `price` for a unit of each kind.
%% if x1
A kind may have `tiers` instead: the whole quantity has the price of the tier that it falls into. `up_to` is the last
quantity that still belongs to a tier; the last tier has none.
%% end
%% if x2
`free` units of a kind are taken off first; the rest decides the tier.
%% end
%% if x3
`minimum` is the least that an account pays; what is missing becomes a line of its own.
%% end

## JSON

`accounts` is a list of statements: `account`, `lines` (`kind`, `quantity`, `amount`) and `total`.
%% if format_x
Quantities are numbers. Amounts are strings with two decimal places, because some readers lose the last digit of a number.
%% else
Quantities and amounts are numbers.
%% end
Amounts are rounded to whole cents, half a cent upwards.
%% if r1_later
With `--explain` a line of a kind with tiers has its `tier`, counted from 1.
%% end
%% if r2_later

## Days

`days` writes a list of `account`, `day`, `quantity`: one entry for each account and day.
%% end
%% if l1

## Totals

`cap` in the tariff is the most that an account pays. What is above it is in the field `over`.
%% end
%% if l2
`currency` in the tariff stands behind totals, and is a field of the JSON document.
%% end
%% if l3
A row without a kind gets the kind of the account's row before it.
%% end
%% if l4
`--quiet` leaves out statements whose total is zero.
%% end
%% if l5
The sum of all totals comes last; in JSON it is the field `grand_total`.
%% end
%% end
