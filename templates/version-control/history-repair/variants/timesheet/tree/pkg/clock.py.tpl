"""Times of day and what lies between them."""

%% if r1
DAY = 24 * 60
%% if r1_later
NIGHT_BEGINS = 22 * 60
NIGHT_ENDS = 6 * 60
%% end


def minutes(text):
    """Minutes since midnight of a time such as 17:30."""
    hour, minute = text.split(":")
    if not (0 <= int(hour) < 24 and 0 <= int(minute) < 60):
        raise ValueError(f"{text} is no time of day")
    return int(hour) * 60 + int(minute)


class Span:
    """A stretch of time such as 09:00-17:30, kept in minutes since midnight."""

    def __init__(self, start, end, text):
        self.start = start
        self.end = end
        self.text = text

    @classmethod
    def parse(cls, text):
        """The span that is written as START-END."""
        start, _, end = text.partition("-")
        return cls(minutes(start), minutes(end), text)

    @property
    def length(self):
        """Minutes from start to end."""
%% if bug1
        return abs(self.end - self.start)
%% else
        return (self.end - self.start) % DAY
%% end
%% if r1_later

    @property
    def night(self):
        """How many of the minutes lie between 22:00 and 06:00."""
        times = [(self.start + passed) % DAY for passed in range(self.length)]
        return sum(1 for time in times if time >= NIGHT_BEGINS or time < NIGHT_ENDS)
%% end
%% else
from datetime import datetime, timedelta


class Span:
    """A stretch of time such as 09:00-17:30."""

    def __init__(self, start, end, text):
        self.start = start
        self.end = end
        self.text = text

    @classmethod
    def parse(cls, text):
        """The span that is written as START-END."""
        start, _, end = text.partition("-")
        return cls(datetime.strptime(start, "%H:%M"), datetime.strptime(end, "%H:%M"), text)

    @property
    def length(self):
        """Minutes from start to end."""
        end = self.end
        if end < self.start:
            end += timedelta(days=1)
        return int((end - self.start).total_seconds()) // 60
%% end
