%% if doc1
# Questions
%% if faq1

## Can I use it on Windows?

It has no paths of its own, so yes; nobody here does.
%% end
%% if faq2

## Why is there no database?

Files can be kept under version control, sent by mail, and read in ten years.
%% end
%% if faq3

## How large may a file be?

A million lines take a few seconds. Beyond that, split it by month.
%% end
%% if faq4

## Why do I get no output?

Look at the exit code. With 2 there is a message on standard error.
%% end
%% if faq5

## Can it read standard input?

Name /dev/stdin as the file.
%% end
%% if faq6

## Is the order of the output fixed?

In text yes. In JSON don't rely on it.
%% end
%% if faq7

## Which encoding do files have?

UTF-8, always.
%% end
%% if faq8

## Where are the old releases?

Every release has a tag.
%% end
%% if faq9

## Who decides about new options?

Whoever maintains the release; ask before you write one.
%% end
%% if faq10

## Can I turn the sums off?

No. Pipe the JSON through another program.
%% end
%% if faq11

## Does it need the network?

Never.
%% end
%% if faq12

## How do I report a fault?

With the smallest file that shows it.
%% end
%% if faq_check

## When should I run `check`?

Before the month is closed, while somebody can still mend the file.
%% end
%% if faq_n1

## May files be put together from several?

Yes, with cat; take the head off all but the first.
%% end
%% if faq_n2

## What happens to files that were read?

Nothing. They are opened for reading only.
%% end
%% if faq_n3

## Are rows checked before anything is shown?

Yes. Either the whole file can be read or nothing is shown.
%% end
%% if faq_rel

## Which releases are looked after?

The last two; older ones get nothing.
%% end
%% end
