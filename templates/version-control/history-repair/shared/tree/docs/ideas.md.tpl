%% if wip1
# Ideas

- read several files in one run
%% if wip2
- keep what was read in a cache, with the file's size and time as its key
- watch a folder
%% end
%% end
