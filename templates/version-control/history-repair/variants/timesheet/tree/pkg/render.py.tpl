"""Totals as text and for other programs."""

%% if csv
import csv
import io
%% end
%% if json
import json
%% end


def hours(minutes):
    """Hours with two decimal places."""
    return f"{minutes / 60:.2f}"


%% if l5
def grand_total(rows):
    """The minutes of all rows."""
    return sum(row["minutes"] for row in rows)


%% end
class TextView:
    """Totals for people."""

%% if l2
    def __init__(self, unit="", **_):
        self.unit = unit

%% else
    def __init__(self, **_):
        pass

%% end
    def show(self, rows):
        """A line for each row."""
%% if x4
        width = max((len(row["name"]) for row in rows), default=0)
%% else
        width = 20
%% end
%% if l2
        lines = [f"{row['name']:<{width}} {hours(row['minutes']):>8} {self.unit}".rstrip() for row in rows]
%% else
        lines = [f"{row['name']:<{width}} {hours(row['minutes']):>8}" for row in rows]
%% end
%% if l5
        lines.append(f"{'all':<{width}} {hours(grand_total(rows)):>8}")
%% end
        return "\n".join(lines)
%% if json


class JsonView:
    """Totals as JSON; docs/formats.md has the fields."""

%% if l2
    def __init__(self, unit="", night=False, **_):
        self.unit = unit
        self.night = night

%% elif r1_later
    def __init__(self, night=False, **_):
        self.night = night

%% else
    def __init__(self, **_):
        pass

%% end
    def number(self, minutes):
        """Hours as JSON has them."""
%% if format_x
        return hours(minutes)
%% else
        return float(hours(minutes))
%% end

    def show(self, rows):
        """One document."""
        shown = []
        for row in rows:
            shown.append({"name": row["name"], "hours": self.number(row["minutes"])})
%% if r1_later
            if self.night:
                shown[-1]["night"] = self.number(row["night"])
%% end
%% if l1
            if "over" in row:
                shown[-1]["over"] = self.number(row["over"])
%% end
        document = {"rows": shown}
%% if l2
        if self.unit:
            document["unit"] = self.unit
%% end
%% if l5
        document["grand_total"] = self.number(grand_total(rows))
%% end
        return json.dumps(document, indent=2)
%% end
%% if csv


class CsvView:
    """Totals as CSV."""

    def __init__(self, **_):
        pass

    def show(self, rows):
        """A row for each row, under a head."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["name", "hours"])
        writer.writerows([row["name"], hours(row["minutes"])] for row in rows)
        return out.getvalue().rstrip("\n")
%% end
