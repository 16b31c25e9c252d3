"""House rules: breaks, rounding and whatever else a firm decides for itself."""

import json


class Rules:
    """The rules of a JSON file."""

    def __init__(self, values):
        self.values = values

    @classmethod
    def load(cls, path):
        """The rules that a file holds."""
        with open(path, encoding="utf-8") as file:
            return cls(json.load(file))

    def counted(self, minutes):
        """How many of the minutes of a span count."""
%% if x1
        if minutes > self.values.get("break_after", minutes):
            minutes -= self.values.get("break", 0)
%% end
%% if x2
        return self.rounded(minutes)
%% else
        return minutes
%% end
%% if x2

    def rounded(self, minutes):
        """Minutes in whole units of `round_to`."""
        unit = self.values.get("round_to", 1)
%% if fix_b
        return (2 * minutes + unit) // (2 * unit) * unit
%% else
        return round(minutes / unit) * unit
%% end
%% end
