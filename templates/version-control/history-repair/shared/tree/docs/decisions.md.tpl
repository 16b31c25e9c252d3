%% if doc3
# Decisions

## Standard library only

The tool runs on machines where nothing can be installed.

## One command for each question

Options change how an answer looks or what it is about, never what is asked.
%% if decision and dropped_l4

## Nothing is left out by itself

We looked at an option that hides what comes to zero, and won't have it: the auditors compare the number of lines with
their own, and whoever looks for a name has to find it, also with nothing behind it. The code that did it was in main for
a few days; it is not to come back.
%% elif decision

## Nothing is guessed

We looked at filling in what people leave out of a row, and won't: a guess that is wrong ends up on an invoice and
nobody sees it. What is incomplete stays incomplete. The code that did it was in main for a few days; it is not to
come back.
%% end
%% end
