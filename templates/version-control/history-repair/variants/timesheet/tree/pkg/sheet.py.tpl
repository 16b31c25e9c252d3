"""Sheets: text files with one entry a line."""

%% if warn
import sys
%% end
from datetime import date

from .clock import Span


%% if dep
class LineError(ValueError):
    """A line that can't be counted, and where it stands."""

    def __init__(self, path, line, reason):
        super().__init__(f"{path}:{line}: {reason}")
        self.line = line
%% else
class BadLine(ValueError):
    """A line that can't be counted."""
%% end


class Entry:
    """Some time that a person worked on a project."""

    def __init__(self, day, person, span, project, note=""):
        self.day = day
        self.person = person
        self.span = span
        self.project = project
        self.note = note

    @classmethod
%% if dep
    def parse(cls, fields, path, line):
        """The entry that the fields of a line stand for.

        Whatever is wrong with the line is reported with the place of the line, because sheets are
        written by hand and somebody has to find it again.
        """
%% else
    def parse(cls, fields):
        """The entry that the fields of a line stand for.

        Whatever is wrong with the line is reported with the place of the line, because sheets are
        written by hand and somebody has to find it again.
        """
%% end
%% if fix_c
        if len(fields) > 2 and len(set(fields[2].split("-"))) == 1:
            raise LineError(path, line, "an empty span")
%% end
        fields = fields + [""] * (4 - len(fields))
        day, person, span, project = fields[:4]
%% if fix_d2
        person, project = person.lower(), project.lower()
%% elif fix_d
        person = person.lower()
%% end
        note = " ".join(fields[4:])
        try:
            return cls(date.fromisoformat(day), person, Span.parse(span), project, note)
        except ValueError:
%% if dep
            raise LineError(path, line, f"{day} {span} can't be read") from None
%% else
            raise BadLine(f"{day} {span} can't be read") from None
%% end


class Sheet:
    """The entries of a file."""

    def __init__(self, entries):
        self.entries = entries

    @classmethod
    def read(cls, path):
        """The entries of a file, in its order; empty lines and those that begin with # are left out."""
%% if check
%% if dep
        entries = [Entry.parse(fields, path, number) for number, fields in cls.lines(path)]
%% else
        entries = [Entry.parse(fields) for _, fields in cls.lines(path)]
%% end
%% else
        entries = []
        with open(path, encoding="utf-8") as file:
            for line in file:
%% if fix_a
                fields = line.split()
%% else
                fields = [field for field in line.rstrip("\n").split(" ") if field]
%% end
                if fields and not fields[0].startswith("#"):
                    entries.append(Entry.parse(fields))
%% end
%% if warn
        days = [entry.day for entry in entries]
        if days != sorted(days):
            print(f"warning: {path} is not in the order of its days", file=sys.stderr)
%% end
%% if l3
        entries = cls.with_guessed_projects(entries)
%% end
%% if x5
        return cls(cls.without_repeats(entries))
%% else
        return cls(entries)
%% end
%% if check

    @staticmethod
    def lines(path):
        """The numbers and the fields of the lines that hold an entry."""
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
%% if fix_a
                fields = line.split()
%% else
                fields = [field for field in line.rstrip("\n").split(" ") if field]
%% end
                if fields and not fields[0].startswith("#"):
                    yield number, fields
%% end
%% if x5

    @staticmethod
    def without_repeats(entries):
        """The entries without those that say the same as one before: people paste twice."""
        known = set()
        kept = []
        for entry in entries:
            key = (entry.day, entry.person, entry.span.text, entry.project, entry.note)
            if key not in known:
                known.add(key)
                kept.append(entry)
        return kept
%% end
%% if l3

    @staticmethod
    def with_guessed_projects(entries):
        """The entries, with the project of the person's entry before where one has none."""
        last = {}
        for entry in entries:
            entry.project = entry.project or last.get(entry.person, "")
            last[entry.person] = entry.project
        return entries
%% end
%% if only

    def of(self, person):
        """The sheet of one person."""
        return Sheet([entry for entry in self.entries if entry.person == person])
%% end
%% if range

    def between(self, since=None, until=None):
        """The sheet of a stretch of days."""
        chosen = []
        for entry in self.entries:
            if since is not None and entry.day < since:
                continue
%% if fix_e
            if until is not None and entry.day > until:
%% else
            if until is not None and entry.day >= until:
%% end
                continue
            chosen.append(entry)
        return Sheet(chosen)
%% end
