%% if r2
"""The names of weeks."""


def week_of(day):
    """The name of the week that a day belongs to."""
%% if bug2
    return day.strftime("%Y-W%V")
%% else
    return day.strftime("%G-W%V")
%% end
%% end
