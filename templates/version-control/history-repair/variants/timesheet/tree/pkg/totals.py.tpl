"""Entries added up."""

%% if r2
from .weeks import week_of
%% end


class Totals:
    """Minutes by person, week or project."""

    def __init__(self, rules, by="person"):
        self.rules = rules
        self.by = by

    def key(self, entry):
        """What an entry is added up under."""
        if self.by == "week":
%% if r2
            return week_of(entry.day)
%% else
            year, week, _ = entry.day.isocalendar()
            return f"{year}-W{week:02}"
%% end
%% if x3
        if self.by == "project":
            return entry.project or "(none)"
%% end
        return entry.person

    def rows(self, sheet):
        """A row for each key, sorted."""
        found = {}
        for entry in sheet.entries:
%% if r1_later
            row = found.setdefault(self.key(entry), {"minutes": 0, "night": 0})
            row["minutes"] += self.rules.counted(entry.span.length)
            row["night"] += entry.span.night
%% else
            row = found.setdefault(self.key(entry), {"minutes": 0})
            row["minutes"] += self.rules.counted(entry.span.length)
%% end
%% if l1
        for row in found.values():
            self.cap(row)
%% end
        return [{"name": name, **found[name]} for name in sorted(found)]
%% if l1

    def cap(self, row):
        """Ends a row at the most that is counted, and keeps what is over it."""
        over = row["minutes"] - self.rules.values.get("cap", row["minutes"])
        if over > 0:
            row["over"] = over
            row["minutes"] -= over
%% end
%% if l4


def without_zero(rows):
    """The rows in which something was counted."""
    return [row for row in rows if row["minutes"]]
%% end
